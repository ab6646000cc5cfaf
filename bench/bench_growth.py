"""How throughput grows with the length of texts and with threads, in every precision.

Texts have an exact number of tokens, since each of their words is one token; the model is loaded to read 512.
"""

import random
import time
from argparse import Namespace
from pathlib import Path

import workloads
from harness import Unavailable, Worker, record
from peers import PRECISIONS
from peers.folder import describe, load_tokenizer, resolve

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
TOKENS = 8192  # in each workload, for every length
LAPS = 3


def run(options: Namespace) -> int:
    """Measure and write results/growth.json; returns 1 if a precision cannot run."""
    folder = resolve(options.model)
    threads = sorted({1, options.threads})
    found: dict[str, dict] = {}
    for precision in PRECISIONS:
        for count in threads:
            worker = Worker(f"growth-{precision}-{count}", count)
            try:
                rates = worker.ask("measure", "bench_growth", str(folder), precision, count)
            except Unavailable as error:
                print(f"growth: {precision}: {error}", flush=True)
                return 1
            finally:
                worker.close()
            found.setdefault(precision, {})[str(count)] = rates
            print(f"{precision:10} {count} threads:", *rates.values(), "tokens/s", flush=True)
    about = {"model": describe(folder), "lengths": list(LENGTHS), "tokens": TOKENS, "tokens_per_s": found}
    record("growth", {"threads": options.threads, "laps": LAPS}, about, options.out)
    return 0


def measure(folder: str, precision: str, threads: int) -> dict[str, float]:
    """Tokens per second by length."""
    from minembed import Embedder

    model = Embedder.load(folder, backend="numba", dtype=precision, threads=threads, max_seq_length=max(LENGTHS))
    rates = {}
    for length in LENGTHS:
        texts = exact(Path(folder), length, TOKENS // length)
        model.encode(texts)
        laps = []
        for _ in range(LAPS):
            start = time.perf_counter()
            model.encode(texts)
            laps.append(time.perf_counter() - start)
        rates[str(length)] = round(TOKENS / sorted(laps)[LAPS // 2], 1)
    return rates


def exact(folder: Path, tokens: int, count: int) -> list[str]:
    """Texts with an exact number of tokens, the two special ones included."""
    rng, tokenizer = random.Random(6), load_tokenizer(folder)
    lists = (workloads.WHO, workloads.DOES, workloads.WHAT, workloads.WHERE, workloads.WHY)
    words = sorted({word for phrases in lists for phrase in phrases for word in phrase.split()})
    whole = [word for word in words if len(tokenizer.encode(word).ids) == 3]
    return [" ".join(rng.choices(whole, k=tokens - 2)) for _ in range(count)]
