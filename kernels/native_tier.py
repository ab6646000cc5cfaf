"""The native tier: the compiled tiers with functions from a library built with the wheel, without Numba.

Each part is imported when it is called, so that encoding does not load search and training.
"""

from typing import TYPE_CHECKING

import numpy as np

from minembed.kernels.compiled.ahead_of_time import open_native
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.kernels.encoder.prepared import PackedEncoder
    from minembed.kernels.training.operations import StepOperations
    from minembed.search.quantized import QuantizedCorpus
    from minembed.search.topk import Search
    from minembed.transformer.config import Config
    from minembed.transformer.params import Params


def prepare(params: "Params", config: "Config", dtype: str, keep_params: bool = False) -> "PackedEncoder":
    """As in kernels/encoder/tier.py; raises BackendError if no library fits this CPU."""
    from minembed.kernels.encoder import tier

    return tier.prepare(params, config, dtype, keep_params, open_native())


def scan(
    search: "Search", corpus: Array, threads: int, quantized: "QuantizedCorpus | None" = None
) -> tuple[Array, Array]:
    """As kernels/topk/tier.py."""
    from minembed.kernels.topk import tier

    return tier.scan(search, corpus, threads, quantized, open_native())


def rescore(search: "Search", corpus: Array, which: Array, found: Array, threads: int) -> Array:
    """As kernels/topk/tier.py."""
    from minembed.kernels.topk import tier

    return tier.rescore(search, corpus, which, found, threads, open_native())


def update(p: Array, m: Array, v: Array, g: Array, constants: Array) -> None:
    """As minembed.train.optim."""
    open_native()[f"update_{p.dtype}"](p, m, v, g, constants)


def replay(p: Array, m: Array, v: Array, rows: Array, last: Array, first: int, table: Array) -> None:
    """As minembed.train.optim."""
    rows, last = (np.ascontiguousarray(x, np.int64) for x in (rows, last))  # token ids have 32 bits
    open_native()[f"replay_{p.dtype}"](p, m, v, rows, last, first, table)


def step_operations() -> "StepOperations":
    """As in kernels/training/operations.py."""
    from minembed.kernels.training.operations import StepOperations

    return StepOperations(open_native())
