"""Servers in processes of their own, as `minembed serve` starts them."""

import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMMAND = Path(sys.executable).with_name("minembed")


@dataclass
class Server:
    url: str
    process: subprocess.Popen
    log_file: Path
    started: float  # seconds from the command to its first answer

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def log(self):
        return self.log_file.read_text(errors="replace")

    def memory(self):
        """Resident bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024

    def cpu(self):
        """Seconds of CPU time."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(folder, *arguments, wait=60.0):
    """A server on a port of its own; it is killed at the end unless it has ended by itself."""
    log = Path(folder) / "server.log"
    begin = time.monotonic()
    with log.open("w") as stream:
        process = subprocess.Popen(
            [COMMAND, "serve", "--port", "0", *map(str, arguments)], stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        while (found := re.search(r"ready on (\S+)", log.read_text())) is None:
            assert process.poll() is None and time.monotonic() - begin < wait, log.read_text()
            time.sleep(0.02)
        yield Server(found[1], process, log, time.monotonic() - begin)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(10)
