"""Servers under load on 127.0.0.1: 1, 8 and 64 clients, with short queries and with requests of 64 texts.

Clients send the next request as soon as they get an answer.  The cost of a server is its processor time per text, which
is compared with that of `encode` on the same texts; on a shared machine it says more than the clock.  The processor
time of the load generator is measured, too.
"""

import json
import subprocess
import sys
import time
from argparse import Namespace
from base64 import b64decode
from collections.abc import Sequence
from http.client import HTTPConnection
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

import machine
import workloads
from environment import BENCH, process_environment
from harness import Unavailable, Worker, WrongAnswer, compare, digits, earlier, record
from peers import FLOAT32, ROUNDED
from peers.folder import describe, resolve
from servers import INFINITY, SERVERS, Running, Server, ours, running

BATCH = 64  # texts of a large request
MANY = 64  # clients, by which the targets go
MOST = 20_000  # requests per cell
STARTED = 5  # times
STARTS = (
    ("minembed, float32", ours("float32")),
    ("minembed, int8", ours("int8")),
    ("minembed, NumPy tier", ours("float32", "numpy")),
)
PACKAGES = ("minembed", "uvicorn", "sentence-transformers", "torch", "fastapi", "onnxruntime")


def run(options: Namespace) -> int:
    """Measure and write results/serve.json; a missing server, or one with wrong answers, is recorded as such."""
    folder = resolve(options.model)
    bodies, texts = bodies_of(options.fraction)
    texts = {shape: texts[shape] for shape in options.shapes}
    chosen = [server for server in SERVERS if not options.contestants or server.name in options.contestants]
    before = earlier_of_this_revision(options)
    offline, found, starts = {}, [], before.get("starts", [])
    if options.starts:
        starts = [started(*one, folder, options) for one in STARTS]
    for precision in dict.fromkeys(server.precision for server in chosen):
        known = before.get("offline", {}).get(precision, {})
        if MANY not in options.clients and all(shape in known for shape in texts):
            offline[precision] = known  # what the cells of many clients are compared with
            continue
        offline[precision] = measured_offline(str(folder), precision, options.threads, texts)
        print(f"offline encode {precision}: {offline[precision]}", flush=True)
    for server in chosen:
        try:
            cells = measured(server, folder, bodies, texts, options)
        except (Unavailable, WrongAnswer) as error:
            print(f"{server.name} {server.precision}: {error}", flush=True)
            cells = str(error)
        found.append({"server": server.name, "precision": server.precision, "cells": cells})
    print_table(offline, found)
    base = before.get("offline", {})
    about = {
        "model": describe(folder),
        "versions": versions(),
        "offline": base | {precision: base.get(precision, {}) | own for precision, own in offline.items()},
        "found": together(before.get("found", []), found),
        "starts": starts,
    }
    record("serve", {"threads": options.threads, "batch": BATCH}, about, options.out)
    return 0


def earlier_of_this_revision(options: Namespace) -> dict:
    """What was measured before on this machine, at this revision: shapes can be measured one after the other."""
    before = earlier("serve", options.out, options.threads)
    return before if before.get("commit") == machine.commit() else {}


def together(before: list[dict], found: list[dict]) -> list[dict]:
    """Rows of servers, with the cells of an earlier run that this one did not measure again."""
    rows = {(row["server"], row["precision"]): row for row in before}
    for row in found:
        key = row["server"], row["precision"]
        if isinstance(row["cells"], list) and key in rows and isinstance(rows[key]["cells"], list):
            new = {(cell["shape"], cell["clients"]) for cell in row["cells"]}
            kept = [cell for cell in rows[key]["cells"] if (cell["shape"], cell["clients"]) not in new]
            row = {**row, "cells": kept + row["cells"]}
        rows[key] = row
    order = {(server.name, server.precision): i for i, server in enumerate(SERVERS)}
    return sorted(rows.values(), key=lambda row: order[row["server"], row["precision"]])


def started(what: str, server: Server, folder: Path, options: Namespace) -> dict:
    """Seconds from the start of a process to its first vectors, several times."""
    laps = []
    for _ in range(STARTED):
        with running(server, folder, options.threads, lambda port: answers(port, server.path)) as process:
            laps.append(process.started)
    print(f"{what}: first vectors after {', '.join(f'{lap:.2f}' for lap in laps)} s", flush=True)
    return {"what": what, "median_s": digits(float(np.median(laps))), "worst_s": digits(max(laps)), "runs": len(laps)}


def bodies_of(fraction: float) -> tuple[dict[str, list[dict]], dict[str, list[str]]]:
    """The requests of each shape, and their texts."""
    short = list(workloads.short(max(BATCH, int(1024 * fraction))).texts)
    mixed = list(workloads.mixed(BATCH * max(1, int(8 * fraction))).texts)
    told = {"model": "m", "encoding_format": "base64"}
    batches = [mixed[i : i + BATCH] for i in range(0, len(mixed), BATCH)]
    bodies = {"short": [{"input": [text], **told} for text in short]}
    return bodies | {"batch": [{"input": batch, **told} for batch in batches]}, {"short": short, "batch": mixed}


def measured_offline(folder: str, precision: str, threads: int, texts: dict[str, list[str]]) -> dict:
    """`encode` of the same texts, all in one call, and of single queries, in a process of its own."""
    worker = Worker(f"serve-offline-{precision}", threads)
    try:
        return worker.ask("measure", "bench_serve", folder, precision, threads, texts)
    finally:
        worker.close()


def measure(folder: str, precision: str, threads: int, texts: dict[str, list[str]]) -> dict:
    """Texts per second by the clock, and microseconds of processor time per text; the median of single calls."""
    from minembed import Embedder

    model, found = Embedder.load(folder, dtype=precision, threads=threads), {}
    for shape, some in texts.items():
        model.encode(some[:128], truncation="silent")
        laps = []
        for _ in range(3):
            cpu, wall = time.process_time(), time.perf_counter()
            model.encode(some, truncation="silent")
            laps.append((time.process_time() - cpu, time.perf_counter() - wall))
        best = [min(lap) for lap in zip(*laps, strict=True)]
        found[shape] = {"texts_per_s": round(len(some) / best[1], 1), "cpu_us": round(1e6 * best[0] / len(some), 1)}
    if "short" not in texts:
        return found
    cpu, singles = time.process_time(), []
    for text in texts["short"][:200]:
        wall = time.perf_counter()
        model.encode(text)
        singles.append(time.perf_counter() - wall)
    cpu_us = 1e6 * (time.process_time() - cpu) / len(singles)
    return found | {"single": {"p50_ms": round(1e3 * float(np.median(singles)), 3), "cpu_us": round(cpu_us, 1)}}


def measured(server: Server, folder: Path, bodies: dict, texts: dict[str, list[str]], options: Namespace) -> list[dict]:
    """All cells of a server, after a check of its vectors."""
    cells = []
    with running(server, folder, options.threads, lambda port: answers(port, server.path)) as process:
        check(server, process, folder, texts[options.shapes[0]][:BATCH])
        for shape in options.shapes:
            per_request = 1 if shape == "short" else BATCH
            drive(process, server, bodies[shape], 2, min(1.0, options.seconds))  # warm
            for clients in options.clients:
                cell = drive(process, server, bodies[shape], clients, options.seconds)
                cells.append({"shape": shape, "clients": clients, **summary(cell, per_request)})
                print(f"{server.name:30} {server.precision:9}", line(cells[-1]), flush=True)
    return cells


def answers(port: int, path: str) -> bool:
    """Whether a server returns vectors."""
    try:
        return ask(port, path, ["a"]) is not None
    except (OSError, ValueError, KeyError):
        return False


def ask(port: int, path: str, texts: Sequence[str]) -> np.ndarray | None:
    """The vectors of texts, or None if the answer has none."""
    connection = HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        body = json.dumps({"input": list(texts), "model": "m", "encoding_format": "base64"})
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        reply = connection.getresponse()
        if reply.status != 200:
            return None
        rows = [one["embedding"] for one in json.loads(reply.read())["data"]]
        return np.array([np.frombuffer(b64decode(row), "<f4") if isinstance(row, str) else row for row in rows])
    finally:
        connection.close()


def check(server: Server, process: Running, folder: Path, texts: Sequence[str]) -> None:
    """Raise WrongAnswer unless a server's vectors are those of the NumPy tier, within its precision."""
    from minembed import Embedder

    reference = Embedder.load(folder, backend="numpy").encode(texts)
    found = ask(process.port, server.path, texts)
    if found is None:
        raise WrongAnswer("no vectors")
    compare(found, reference, FLOAT32 if server.precision == "float32" else ROUNDED)


def drive(process: Running, server: Server, bodies: list[dict], clients: int, seconds: float) -> dict:
    """One run of the generator, with the processor time of both sides."""
    task = {"port": process.port, "path": server.path, "bodies": bodies, "clients": clients}
    task |= {"seconds": seconds, "most": MOST}
    busy, before, begin = machine.busy_seconds(), process.seconds(), time.perf_counter()
    command = [sys.executable, str(BENCH / "load.py")]
    done = subprocess.run(command, input=json.dumps(task).encode(), capture_output=True, env=process_environment(1))
    if done.returncode:
        raise WrongAnswer(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    cell = json.loads(done.stdout)
    own, wall = process.seconds() - before, time.perf_counter() - begin
    others = (machine.busy_seconds() or 0.0) - (busy or 0.0) - own - cell["cpu_s"]
    return cell | {"server_cpu_s": own, "others": max(0.0, others) / wall / (machine.describe()["cores"] or 1)}


def summary(cell: dict, per_request: int) -> dict:
    """Rates, quantiles, and the processor time of each side."""
    count, seconds, latencies = len(cell["latencies"]), cell["seconds"], cell["latencies"]
    spent = cell["server_cpu_s"] + cell["cpu_s"]
    return {
        "seconds": round(seconds, 1),
        "requests": count,
        "failed": count - cell["statuses"].get("200", 0),
        "texts_per_s": round(per_request * count / seconds, 1),
        "p50_ms": round(1e3 * float(np.quantile(latencies, 0.5)), 2),
        "p99_ms": round(1e3 * float(np.quantile(latencies, 0.99)), 2),
        "cpu_us_a_text": round(1e6 * cell["server_cpu_s"] / count / per_request, 1),
        "generator_us_a_request": round(1e6 * cell["cpu_s"] / count, 1),
        "generator_share": round(cell["cpu_s"] / spent, 3) if spent else None,
        "others": round(cell["others"], 2),
    }


def line(cell: dict) -> str:
    """A cell on one line."""
    times = f"p50 {cell['p50_ms']:8.2f} ms  p99 {cell['p99_ms']:8.2f} ms  {cell['cpu_us_a_text']:8.1f} µs CPU a text"
    shares = f"generator {100 * (cell['generator_share'] or 0):.0f} %  others {100 * cell['others']:.0f} %"
    rest = f"{shares}  failed {cell['failed']}"
    return f"{cell['shape']:5} x{cell['clients']:<3} {cell['texts_per_s']:9.1f} texts/s  {times}  {rest}"


def print_table(offline: dict, found: list[dict]) -> None:
    """The speed of a server relative to `encode`: by the clock, and by processor time (1 means nothing is lost)."""
    for row in found:
        for cell in row["cells"] if isinstance(row["cells"], list) else ():
            base = offline[row["precision"]][cell["shape"]]
            clock, cpu = cell["texts_per_s"] / base["texts_per_s"], base["cpu_us"] / cell["cpu_us_a_text"]
            name = f"{row['server']} {row['precision']} {cell['shape']} x{cell['clients']}"
            print(f"{name:55} {clock:5.2f} of offline by the clock, {cpu:5.2f} by CPU", flush=True)


def versions() -> dict[str, str | None]:
    """The versions of the libraries that took part."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    program = INFINITY / "bin" / "python"
    if program.exists():
        code = "from importlib.metadata import version as v; print(v('infinity-emb'), v('optimum'), v('transformers'))"
        found["infinity-emb"] = subprocess.run([program, "-c", code], capture_output=True, text=True).stdout.strip()
    return found
