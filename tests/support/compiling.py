"""The kernels that most tests need, shared out: one process compiles a kernel, and others find it on disk."""

import numpy as np

from minembed import top_k
from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.encoder.tier import compile_kernels
from minembed.kernels.tiles.amx import HARDWARE
from minembed.search.quantized import quantize_corpus


def compile_top_k() -> None:
    """The kernels of top-k: one query and several, on floats and on bytes."""
    rows = np.random.default_rng(0).standard_normal((50, 16), dtype=np.float32)
    for queries in (rows[:1], rows[:3]):
        for quantized in (None, quantize_corpus(rows)):
            top_k(queries, rows, 3, "cosine", backend="numba", threads=1, quantized=quantized)


def compile_tiled() -> None:
    """The encoder on tiles, where this process has some; on emulated ones `make fuzz` alone tests it."""
    if HARDWARE:
        JIT.compile(("run_tiled", "assist_tiled", "embed_texts_bfloat16"))


def warm_up(worker: int, workers: int) -> None:
    """Compile this worker's share of what most tests need.  What the others compile meanwhile is loaded when a test
    asks for it: nobody waits."""
    tasks = [lambda dtype=dtype: compile_kernels(dtype) for dtype in ("float32", "int8")]
    tasks += [compile_top_k, lambda: compile_kernels("bfloat16"), compile_tiled]
    for task in tasks[worker::workers]:
        task()
