"""A server under full load for a long time: its memory and its latencies, minute by minute.

Some clients send short queries and others requests of 64 texts, all as fast as they are answered.  Others may use the
machine meanwhile; how much is recorded beside every minute.
"""

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import machine
from bench_serve import MOST, answers, bodies_of, versions
from environment import BENCH, process_environment
from harness import WrongAnswer, record
from memory import resident_of
from peers.folder import describe, resolve
from servers import Running, ours, running

CLIENTS = {"short": 48, "batch": 4}  # at once
LAP = 60.0  # seconds
PRECISION = "float32"


def run(options: Namespace) -> int:
    """Measure and write results/soak.json."""
    folder, (bodies, _) = resolve(options.model), bodies_of(1.0)
    server, laps = ours(PRECISION), []
    with running(server, folder, options.threads, lambda port: answers(port, server.path)) as process:
        warm = lap(process, server.path, bodies, LAP / 4)  # all buffers have their size
        print("warm-up:", warm, flush=True)
        for minute in range(1, round(options.minutes) + 1):
            laps.append({"minute": minute, **lap(process, server.path, bodies, LAP)})
            print(laps[-1], flush=True)
    about = {"model": describe(folder), "versions": versions(), "clients": CLIENTS, "laps": laps}
    record("soak", {"threads": options.threads, "precision": PRECISION}, about, options.out)
    return 0


def lap(process: Running, path: str, bodies: dict[str, list[dict]], seconds: float) -> dict:
    """All clients for a while; failures, quantiles in milliseconds, resident memory, and what others used."""
    busy, before, begin = machine.busy_seconds(), process.seconds(), time.perf_counter()
    generators = {shape: generator(process.port, path, bodies[shape], CLIENTS[shape], seconds) for shape in CLIENTS}
    cells = {}
    with ThreadPoolExecutor(len(generators)) as pool:  # each at once gets its task: they run beside each other
        ended = list(pool.map(lambda one: one[0].communicate(one[1]), generators.values()))
    for (shape, (one, _)), (output, errors) in zip(generators.items(), ended, strict=True):
        if one.returncode:
            raise WrongAnswer(errors.decode(errors="replace").strip().rpartition("\n")[2])
        cells[shape] = json.loads(output)
    own = process.seconds() - before + sum(cell["cpu_s"] for cell in cells.values())
    wall = time.perf_counter() - begin
    others = max(0.0, (machine.busy_seconds() or 0.0) - (busy or 0.0) - own)
    found = {}
    for shape, cell in cells.items():
        count, p50, p99 = len(cell["latencies"]), *np.quantile(cell["latencies"], [0.5, 0.99])
        failed = count - cell["statuses"].get("200", 0)
        found[shape] = {"requests": count, "failed": failed, "p50_ms": milliseconds(p50), "p99_ms": milliseconds(p99)}
    return {
        **found,
        "resident_mb": round(resident_of(process.pid) or 0.0, 1),
        "load_average": round(os.getloadavg()[0], 2),
        "others": round(others / wall / (os.cpu_count() or 1), 3),
    }


def milliseconds(seconds: float) -> float:
    """Milliseconds, to a tenth."""
    return round(1e3 * float(seconds), 1)


def generator(
    port: int, path: str, bodies: list[dict], clients: int, seconds: float
) -> tuple[subprocess.Popen[bytes], bytes]:
    """A load generator as a process, and the task that it waits for."""
    task = {"port": port, "path": path, "bodies": bodies, "clients": clients, "seconds": seconds, "most": 10 * MOST}
    command = [sys.executable, str(BENCH / "load.py")]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=process_environment(1))
    return process, json.dumps(task).encode()
