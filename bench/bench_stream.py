"""Peak memory while a generator of texts goes through `model.stream`.

It runs in a process of its own. The limit is on top of what is resident once the model is loaded and has answered once;
the vectors are looked at and dropped, so no output is part of it.
"""

import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterable

import numpy as np

import memory
import workloads
from harness import Failed, Worker, WrongAnswer, compare, record
from peers import FLOAT32
from peers.folder import describe, resolve

INTERVAL = 2.0  # seconds between readings of the resident size
KEPT = 1000  # every n-th text is embedded again afterwards, alone, and compared


def run(options: Namespace) -> int:
    """Measure and write results/stream.json; returns 1 if the vectors are wrong."""
    folder = resolve(options.model)
    worker = Worker("stream", options.threads)
    try:
        found = worker.ask("measure", "bench_stream", str(folder), options.threads, options.count)
    except Failed as error:
        print(f"stream failed: {error}", file=sys.stderr)
        return 1
    finally:
        worker.close()
    extra = found["peak_mb"] - found["loaded_mb"] if found["peak_mb"] else float("nan")
    print(f"{found['texts']} texts in {found['seconds']} s: {extra:.1f} MB above the loaded model", flush=True)
    record("stream", {"threads": options.threads}, {"model": describe(folder), **found}, options.out)
    return 0


def measure(folder: str, threads: int, count: int) -> dict:
    """Stream `count` generated texts: memory before, during and at the peak; raises WrongAnswer."""
    from minembed import Embedder

    model = Embedder.load(folder, backend="numpy", threads=threads)
    model.encode(["a first text"])
    loaded, since_loaded = memory.resident_mb() or memory.peak_mb(), memory.reset_peak()
    start = time.perf_counter()
    with Sampler() as sampler:
        rows, kept = drain(model.stream(workloads.endless(count)))
    seconds, peak = time.perf_counter() - start, memory.peak_mb()
    if rows != count:
        raise WrongAnswer(f"{count} texts went in, {rows} vectors came out")
    again = [text for number, text in enumerate(workloads.endless(count)) if number % KEPT == 0]
    agreement = compare(np.array(kept), model.encode(again), FLOAT32)
    return {
        "texts": rows,
        "seconds": round(seconds, 1),
        "texts_per_s": round(rows / seconds, 1),
        "loaded_mb": loaded and round(loaded, 1),
        "peak_mb": peak and round(peak, 1),
        "peak_counts_from_load": since_loaded,
        "resident_mb": sampler.readings,
        "max_abs_diff": agreement.max_abs_diff,
    }


def drain(blocks: Iterable[np.ndarray]) -> tuple[int, list[np.ndarray]]:
    """Read the blocks and drop them; returns the number of rows, and a copy of every KEPT-th."""
    rows, kept = 0, []
    for block in blocks:
        kept += [block[i].copy() for i in range(-rows % KEPT, len(block), KEPT)]
        rows += len(block)
    return rows, kept


class Sampler:
    """Reads the resident size regularly, in a thread of its own, while the `with` block runs."""

    def __init__(self):
        self.readings: list[list[float]] = []  # [seconds since the start, MB]
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)

    def __enter__(self) -> "Sampler":
        self.thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.done.set()
        self.thread.join()

    def sample(self) -> None:
        start = time.perf_counter()
        while (resident := memory.resident_mb()) is not None:
            self.readings.append([round(time.perf_counter() - start, 1), round(resident, 1)])
            if self.done.wait(INTERVAL):
                return
