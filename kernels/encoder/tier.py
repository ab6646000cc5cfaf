"""The numba tier: an encoder, packed for this CPU, as a function of tokens.

Everything that can fail is done at `prepare`: compiling (seconds, once on a machine), and a self-test of every tile.
"""

import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minembed.kernels.compiled import cache as cached
from minembed.kernels.encoder import selftest
from minembed.kernels.encoder.architecture import GATED, Shape, architecture_of, patterns_of, shape_of
from minembed.kernels.encoder.layer import ALL_ROWS, FIRST_ROWS, LAST_ROWS
from minembed.kernels.encoder.packing import WEIGHTS, Packed, aligned, pack
from minembed.kernels.encoder.run import CHUNK, run
from minembed.kernels.encoder.sharing import CLOSED, JOB_WORDS, SHARED, assist
from minembed.kernels.encoder.workspace import SHARED_ROWS, operand_elements, sizes
from minembed.kernels.helpers import helper
from minembed.kernels.tiles.registers import PANEL
from minembed.kernels.vectors.target import TARGET
from minembed.transformer.config import Config
from minembed.transformer.encoder import embed, normalize
from minembed.transformer.params import Embeddings, Norm, Params
from minembed.transformer.positions import positions
from minembed.transformer.quantization import lower
from minembed.transformer.tier import NumPyTier, Tier
from minembed.transformer.tier import prepare as numpy_tier
from minembed.transformer.tokens import Tokens
from minembed.types import Array

ONE_ROW = {"cls": FIRST_ROWS, "lasttoken": LAST_ROWS}
SHARED_WORK = 100_000_000  # bytes of weights times tokens, below which waking a second core costs more than it saves
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
class Encoder(Tier):
    """A prepared encoder: call it with tokens.  Nothing in it changes but the buffers that idle between calls."""

    packed: Packed
    config: Config
    shape: Shape
    architecture: tuple[int, ...]
    patterns: tuple[Array, Array, Array]  # biases, rotations, and what each layer sees: architecture.patterns_of
    embeddings: Embeddings | None  # where NumPy computes them
    final_norm: Norm | None
    reference: NumPyTier | None = field(default=None, repr=False, compare=False)  # where it is kept
    zeros: Array = field(init=False, repr=False, compare=False)

    idle: "deque[Scratch]" = field(default_factory=deque, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "zeros", np.zeros(max(self.config.hidden_size, 2 * PANEL) + MARGIN, np.float32))
        self.packed.word.flags.writeable = False  # a pickled copy has forgotten it, and would be compiled for anew

    def __reduce__(self) -> tuple[Any, ...]:
        numbers = self.shape, self.architecture, self.patterns
        return Encoder, (self.packed, self.config, *numbers, self.embeddings, self.final_norm, self.reference)

    @property
    def dtype(self) -> str:
        """The compute type."""
        return self.packed.dtype

    @property
    def shares_work(self) -> bool:
        """Whether a second core can help with few tokens: it can."""
        return True

    @property
    def needs_blas(self) -> bool:
        """Whether BLAS has work to do: it has where embeddings are widened."""
        return self.embeddings is not None and self.embeddings.projection is not None

    def __call__(self, tokens: Tokens, together: bool = False) -> Array:  # (T,) -> (T, D)
        """Compute the hidden states of every token.

        `together` lets a second core help with few tokens, if it is idle; it changes no bit.
        """
        out = np.empty((len(tokens.ids), self.config.hidden_size), np.float32)
        if not len(tokens):
            return out
        self._run(tokens, out, together=together)
        return normalize(out, self.final_norm, self.config)

    def pooled(
        self, tokens: Tokens, modes: Sequence[str], skipped: int = 0, together: bool = False
    ) -> Array:  # (T,) -> (B, len(modes) * D)
        """Compute the hidden states and pool them; of the last layer only one row a text, where that is enough."""
        if len(modes) == 1 and modes[0] in ONE_ROW and not skipped:
            return self.one_row(tokens, modes[0], together)
        return super().pooled(tokens, modes, skipped, together)

    def one_row(self, tokens: Tokens, mode: str, together: bool = False) -> Array:  # (T,) -> (B, D)
        """Pool by "cls" or "lasttoken": what the last layer would compute for other tokens is left out."""
        rows = len(tokens) if self.embeddings is None else len(tokens.ids)
        out = np.empty((rows, self.config.hidden_size), np.float32)
        if len(tokens):
            self._run(tokens, out, ONE_ROW[mode], together)
        return normalize(out[: len(tokens)], self.final_norm, self.config)

    def _run(self, tokens: Tokens, out: Array, keep: int = ALL_ROWS, together: bool = False) -> None:
        """Compute all layers into `out`; embeddings that NumPy computes are handed over there."""
        p, cu_seqlens, embedded = self.packed, tokens.cu_seqlens.astype(np.int64), self.embeddings is not None
        if self.embeddings is not None:
            out[...] = embed(tokens, self.embeddings, self.config)
        scratch = self._take(min(int(cu_seqlens[-1]), CHUNK + int(np.diff(cu_seqlens).max())))
        ids, kinds, places = self._look_up(tokens)
        job = np.zeros(JOB_WORDS, np.int64)
        worth = cu_seqlens[-1] * p.weights.nbytes >= SHARED_WORK
        try:
            if together and worth and cu_seqlens[-1] <= SHARED_ROWS:
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

    def _look_up(self, tokens: Tokens) -> tuple[Array, Array, Array]:
        """The rows of the three tables; row 0, which is all zeros, of a table that the architecture lacks."""
        config, none = self.config, np.zeros(len(tokens.ids), np.int64)
        kinds = tokens.types.astype(np.int64) if config.type_vocab_size else none
        absolute = config.position_embedding_type == "absolute" and self.embeddings is None
        return tokens.ids.astype(np.int64), kinds, positions(tokens, config.padding_idx) if absolute else none

    def _take(self, rows: int) -> Scratch:
        """An idle buffer of at least so many rows, or a new one; too small ones are given up."""
        while True:
            try:
                scratch = self.idle.pop()
            except IndexError:
                return Scratch.make(rows, self.shape, self.architecture[GATED], self.packed.dtype)
            if scratch.rows >= rows:
                return scratch


def prepare(params: Params, config: Config, dtype: str, keep_params: bool = False) -> Encoder:
    """Pack the parameters, compile what is not on disk yet, and test the kernels.

    `keep_params` keeps what was packed, as the parameters of a NumPy tier, in `reference`.
    Raises InputError for a compute type that does not exist, BackendError where a kernel computes wrong numbers.
    """
    lowered = lower(params, dtype)
    compile_kernels(dtype)
    selftest.check(lambda p, c: _pack(p, c, dtype), dtype)
    kept = numpy_tier(lowered, config, dtype) if keep_params else None
    return replace(_pack(lowered, config, dtype), reference=kept)


def _pack(lowered: Params, config: Config, dtype: str) -> Encoder:
    p = lowered.embeddings
    own = p if p.norm is None or p.projection is not None else None
    return Encoder(
        pack(lowered, config, dtype, PANEL),
        config,
        shape_of(config),
        architecture_of(lowered, config),
        patterns_of(lowered, config),
        own,
        lowered.final_norm,
    )


def compile_kernels(dtype: str) -> float:
    """Compile the kernels of a compute type, or load them from disk; returns the seconds it took."""
    begin = time.perf_counter()
    if sys.stderr is not None and sys.stderr.isatty() and not is_compiled(dtype):
        print(f"minembed: compiling {dtype} kernels for {TARGET.describe()}, once on this machine", file=sys.stderr)
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
    return cached.is_stored(run, signature(dtype))


def describe() -> str:
    """Name the instructions that the kernels are compiled for.

    >>> bool(describe())
    True
    """
    return TARGET.describe()
