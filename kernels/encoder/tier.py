"""The compiled tier: an encoder, packed for this CPU, as a function of tokens.

Everything that can fail is done in `prepare`: compiling (seconds, once per machine), and a self-test of every tile.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minembed.errors import BackendError
from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.compiled.once import tell
from minembed.kernels.encoder import selftest
from minembed.kernels.encoder.architecture import GATED, Shape, architecture_of, patterns_of, shape_of
from minembed.kernels.encoder.by_length import by_length
from minembed.kernels.encoder.job import CLOSED, JOB_WORDS, SHARED
from minembed.kernels.encoder.packing import aligned, numpy_embeddings, pack
from minembed.kernels.encoder.prepared import PackedEncoder, take, worth_sharing
from minembed.kernels.encoder.tiled.packing import is_whole
from minembed.kernels.encoder.workspace import CHUNK, SHARED_ROWS, operand_elements, sizes
from minembed.kernels.entries import ENTRIES, Entries
from minembed.kernels.helpers import helper
from minembed.kernels.tiles.permission import tiles_usable
from minembed.kernels.tiles.shapes import PANEL
from minembed.kernels.vectors.target import TARGET
from minembed.transformer.config import Config
from minembed.transformer.params import Params
from minembed.transformer.quantization import lower
from minembed.transformer.tier import prepare as numpy_tier
from minembed.transformer.tokens import Tokens
from minembed.types import Array

SECONDS = {"float32": 20, "bfloat16": 30, "int8": 30, "search": 10, "training": 10}  # of compiling
SECONDS |= {f"tiled {dtype}": seconds for dtype, seconds in (("float32", 80), ("bfloat16", 50), ("int8", 50))}
OTHERS = {  # parts that do not encode: the entries whose source is in the folder of a part
    part: tuple(name for name, entry in ENTRIES.items() if entry.module.startswith(f"{folder}."))
    for part, folder in (("search", "topk"), ("training", "training"))
}
MARGIN = 64  # elements at the end of each buffer, for vectors that extend beyond a row


@dataclass(frozen=True, slots=True)
class Scratch:
    """Buffers for the activations of a number of rows; used by one thread at a time."""

    rows: int
    floats: Array
    zero_points: Array
    operand: Array

    @classmethod
    def make(cls, rows: int, shape: Shape, gated: int, dtype: str) -> "Scratch":
        """Allocate the buffers."""
        parts = sizes(rows, shape, gated)
        kind = np.uint16 if dtype == "bfloat16" else np.uint8
        operand = aligned(MARGIN if dtype == "float32" else 2 * operand_elements(rows, shape), kind)
        zeros = aligned(parts[-1] + MARGIN, np.int32)
        return cls(rows, aligned(sum(parts) + MARGIN, np.float32), zeros, operand)


@dataclass(frozen=True)
class Encoder(PackedEncoder):
    """An encoder on the CPU's vector units."""

    shape: Shape = (0,) * 8
    run: Callable[..., None] = field(init=False, repr=False, compare=False)
    idle: "deque[Scratch]" = field(default_factory=deque, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.packed.panel != PANEL:  # it was pickled on another machine
            raise BackendError(
                f"the weights are packed by panels of {self.packed.panel} columns, and the kernels of this machine, "
                f"for {TARGET.describe()}, take panels of {PANEL}: load the model here, from its folder"
            )
        p, eps = self.packed, np.float32(self.config.layer_norm_eps)
        zeros = np.zeros(max(self.config.hidden_size, 2 * PANEL) + MARGIN, np.float32)
        fixed = (
            p.weights, p.scales, p.sums, p.vectors, p.word, p.word_scales, p.position, p.token_type, p.norm, zeros,
            *self.patterns, self.shape, self.architecture, eps, self.embeddings is not None,
        )  # fmt: skip
        bound = self.entries.bind(f"run_{p.dtype}", dict(enumerate(fixed, 4)))
        object.__setattr__(self, "run", bound)

    def __reduce__(self) -> tuple[Any, ...]:
        own = self.embeddings, self.final_norm, self.reference, self.entries
        return Encoder, (self.packed, self.config, self.architecture, self.patterns, *own, self.shape)

    def _run(self, tokens: Tokens, out: Array, keep: int, together: bool) -> None:
        p, cu_seqlens = self.packed, tokens.cu_seqlens.astype(np.int64)
        longest = int(np.diff(cu_seqlens).max())
        scratch = take(self.idle, min(int(cu_seqlens[-1]), CHUNK + longest), self._make)
        job = np.zeros(JOB_WORDS, np.int64)
        try:
            if together and cu_seqlens[-1] <= SHARED_ROWS and worth_sharing(cu_seqlens[-1], p.weights.nbytes):
                operand = scratch.floats if p.dtype == "float32" else scratch.operand
                types, assist = (p.weights, operand, scratch.floats, scratch.zero_points), f"assist_{p.dtype}"
                job[SHARED] = helper.ask(lambda: self.entries[assist](job, *types))
            room = scratch.floats, scratch.zero_points, scratch.operand, scratch.rows
            self.run(*self._look_up(tokens), cu_seqlens, keep, job, *room, out.reshape(-1))
        finally:
            job[CLOSED] = 1  # also if the compiled code failed: a helper takes panels until then
        self.idle.append(scratch)

    def _make(self, rows: int) -> Scratch:
        return Scratch.make(rows, self.shape, self.architecture[GATED], self.packed.dtype)


def on_tiles() -> Any:
    """The module that computes on tiles, if this process does so; otherwise None."""
    if not tiles_usable():
        return None
    from minembed.kernels.encoder.tiled import tiled_encoder

    return tiled_encoder


def prepare(
    params: Params, config: Config, dtype: str, keep_params: bool = False, entries: Entries = JIT
) -> PackedEncoder:
    """Pack the parameters, compile kernels that are not on disk yet, and test them.

    `keep_params` keeps the unpacked parameters too, as a NumPy tier in `reference`.
    Raises InputError for an unknown compute type, BackendError if a kernel computes wrong numbers.
    """
    lowered = lower(params, dtype)
    compile_kernels(dtype, entries)
    selftest.check(lambda p, c: pack_encoder(p, c, dtype, entries), dtype)
    kept = numpy_tier(lowered, config, dtype) if keep_params else None
    return replace(pack_encoder(lowered, config, dtype, entries), reference=kept)


def pack_encoder(lowered: Params, config: Config, dtype: str, entries: Entries = JIT) -> PackedEncoder:
    """The encoder on vectors, on tiles, or both, from parameters that were converted to its compute type."""
    tiled = on_tiles()
    if tiled and dtype != "float32":
        encoder: PackedEncoder = tiled.pack_encoder(lowered, config, dtype, entries)
        return encoder
    on_vectors = pack_on_vectors(lowered, config, dtype, entries)
    if tiled and is_whole(config):
        return by_length(on_vectors, tiled.of_floats(lowered, on_vectors.packed, config, entries))
    return on_vectors


def pack_on_vectors(lowered: Params, config: Config, dtype: str, entries: Entries = JIT) -> Encoder:
    """The encoder on vectors."""
    return Encoder(
        pack(lowered, config, dtype, PANEL),
        config,
        architecture_of(lowered, config),
        patterns_of(lowered, config),
        numpy_embeddings(lowered),
        lowered.final_norm,
        entries=entries,
        shape=shape_of(config),
    )


def entries_of(dtype: str) -> tuple[str, ...]:
    """The compiled functions that encode in a compute type.

    >>> entries_of("float32")[:2]
    ('run_float32', 'assist_float32')
    """
    on_vectors, tiled = (f"run_{dtype}", f"assist_{dtype}"), on_tiles()
    if not tiled:
        return on_vectors
    names = *tiled.entries_of(dtype), f"embed_texts_{dtype}"
    return (*on_vectors, *names) if dtype == "float32" else names


def compile_kernels(part: str, entries: Entries = JIT) -> float:
    """Compile the kernels of a compute type, "search" or "training", or load them from disk; returns the seconds."""
    begin = time.perf_counter()
    names = OTHERS[part] if part in OTHERS else entries_of(part)
    if not entries.is_compiled(names):
        kind = f"tiled {part}" if part not in OTHERS and on_tiles() else part
        estimate = f"some {SECONDS[kind]} seconds of a core, once on this machine"
        tell(f"compiling {part} kernels for {TARGET.describe()}: {estimate}")
    entries.compile(names)
    return time.perf_counter() - begin


def is_compiled(dtype: str, entries: Entries = JIT) -> bool:
    """Whether the kernels of a compute type are loaded, or stored on disk for this CPU."""
    return entries.is_compiled(entries_of(dtype))


def describe() -> str:
    """Name the instructions that the kernels are compiled for.

    >>> bool(describe())
    True
    """
    return TARGET.describe()
