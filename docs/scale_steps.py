"""The steps that docs/measure_scale.py measures: each is given a folder, and prints what it found as JSON.

python docs/scale_steps.py FOLDER STEP [DTYPE or PRECISION]
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

SAMPLED = 40_000  # texts that `encode` embeds in memory, to compare
ROUNDS = 3  # of both, in turn
FIRST = 60  # seconds, after which a job's estimate is noted
QUERIES = 20
Facts = dict[str, Any]


class Watch:
    """The time of a step, and the memory of its process, or of another."""

    def __init__(self, process: str = "self") -> None:
        self.process = process
        self.most, self.least, self.on = 0, own_memory(process), True
        self.began, self.cpu = time.perf_counter(), time.process_time()
        self.thread = threading.Thread(target=self.look, daemon=True)
        self.thread.start()

    def look(self) -> None:
        """Record the memory, again and again."""
        while self.on:
            self.most = max(self.most, own_memory(self.process))
            time.sleep(0.02)

    def facts(self) -> Facts:
        """The time and memory so far."""
        self.on = False
        self.most = max(self.most, own_memory(self.process))
        seconds, cpu = time.perf_counter() - self.began, time.process_time() - self.cpu
        return {"cpu": cpu, "seconds": seconds, "peak": self.most / 1e6, "above": (self.most - self.least) / 1e6}


def own_memory(process: str) -> int:
    """Bytes of a process that are not pages of files."""
    found = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def embed(folder: Path, dtype: str = "float32") -> Facts:
    """The job, and the error of its estimate after a minute."""
    from minembed import jobs

    model, texts = model_of(folder, dtype), sorted(folder.glob("texts-*.parquet"))
    model.encode(["warm", "a longer text " * 50] * 40)
    estimate = Estimate(folder / "vectors")
    watch = Watch()
    estimate.start()
    report = jobs.embed(
        texts, folder / "vectors", model, field="text", identity="id", show_progress_bar=False, truncation="silent"
    )
    return watch.facts() | {"rows": report.rows} | estimate.errors()


class Estimate(threading.Thread):
    """What a job says after a minute, or as soon as it says something: by the clock, and in seconds of CPU.

    Where other programs use the machine, only the second says how good it is: the rule of `jobs.status`, with the
    process's own seconds of CPU in place of the clock's.
    """

    def __init__(self, job: Path) -> None:
        super().__init__(daemon=True)
        self.job, self.told = job, 0.0
        self.made: list[float] = []  # seconds of CPU at the end of each shard
        self.began, self.cpu = time.perf_counter(), time.process_time()

    def run(self) -> None:
        """Ask."""
        from minembed import jobs

        while not self.told:
            time.sleep(0.1)
            there = len(list(self.job.glob("part-*")))
            self.made += [time.process_time() - self.cpu] * (there - len(self.made))
            now = time.perf_counter() - self.began
            if now > FIRST and there > 1:
                self.told = now + (jobs.status(self.job).seconds_left or 0.0)

    def errors(self) -> Facts:
        """By how much it was off."""
        from minembed.jobs.folder import begun_plan

        seconds, cpu, plan = time.perf_counter() - self.began, time.process_time() - self.cpu, begun_plan(self.job)
        if not self.told or plan is None:
            return {}
        work = [shard.work for shard in plan.shards]
        pace = (self.made[-1] - self.made[0]) / sum(work[1 : len(self.made)])
        expected = self.made[-1] + pace * sum(work[len(self.made) :])
        return {"estimate": (self.told - seconds) / seconds, "estimate_cpu": (expected - cpu) / cpu}


def encode(folder: Path, dtype: str = "float32") -> Facts:
    """Every n-th of the texts in memory, and as a job, in turn: the median of both."""
    import pyarrow.parquet

    from minembed import jobs

    model, sample = model_of(folder, dtype), folder / "sample.parquet"
    table = pyarrow.concat_tables(pyarrow.parquet.read_table(path) for path in sorted(folder.glob("texts-*.parquet")))
    table = table.take(np.arange(0, len(table), max(1, len(table) // SAMPLED)))
    runs: dict[str, list[Facts]] = {"encode": [], "job": []}
    for part in (table[:200], *[table] * ROUNDS):  # the first runs import modules and hash the weights
        pyarrow.parquet.write_table(part, sample)
        some = part["text"].to_pylist()
        watch = Watch()
        model.encode(some, truncation="silent")
        runs["encode"].append(watch.facts())
        shutil.rmtree(folder / "sample", ignore_errors=True)
        watch = Watch()
        jobs.embed(sample, folder / "sample", model, field="text", show_progress_bar=False, truncation="silent")
        runs["job"].append(watch.facts())
    shutil.rmtree(folder / "sample")
    sample.unlink()
    middle = {
        how: {name: float(np.median([one[name] for one in found[1:]])) for name in found[0]}
        for how, found in runs.items()
    }
    return middle["encode"] | {"rows": len(some)} | {f"job_{name}": value for name, value in middle["job"].items()}


def index(folder: Path, precision: str = "int8") -> Facts:
    """The index."""
    from minembed import jobs

    watch = Watch()
    rows = jobs.index(folder / "vectors", folder / precision, precision=precision, show_progress_bar=False)
    return watch.facts() | {"rows": rows, "bytes": size_of(folder / precision)}


def search(folder: Path, precision: str = "int8", memory: str = "") -> Facts:
    """The first answer after opening, and later ones; before that, the share of the files in the page cache.

    With `memory`, as much memory as the search reads was in use just before: a virtual machine gets its memory from
    the host at the first use, which costs CPU time of the process that uses it.
    """
    from minembed import Index
    from minembed.errors import InputError

    dice = np.random.default_rng(5)
    small = Index.build(dice.standard_normal((9000, 384), np.float32), precision=precision)  # type: ignore[arg-type]
    with suppress(InputError):  # no kernels here: NumPy computes
        small.search(np.ones(384), backend="numba")  # compiled, or read from the cache
    cached = share_cached(folder / precision)
    opened = Index.load(folder / precision)
    rows, width = len(opened), opened.dimension
    read = rows * {"int8": width + 12, "binary": width / 8, "float32": 4 * width}[precision]
    if memory:
        np.ones(int(read), np.uint8)
    watch = Watch()
    near = np.array(opened._rows.blocks[0].vectors[dice.integers(0, rows, QUERIES)])  # unchecked: made into queries
    queries = near + dice.standard_normal(near.shape, np.float32) * np.float32(0.5 / width**0.5)
    start, cpu = time.perf_counter(), time.process_time()
    opened.search(queries[0], k=10)
    first = {"first": time.perf_counter() - start, "first_cpu": time.process_time() - cpu}
    laps, cpus = [], []
    for query in queries:
        start, cpu = time.perf_counter(), time.process_time()
        opened.search(query, k=10)
        laps.append(time.perf_counter() - start)
        cpus.append(time.process_time() - cpu)
    facts = watch.facts() | first | {"rows": rows, "later": min(laps), "later_cpu": min(cpus), "cached": cached}
    pace, of_core = memory_pace()
    facts |= {"pace": read / min(laps) / 1e9, "memory": pace, "median": float(np.median(laps))}
    return facts | {"pace_cpu": read / min(cpus) / 1e9, "memory_cpu": of_core}


def exact(folder: Path) -> Facts:
    """`search` of an index in int8 finds what a scan of the float32 rows finds: three queries, block by block."""
    from minembed import Index, top_k

    opened = Index.load(folder / "int8", verify=False)
    rows, dice = opened.vectors, np.random.default_rng(6)
    queries = rows[dice.integers(0, len(rows), 3)] + dice.standard_normal((3, rows.shape[1])) * 0.03
    own = opened.search(queries, k=10, as_arrays=True)
    scores, places = np.zeros((3, 0)), np.zeros((3, 0), np.int64)
    for start in range(0, len(rows), 500_000):
        found = top_k(queries, rows[start : start + 500_000], 10, "cosine", backend="numpy")
        scores, places = np.append(scores, found[0], axis=1), np.append(places, start + found[1], axis=1)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :10]
    same = np.array_equal(own[1], np.take_along_axis(places, best, 1))
    return {"same": bool(same and np.array_equal(own[0], np.take_along_axis(scores, best, 1)))}


def equal(folder: Path) -> Facts:
    """Equal texts among all, by their digests."""
    from minembed.data.equal_texts import repeats
    from minembed.data.source import Source
    from minembed.data.texts import Selection, open_texts

    watch = Watch()
    texts = open_texts(Source.of(folder / "all.jsonl"), Selection(column="text"))
    rows = texts.survey().rows
    again = int(np.count_nonzero(repeats(texts, rows, folder)))
    return watch.facts() | {"rows": rows, "again": again}


def near(folder: Path) -> Facts:
    """Near duplicates among some vectors: the time grows with the square of their number."""
    from minembed import Index, deduplicate

    rows = Index.load(folder / "int8", verify=False).vectors[:50_000]
    watch = Watch()
    kept = deduplicate(rows, show_progress_bar=False)
    return watch.facts() | {"rows": len(rows), "again": len(rows) - len(kept)}


STEPS: dict[str, Callable[..., Facts]] = {
    "embed": embed,
    "encode": encode,
    "index": index,
    "search": search,
    "exact": exact,
    "equal": equal,
    "near": near,
}


def model_of(folder: Path, dtype: str) -> Any:
    """The model of a corpus."""
    from minembed import Embedder

    made = folder / "model"
    return Embedder.load(made if made.exists() else "all-MiniLM-L6-v2", dtype=dtype)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def share_cached(folder: Path) -> float:
    """The share of an index's largest file that is in the page cache, by `fincore`; -1 if that is not installed."""
    if shutil.which("fincore") is None:
        return -1
    (path,) = folder.glob("data-*/index.safetensors")
    done = subprocess.run(["fincore", "-bno", "RES", path], capture_output=True, text=True, check=True)
    return int(done.stdout) / path.stat().st_size


def memory_pace() -> tuple[float, float]:
    """GB per second that all cores read from memory, and that one core reads per second of CPU."""
    parts = np.array_split(np.ones(1 << 27, np.uint64), os.cpu_count() or 1)
    best = of_core = float("inf")
    for _ in range(5):
        threads = [threading.Thread(target=part.max) for part in parts]
        start, cpu = time.perf_counter(), time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        best, of_core = min(best, time.perf_counter() - start), min(of_core, time.process_time() - cpu)
    return (1 << 30) / best / 1e9, (1 << 30) / of_core / 1e9


if __name__ == "__main__":
    print(json.dumps(STEPS[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])))
