"""The kernels that most tests need, shared out: one process compiles a kernel, and others find it on disk."""

import numpy as np

from minembed import top_k
from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.encoder.tier import compile_kernels
from minembed.search.quantized import quantize_corpus


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
