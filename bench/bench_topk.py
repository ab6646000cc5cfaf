"""Exact top-k beside the peers: the same vectors, queries and threads; contestants take turns.

The vectors are made: unit length, 384 wide, with a spectrum that falls as that of real embeddings does, so that some
directions matter more than others and rows have near neighbours.  No coordinate is such a direction, as in real models:
rounded to int8, a row has an error of 0.0072 of its length, like a row of all-MiniLM-L6-v2 (0.0073).
"""

import importlib.metadata
import statistics
import time
from argparse import Namespace
from pathlib import Path

import numpy as np

import search_peers
from environment import WORK
from harness import Unavailable, Worker, record

WIDTH = 384
SIZES = (100_000, 1_000_000)
CELLS = [(queries, k) for queries in (1, 10, 100, 1000) for k in (10, 100)]
BUDGET = 2.5  # seconds that a contestant may take for the laps of a cell; at least one lap
MOST_LAPS = 5
SETTLE = 0.15  # seconds before each lap, so that the previous thread pool falls asleep
TOO_SLOW = 2.0  # seconds for one lap, estimated from a tenth of the queries
TOLERANCE = 1e-5  # of the scores: all are float32 sums of 384 products
_state: dict = {}


def run(options: Namespace) -> int:
    """Measure and write results/topk.json; returns 1 if minembed itself cannot run."""
    found: dict = {"width": WIDTH, "sizes": {}, "absent": {}}
    for size in SIZES:
        path = WORK / f"topk-turned-{size}.npy"
        if not path.exists():
            np.save(path, vectors(size, seed=size))
        found["sizes"][str(size)] = measure_size(size, path, options, found["absent"])
    record("topk", {"threads": options.threads, "tolerance": TOLERANCE}, found, options.out)
    return 1 if "minembed" in found["absent"] else 0


def vectors(rows: int, seed: int) -> np.ndarray:
    """Unit rows; the spread of direction i falls as 1 / sqrt(i), around a common middle."""
    rng = np.random.default_rng(seed)
    spread = 1 / np.sqrt(np.arange(1, WIDTH + 1, dtype=np.float32))
    directions = np.linalg.qr(np.random.default_rng(0).standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    made = np.empty((rows, WIDTH), np.float32)
    for start in range(0, rows, 50_000):
        part = made[start : start + 50_000]
        part[:] = rng.standard_normal(part.shape, np.float32) * spread
        part[:, 0] += 1
        part[:] = part @ directions
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return made


def measure_size(size: int, path: Path, options: Namespace, absent: dict) -> dict:
    """Every cell of one corpus."""
    workers, versions = {}, {}
    for name in search_peers.CONTESTANTS:
        worker = Worker(f"topk-{name}", options.threads)
        try:
            versions[name] = worker.ask("measure", "bench_topk", "load", name, str(path), options.threads)
            workers[name] = worker
        except Unavailable as error:
            absent[name] = str(error)
            worker.close()
    ask = workers["minembed"].ask
    bandwidth, peak = (ask("measure", "bench_topk", what, "", "", options.threads) for what in ("bandwidth", "peak"))
    cells: dict[str, dict] = {}
    for queries, k in CELLS:
        before = cells.get(f"{queries // 10} x {k}", {})
        taking = {name: worker for name, worker in workers.items() if not is_hopeless(name, before)}
        cells[f"{queries} x {k}"] = measure_cell(size, queries, k, taking)
    for worker in workers.values():
        worker.close()
    return {"versions": versions, "bandwidth_gb_s": bandwidth, "peak_gf_s": peak, "cells": cells}


def is_hopeless(name: str, before: dict) -> bool:
    """Whether a contestant that takes one query at a time was too slow with a tenth of them, or is left out already."""
    if name not in search_peers.ONE_BY_ONE or not before:
        return False
    return name not in before or 10 * before[name].get("median_s", 0) > TOO_SLOW


def measure_cell(size: int, queries: int, k: int, workers: dict) -> dict:
    """Check, then time: rounds in which each contestant runs once."""
    answers = {name: worker.ask("measure", "bench_topk", "answer", queries, k, 0) for name, worker in workers.items()}
    reference, rows = answers["minembed"][0], {}
    for name, (scores, seconds) in answers.items():
        furthest = float(np.abs(np.asarray(scores) - reference).max())
        rows[name] = {"furthest": furthest, "laps_s": [], "wrong": not furthest <= TOLERANCE, "first_s": seconds}
    for lap in range(MOST_LAPS):
        for name, row in rows.items():
            spent = row["first_s"] + sum(row["laps_s"])
            if not row["wrong"] and (lap < 1 or spent < BUDGET):
                time.sleep(SETTLE)
                row["laps_s"].append(workers[name].ask("measure", "bench_topk", "lap", queries, k, 0))
    for row in rows.values():
        if row["laps_s"]:
            row["median_s"], row["best_s"] = statistics.median(row["laps_s"]), min(row["laps_s"])
        row["laps_s"] = [round(x, 5) for x in row["laps_s"]]
    told = " ".join(f"{name} {1e3 * row['median_s']:.1f}" for name, row in rows.items() if "median_s" in row)
    print(f"{size} rows, {queries} queries, k {k}, ms: {told}", flush=True)
    return rows


# ---- in a contestant's process


def measure(task: str, first, second, threads: int):
    """Load a contestant, give an answer, or time one."""
    if task == "load":
        make, options, libraries = search_peers.CONTESTANTS[first]
        _state["search"] = make(np.load(second, mmap_mode="r"), threads, **options)
        corpus = np.load(second, mmap_mode="r")
        _state["queries"] = mixed(corpus)
        return {name: importlib.metadata.version(name) for name in libraries}
    if task == "bandwidth":
        return bandwidth(threads)
    if task == "peak":
        import probe  # needs Numba, as minembed here does

        return probe.peaks()["float32"]["peak"]
    queries = _state["queries"][:first]
    start = time.perf_counter()
    scores, _ = _state["search"](queries, second)
    seconds = time.perf_counter() - start
    return seconds if task == "lap" else (np.asarray(scores, np.float32), seconds)


def mixed(corpus: np.ndarray) -> np.ndarray:
    """A thousand queries: each near a row of the corpus."""
    rng = np.random.default_rng(7)
    near = corpus[rng.integers(0, len(corpus), 1000)] + vectors(1000, seed=8) * np.float32(0.7)
    return np.ascontiguousarray(near / np.linalg.norm(near, axis=1, keepdims=True), np.float32)


def bandwidth(threads: int) -> float:
    """The gigabytes per second that the threads read, in maxima over arrays that fit in no cache."""
    from concurrent.futures import ThreadPoolExecutor

    arrays = [np.ones(1 << 26, np.float32) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            start = time.perf_counter()
            list(pool.map(lambda x: x.max(), arrays))
            best = max(best, sum(x.nbytes for x in arrays) / (time.perf_counter() - start) / 1e9)
    return round(best, 1)
