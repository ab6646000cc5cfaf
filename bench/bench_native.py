"""Kernels compiled ahead of time beside those that Numba compiled here: the same bits, and how fast, in every cell.

Each backend has two processes; all take turns.  Seconds are those of the wall clock and of the CPU: with other users on
the machine, the second are what can be relied on.  How far the two of a backend are apart is what this cannot tell:
where the system puts their arrays makes up to some percent.
"""

import hashlib
import statistics
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
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
PROCESSES = [f"{backend} {number}" for number in (1, 2) for backend in BACKENDS]
LAPS = 5
BUDGET = 2.5  # seconds of a backend in a cell, after which the fewest laps will do
FEWEST = 3
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
    settings = {"threads": options.threads, "laps": LAPS, "settle_s": SETTLE, "texts": texts}
    record("native", settings, found, options.out)
    cells = [cell for part in ("encode", "topk") for row in found[part].values() for cell in row.values()]
    return 0 if all(cell["same_bits"] for cell in cells) else 1


def encoding(precision: str, works: list, model: Model, threads: int) -> dict:
    """Every workload in one precision."""
    cells = {}
    with processes(threads) as workers:
        for name, worker in workers.items():
            folder = str(stored(model.folder, model.work, precision))
            ask(worker, "load", folder, threads, backend_of(name), precision)
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
        for name, worker in workers.items():
            ask(worker, "corpus", str(path), threads, backend_of(name))
        for kind, (queries, k) in product(("float32", "int8"), bench_topk.CELLS):
            seconds = ask(workers[PROCESSES[0]], "search", (kind, queries, k, 1))[1]
            times = max(1, int(SHORTEST / max(seconds, SHORTEST / MOST_TIMES)))
            cells[f"{kind}, {queries} x {k}"] = cell = compare(workers, "search", (kind, queries, k, times))
            show(f"{size} rows, {kind}, {queries} x {k}", cell)
    return cells


@contextmanager
def processes(threads: int) -> Iterator[dict[str, Worker]]:
    """The processes of a part, by the names in PROCESSES."""
    workers = {name: Worker(f"native-{name.replace(' ', '-')}", threads) for name in PROCESSES}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.close()


def backend_of(process: str) -> str:
    """The backend of a process."""
    return process.partition(" ")[0]


def compare(workers: dict[str, Worker], task: str, what: object) -> dict:
    """One cell: whether the bits are the same, then laps in turn."""
    answers = {name: ask(worker, task, what) for name, worker in workers.items()}  # the warm-up
    laps: dict[str, list[tuple[float, float]]] = {name: [] for name in workers}
    for lap in range(LAPS):
        for name in PROCESSES[:: 1 if lap % 2 else -1]:
            done = laps[name]
            if len(done) < FEWEST or sum(wall for wall, _ in done) < BUDGET:
                time.sleep(SETTLE)
                done.append(ask(workers[name], task, what)[1:])
    medians = {name: [statistics.median(column) for column in zip(*done, strict=True)] for name, done in laps.items()}
    wall, cpu = (by_backend({name: both[clock] for name, both in medians.items()}) for clock in (0, 1))
    return {
        "same_bits": len({digest for digest, *_ in answers.values()}) == 1,
        **{f"{name}_s": digits(statistics.mean(seconds)) for name, seconds in wall.items()},
        **{f"{name}_cpu_s": digits(statistics.mean(seconds)) for name, seconds in cpu.items()},
        "ratio": ratio(wall),  # of throughputs: above 1, native is faster
        "cpu_ratio": ratio(cpu),
        "apart": apart(wall),
        "cpu_apart": apart(cpu),
        "laps": len(laps[PROCESSES[0]]),
    }


def by_backend(medians: dict[str, float]) -> dict[str, list[float]]:
    """The seconds of each backend's processes."""
    return {backend: [x for name, x in medians.items() if backend_of(name) == backend] for backend in BACKENDS}


def ratio(seconds: dict[str, list[float]]) -> float:
    """Numba's seconds over those of native kernels."""
    return round(statistics.mean(seconds["numba"]) / statistics.mean(seconds["native"]), 3)


def apart(seconds: dict[str, list[float]]) -> float:
    """How far two processes of the same backend are apart, as a ratio: the further of both backends."""
    return round(max(max(x) / min(x) for x in seconds.values()), 3)


def show(title: str, cell: dict) -> None:
    """A line on the terminal."""
    bits = "the same bits" if cell["same_bits"] else "OTHER BITS"
    print(
        f"{title}: {bits}, native/numba {cell['ratio']:.3f}, by CPU time {cell['cpu_ratio']:.3f}"
        f", processes of one backend {cell['apart']:.3f} and {cell['cpu_apart']:.3f}",
        flush=True,
    )


def ask(worker: Worker, task: str, *arguments) -> tuple[str, float, float]:
    """What a backend's process answers: a digest, seconds, seconds of CPU."""
    return worker.ask("measure", "bench_native", task, *arguments)


# ---- in a backend's process


def measure(task: str, *arguments) -> tuple[str, float, float]:
    """Load, or do the work of a cell once."""
    if task == "load":
        from minembed import Embedder

        folder, threads, backend, dtype = arguments
        _state["model"] = Embedder.load(folder, backend=backend, dtype=dtype, threads=threads)
        if _state["model"].backend != backend:
            raise ImportError(f"{backend} is not here: {_state['model'].backend} computed")
        return "", 0.0, 0.0
    if task == "corpus":
        load_corpus(*arguments)
        return "", 0.0, 0.0
    if task == "encode":
        return timed([lambda texts=texts: encoded(texts) for texts in arguments[0]])
    kind, queries, k, times = arguments[0]
    return timed([lambda: _state[kind](_state["queries"][:queries], k)] * times)


def load_corpus(path: str, threads: int, backend: str) -> None:
    """The rows, their int8 copy, and the queries."""
    from minembed.runtime.backend import check
    from search_peers import minembed

    check(backend)
    corpus = np.load(path, mmap_mode="r")
    _state["float32"] = minembed(corpus, threads, backend)
    _state["int8"] = minembed(corpus, threads, backend, quantized=True)
    _state["queries"] = bench_topk.mixed(corpus)


def encoded(texts: list[str]) -> tuple[np.ndarray]:
    """The vectors of one call."""
    return (_state["model"].encode(texts, truncation="silent", show_progress_bar=False),)


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
