"""The numba tier: an encoder, packed for this CPU, as a function of tokens.

Everything that can fail is done at `prepare`: compiling (seconds, once on a machine), and a self-test of every tile.
"""

import sys
import time
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minembed.kernels.compiled import cache as cached
from minembed.kernels.encoder import selftest
from minembed.kernels.encoder.architecture import GATED, Shape, architecture_of, patterns_of, shape_of
from minembed.kernels.encoder.packing import WEIGHTS, aligned, numpy_embeddings, pack
from minembed.kernels.encoder.prepared import PackedEncoder, take, worth_sharing
from minembed.kernels.encoder.run import CHUNK, run
from minembed.kernels.encoder.sharing import CLOSED, JOB_WORDS, SHARED, assist
from minembed.kernels.encoder.workspace import SHARED_ROWS, operand_elements, sizes
from minembed.kernels.helpers import helper
from minembed.kernels.tiles.permission import tiles_usable
from minembed.kernels.tiles.registers import PANEL
from minembed.kernels.vectors.target import TARGET
from minembed.transformer.config import Config
from minembed.transformer.params import Params
from minembed.transformer.quantization import lower
from minembed.transformer.tier import prepare as numpy_tier
from minembed.transformer.tokens import Tokens
from minembed.types import Array

MARGIN = 64  # elements at the end of each buffer, for vectors that reach beyond a row
_sizes: Any = sizes
_elements: Any = operand_elements


@dataclass(frozen=True, slots=True)
class Scratch:
    """Room for the activations of so many rows; one thread uses it at a time."""

    rows: int
    floats: Array
    zero_points: Array
    operand: Array

    @classmethod
    def make(cls, rows: int, shape: Shape, gated: int, dtype: str) -> "Scratch":
        """Allocate."""
        parts: tuple[int, ...] = _sizes(rows, shape, gated)
        kind = np.uint16 if dtype == "bfloat16" else np.uint8
        operand = aligned(MARGIN if dtype == "float32" else 2 * _elements(rows, shape), kind)
        zeros = aligned(parts[-1] + MARGIN, np.int32)
        return cls(rows, aligned(sum(parts) + MARGIN, np.float32), zeros, operand)


@dataclass(frozen=True)
class Encoder(PackedEncoder):
    """An encoder on the CPU's vector units."""

    shape: Shape = (0,) * 8
    zeros: Array = field(init=False, repr=False, compare=False)
    idle: "deque[Scratch]" = field(default_factory=deque, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "zeros", np.zeros(max(self.config.hidden_size, 2 * PANEL) + MARGIN, np.float32))

    def __reduce__(self) -> tuple[Any, ...]:
        own = self.embeddings, self.final_norm, self.reference
        return Encoder, (self.packed, self.config, self.architecture, self.patterns, *own, self.shape)

    def _run(self, tokens: Tokens, out: Array, keep: int, together: bool) -> None:
        p, cu_seqlens, embedded = self.packed, tokens.cu_seqlens.astype(np.int64), self.embeddings is not None
        longest = int(np.diff(cu_seqlens).max())
        scratch = take(self.idle, min(int(cu_seqlens[-1]), CHUNK + longest), self._make)
        ids, kinds, places = self._look_up(tokens)
        job = np.zeros(JOB_WORDS, np.int64)
        try:
            if together and cu_seqlens[-1] <= SHARED_ROWS and worth_sharing(cu_seqlens[-1], p.weights.nbytes):
                operand = scratch.floats if p.dtype == "float32" else scratch.operand
                types = p.weights, operand, scratch.floats, scratch.zero_points
                job[SHARED] = helper.ask(lambda: assist(job, *types))
            run(
                ids, kinds, places, cu_seqlens, p.weights, p.scales, p.sums, p.vectors, p.word, p.word_scales,
                p.position, p.token_type, p.norm, self.zeros, *self.patterns, self.shape, self.architecture,
                np.float32(self.config.layer_norm_eps), embedded, keep, job, scratch.floats,
                scratch.zero_points, scratch.operand, scratch.rows, out.reshape(-1),
            )  # fmt: skip
        finally:
            job[CLOSED] = 1  # whatever happens: a helper takes panels until then
        self.idle.append(scratch)

    def _make(self, rows: int) -> Scratch:
        return Scratch.make(rows, self.shape, self.architecture[GATED], self.packed.dtype)


def on_tiles(dtype: str) -> Any:
    """The module that computes this type on tiles, if tiles are what this process computes it on."""
    if dtype == "float32" or not tiles_usable():
        return None
    from minembed.kernels.encoder.tiled import tiled_encoder

    return tiled_encoder


def prepare(params: Params, config: Config, dtype: str, keep_params: bool = False) -> PackedEncoder:
    """Pack the parameters, compile what is not on disk yet, and test the kernels.

    `keep_params` keeps what was packed, as the parameters of a NumPy tier, in `reference`.
    Raises InputError for a compute type that does not exist, BackendError where a kernel computes wrong numbers.
    """
    lowered, tiled = lower(params, dtype), on_tiles(dtype)
    make = tiled.pack_encoder if tiled else pack_encoder
    compile_kernels(dtype)
    selftest.check(lambda p, c: make(p, c, dtype), dtype)
    kept = numpy_tier(lowered, config, dtype) if keep_params else None
    return replace(make(lowered, config, dtype), reference=kept)


def pack_encoder(lowered: Params, config: Config, dtype: str) -> Encoder:
    """The encoder on vectors, of parameters that were lowered to its type."""
    return Encoder(
        pack(lowered, config, dtype, PANEL),
        config,
        architecture_of(lowered, config),
        patterns_of(lowered, config),
        numpy_embeddings(lowered),
        lowered.final_norm,
        shape=shape_of(config),
    )


def compile_kernels(dtype: str) -> float:
    """Compile the kernels of a compute type, or load them from disk; returns the seconds it took."""
    begin = time.perf_counter()
    if sys.stderr is not None and sys.stderr.isatty() and not is_compiled(dtype):
        print(f"minembed: compiling {dtype} kernels for {TARGET.describe()}, once on this machine", file=sys.stderr)
    tiled = on_tiles(dtype)
    if tiled:
        tiled.compile_kernels(dtype)
        return time.perf_counter() - begin
    compiled = signature(dtype)
    run.compile(compiled)
    job, weights, floats, zero_points, operand = (compiled[i] for i in (0, 4, 5, 6, -3))
    assist.compile((job, weights, floats if dtype == "float32" else operand, floats, zero_points))
    return time.perf_counter() - begin


def signature(dtype: str) -> tuple[Any, ...]:
    """The types of run's arguments for a compute type."""
    from numba import typeof as find_type
    from numba import types

    typeof: Any = find_type
    weights = typeof(np.zeros(0, WEIGHTS[dtype]))
    table = weights.copy(readonly=True)  # it may be mapped from a file
    floats, ints = typeof(np.zeros(0, np.float32)), typeof(np.zeros(0, np.int64))
    words, operand = typeof(np.zeros(0, np.int32)), typeof(np.zeros(0, np.uint16 if dtype == "bfloat16" else np.uint8))
    i = types.int64
    return (
        *(ints, ints, ints, ints, weights, floats, words, floats, table, floats, floats, floats, floats, floats),
        *(floats, floats, ints, typeof((0,) * 8), typeof((0,) * 6), types.float32, types.boolean, i),
        *(ints, floats, words, operand, i, floats),
    )  # fmt: skip


def is_compiled(dtype: str) -> bool:
    """Whether the kernels of a compute type are loaded, or lie on disk for this CPU."""
    tiled = on_tiles(dtype)
    return bool(tiled.is_compiled(dtype)) if tiled else cached.is_stored(run, signature(dtype))


def describe() -> str:
    """Name the instructions that the kernels are compiled for.

    >>> bool(describe())
    True
    """
    return TARGET.describe()
