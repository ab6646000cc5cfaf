"""Divide the compilation of common kernels among processes: one compiles a kernel, and others find it on disk."""

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
    """The encoder on tiles, if this process has them; only `make fuzz` tests it on emulated ones."""
    if HARDWARE:
        JIT.compile(("run_tiled", "assist_tiled", "embed_texts_bfloat16"))


def warm_up(worker: int, workers: int) -> None:
    """Compile this worker's share of the kernels that most tests need.  Those of the other workers are loaded when a
    test needs them."""
    tasks = [lambda dtype=dtype: compile_kernels(dtype) for dtype in ("float32", "int8")]
    tasks += [compile_top_k, lambda: compile_kernels("bfloat16"), compile_tiled]
    for task in tasks[worker::workers]:
        task()
