"""Kernels compiled ahead of time beside those that Numba compiled here: the same bits, and how fast, in every cell.

Both backends are in one process and take turns, on the same rows where they search, so that a lap of one is compared
with the lap of the other that follows it.  Where the system puts code and weights still makes up to some percent: a
second process shows how much.  Seconds are those of the wall clock and of the CPU: with other users on the machine,
the second are what can be relied on.
"""

import hashlib
import statistics
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import product

import numpy as np

import bench_topk
from bench_encode import chosen_workloads
from environment import WORK
from harness import Absent, Failed, Model, Worker, digits, record
from peers import PRECISIONS
from peers.folder import describe, resolve
from peers.minembed_numba import prepare, stored

BACKENDS = ("native", "numba")
PROCESSES = 2
PAIRS = 12  # of laps, in each process; an even number, since the first of a pair takes turns
BUDGET = 4.0  # seconds of a process in a cell, after which the fewest pairs will do
FEWEST = 4
SETTLE = 0.1  # seconds before each lap, in which the thread pool of the one before falls asleep
SHORTEST = 0.1  # seconds of a lap: shorter searches are repeated ...
MOST_TIMES = 50  # ... up to so often
_state: dict = {}


def run(options: Namespace) -> int:
    """Measure and write results/native.json; 1 if a backend is missing, or the bits differ."""
    model = Model(resolve(options.model))
    prepare(model.folder, model.work)
    works = chosen_workloads(options)
    found: dict = {"model": describe(model.folder), "encode": {}, "topk": {}}
    try:
        for precision in PRECISIONS:
            found["encode"][precision] = encoding(precision, works, model, options.threads)
        for size in bench_topk.SIZES:
            found["topk"][str(size)] = searching(size, options.threads)
    except (Absent, Failed) as error:
        print(f"both backends are needed: {error}")
        return 1
    texts = {work.name: len(work.texts) for work in works}
    settings = {"threads": options.threads, "pairs": PAIRS, "fewest": FEWEST, "settle_s": SETTLE, "texts": texts}
    record("native", settings, found, options.out)
    cells = [cell for part in ("encode", "topk") for row in found[part].values() for cell in row.values()]
    return 0 if all(cell["same_bits"] for cell in cells) else 1


def encoding(precision: str, works: list, model: Model, threads: int) -> dict:
    """Every workload in one precision."""
    cells = {}
    with processes(threads) as workers:
        for worker in workers:
            ask(worker, "load", str(stored(model.folder, model.work, precision)), threads, precision)
        for work in works:
            calls = [[text] for text in work.texts] if work.one_by_one else [list(work.texts)]
            cells[work.name] = compare(workers, "encode", calls)
            show(f"{precision}, {work.name}", cells[work.name])
    return cells


def searching(size: int, threads: int) -> dict:
    """Every cell of one corpus, in float32 and with an int8 copy."""
    path = WORK / f"topk-turned-{size}.npy"
    if not path.exists():
        np.save(path, bench_topk.vectors(size, seed=size))
    cells = {}
    with processes(threads) as workers:
        for worker in workers:
            ask(worker, "corpus", str(path), threads)
        for kind, (queries, k) in product(("float32", "int8"), bench_topk.CELLS):
            seconds = ask(workers[0], "search", "native", (kind, queries, k, 1))[1]
            times = max(1, int(SHORTEST / max(seconds, SHORTEST / MOST_TIMES)))
            cells[f"{kind}, {queries} x {k}"] = cell = compare(workers, "search", (kind, queries, k, times))
            show(f"{size} rows, {kind}, {queries} x {k}", cell)
    return cells


@contextmanager
def processes(threads: int) -> Iterator[list[Worker]]:
    """The processes of a part."""
    workers = [Worker(f"native-{number + 1}", threads) for number in range(PROCESSES)]
    try:
        yield workers
    finally:
        for worker in workers:
            worker.close()


def compare(workers: list[Worker], task: str, what: object) -> dict:
    """One cell: whether the bits are the same, then pairs of laps in each process."""
    digests, laps = set(), []
    for worker in workers:
        digests |= {ask(worker, task, backend, what)[0] for backend in BACKENDS}  # the warm-up
        laps.append(pairs_of(worker, task, what))
    both = [pair for one in laps for pair in one]
    found: dict = {"same_bits": len(digests) == 1, "pairs": len(both)}
    for clock, name in ((0, ""), (1, "cpu_")):
        for side, backend in enumerate(BACKENDS):
            found[f"{backend}_{name}s"] = digits(statistics.median(pair[side][clock] for pair in both))
        # Of throughputs: above 1, native is faster.
        found[f"{name}ratio"] = round(ratio(both, clock), 3)
        found[f"{name}ratios"] = [round(ratio(one, clock), 3) for one in laps]
    return found


def pairs_of(worker: Worker, task: str, what: object) -> list[tuple]:
    """Pairs of seconds, wall and CPU each: of native kernels, and of Numba's."""
    pairs, begin = [], time.monotonic()
    while len(pairs) < PAIRS and (len(pairs) < FEWEST or time.monotonic() - begin < BUDGET):
        seconds = {}
        for backend in BACKENDS[:: -1 if len(pairs) % 2 else 1]:
            time.sleep(SETTLE)
            seconds[backend] = ask(worker, task, backend, what)[1:]
        pairs.append(tuple(seconds[backend] for backend in BACKENDS))
    return pairs


def ratio(pairs: list[tuple], clock: int) -> float:
    """The median of Numba's seconds over those of native kernels beside it."""
    return statistics.median(numba[clock] / native[clock] for native, numba in pairs)


def show(title: str, cell: dict) -> None:
    """A line on the terminal."""
    bits = "the same bits" if cell["same_bits"] else "OTHER BITS"
    each = " and ".join(f"{one:.3f}" for one in cell["cpu_ratios"])
    print(
        f"{title}: {bits}, native/numba {cell['ratio']:.3f}, by CPU time {cell['cpu_ratio']:.3f} ({each})", flush=True
    )


def ask(worker: Worker, task: str, *arguments) -> tuple[str, float, float]:
    """What a process answers: a digest, seconds, seconds of CPU."""
    return worker.ask("measure", "bench_native", task, *arguments)


# ---- in a process with both backends


def measure(task: str, *arguments) -> tuple[str, float, float]:
    """Load, or do the work of a cell once."""
    if task == "load":
        load_models(*arguments)
        return "", 0.0, 0.0
    if task == "corpus":
        load_corpus(*arguments)
        return "", 0.0, 0.0
    backend, what = arguments
    if task == "encode":
        return timed([lambda texts=texts: encoded(backend, texts) for texts in what])
    kind, queries, k, times = what
    return timed([lambda: _state[kind, backend](_state["queries"][:queries], k)] * times)


def load_models(folder: str, threads: int, dtype: str) -> None:
    """The same model twice."""
    from minembed import Embedder

    for backend in BACKENDS:
        _state[backend] = Embedder.load(folder, backend=backend, dtype=dtype, threads=threads)
        if _state[backend].backend != backend:
            raise ImportError(f"{backend} is not here: {_state[backend].backend} computed")


def load_corpus(path: str, threads: int) -> None:
    """The rows, their int8 copy, and the queries."""
    from minembed.runtime.backend import check
    from minembed.search.quantized import quantize_corpus
    from minembed.search.topk import top_k

    corpus = np.load(path, mmap_mode="r")
    small = quantize_corpus(corpus)
    for backend, (kind, copy) in product(BACKENDS, (("float32", None), ("int8", small))):
        check(backend)
        _state[kind, backend] = partial(searched, top_k, corpus, backend, threads, copy)
    _state["queries"] = bench_topk.mixed(corpus)


def encoded(backend: str, texts: list[str]) -> tuple[np.ndarray]:
    """The vectors of one call."""
    return (_state[backend].encode(texts, truncation="silent", show_progress_bar=False),)


def searched(top_k, corpus, backend: str, threads: int, copy, queries: np.ndarray, k: int) -> tuple:
    """The best rows of one call."""
    return top_k(queries, corpus, k, backend=backend, threads=threads, quantized=copy)


def timed(calls: list) -> tuple[str, float, float]:
    """The digest of all answers; seconds of the median call, and CPU seconds of all."""
    seconds, answers, cpu = [], [], time.process_time()
    for call in calls:
        start = time.perf_counter()
        answers.append(call())
        seconds.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    digest = hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for answer in answers for part in answer))
    return digest.hexdigest(), statistics.median(seconds), cpu
