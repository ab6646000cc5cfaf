"""Kernels are compiled once, however many processes test: the first that needs one compiles it, the others wait."""

import hashlib
from pathlib import Path

import numpy as np
from filelock import FileLock

from minembed import top_k
from minembed.kernels.compiled import cache
from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.encoder.tier import compile_kernels
from minembed.search.quantized import quantize_corpus

MINUTES = 10 * 60  # more than any kernel takes; who has waited so long compiles for itself


def compile_in_one_process(locks: Path) -> None:
    """Hold a lock, a file in this folder, while a kernel is compiled; whoever gets it next finds the kernel on disk."""
    load, save, held = cache._Cache.load_overload, cache._Cache.save_overload, {}

    def load_overload(self, sig, target_context):
        if (found := load(self, sig, target_context)) is not None:
            return found
        key = f"{self.cache_path} {self._impl.filename_base} {self._index_key(sig, target_context.codegen())}"
        lock = FileLock(locks / f"{hashlib.sha256(key.encode()).hexdigest()}.lock", timeout=MINUTES)
        lock.acquire()
        if (found := load(self, sig, target_context)) is not None:
            lock.release()
            return found
        held[id(self), sig] = lock
        return None

    def save_overload(self, sig, data):
        try:
            save(self, sig, data)
        finally:
            if lock := held.pop((id(self), sig), None):
                lock.release()

    cache._Cache.load_overload, cache._Cache.save_overload = load_overload, save_overload


def compile_top_k() -> None:
    """The kernels of top-k: one query and several, on floats and on bytes."""
    rows = np.random.default_rng(0).standard_normal((50, 16), dtype=np.float32)
    for queries in (rows[:1], rows[:3]):
        for quantized in (None, quantize_corpus(rows)):
            top_k(queries, rows, 3, "cosine", backend="numba", threads=1, quantized=quantized)


def compile_tiled() -> None:
    """The encoder on tiles, which is tested on emulated ones where there are none."""
    JIT.compile(("run_tiled", "assist_tiled", "embed_texts_bfloat16"))


def warm_up(worker: int, workers: int) -> None:
    """Compile what most tests need, or load it: each worker its share first, then what the others have made."""
    tasks = [lambda dtype=dtype: compile_kernels(dtype) for dtype in ("float32", "int8", "bfloat16")]
    tasks += [compile_tiled, compile_top_k]
    for i in sorted(range(len(tasks)), key=lambda i: (i % workers != worker % workers, i)):
        tasks[i]()
