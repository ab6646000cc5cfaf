"""An encoder on the CPU's tile units: for weights in bfloat16, and in int8 and float32, which are converted when used.

int8 is then more exact than on vectors, since activations are not rounded to bytes.  float32 is computed in three
planes (planes.py), as exactly as on vectors.
"""

from collections import deque
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from minembed.errors import BackendWarning, warn
from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.encoder.architecture import architecture_of, patterns_of
from minembed.kernels.encoder.job import BEGUN, CLOSED, DISMISSED, JOB_WORDS, LINGERS, PRESENT, SHARED, WANTED
from minembed.kernels.encoder.packing import Packed, aligned, numpy_embeddings
from minembed.kernels.encoder.prepared import PackedEncoder, take, worth_sharing
from minembed.kernels.encoder.tiled.packing import pack, pack_vectors, scaled_patterns
from minembed.kernels.encoder.tiled.plan import EACH, NAMES, Plan, plan_of, planes_of
from minembed.kernels.encoder.tiled.workspace import SHARED_ROWS, chunk_of, own_sizes, shared_sizes
from minembed.kernels.entries import Entries
from minembed.kernels.helpers import helper
from minembed.kernels.tiles.permission import tiles_usable
from minembed.kernels.tiles.shapes import CONFIG
from minembed.transformer.config import Config
from minembed.transformer.params import Params
from minembed.transformer.tokens import Tokens
from minembed.types import Array

MARGIN = 1024  # floats at the end of each buffer, for blocks that extend beyond the last row


@dataclass(frozen=True, slots=True)
class Scratch:
    """Buffers for the activations of a number of rows, shared by cores or one per core; used by one call at a time.

    A helper may wait at a job for the next call, so the job is one of them, and so are the bounds of the texts.
    """

    rows: int
    floats: Array
    own: tuple[Array, ...]
    job: Array
    bounds: Array

    @classmethod
    def make(cls, rows: int, plan: Plan) -> "Scratch":
        """Allocate the buffers; those of a second core only up to SHARED_ROWS."""
        both = (rows, min(rows, SHARED_ROWS))
        own = tuple(aligned(sum(own_sizes(count, plan)) + MARGIN, np.float32) for count in both)
        job, bounds = aligned(JOB_WORDS, np.int64), np.zeros(SHARED_ROWS + 1, np.int64)
        return cls(rows, aligned(sum(shared_sizes(rows, plan)) + MARGIN, np.float32), own, job, bounds)

    def dismiss(self) -> bool:
        """Let a helper go that only waits for the next call; returns whether there is one."""
        self.job[DISMISSED] = self.job[PRESENT] == LINGERS
        return bool(self.job[DISMISSED])

    def forget(self) -> None:
        """There is no helper here any more: it did not survive a fork."""
        self.job[PRESENT] = 0


@dataclass(frozen=True)
class TiledEncoder(PackedEncoder):
    """An encoder on tiles."""

    plan: Plan = (0,) * len(NAMES)
    idle: "deque[Scratch]" = field(default_factory=deque, repr=False, compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        own = self.embeddings, self.final_norm, self.reference, self.entries
        return restore, (self.packed, self.config, self.architecture, self.patterns, *own, self.plan)

    def _run(self, tokens: Tokens, out: Array, keep: int, together: bool) -> None:
        p, cu_seqlens, model, total = self.packed, tokens.cu_seqlens.astype(np.int64), self._model, len(tokens.ids)
        states = out.reshape(-1)
        if self.embeddings is None:
            tables = p.word, p.word_scales, p.position, p.token_type, p.norm
            embed_texts = self.entries[f"embed_texts_{p.dtype}"]
            embed_texts(*self._look_up(tokens), *tables, self.config.hidden_size, self._eps, states)
        chunk = chunk_of(self.plan)
        rows = total if total <= chunk else min(total, chunk + int(np.diff(cu_seqlens).max()))
        scratch = take(self.idle, rows, self._make)
        job = scratch.job
        try:
            job[SHARED] = 0
            if together and total <= SHARED_ROWS and worth_sharing((total + 15) // 16 * 16, self._work):
                cu_seqlens = scratch.bounds[: len(cu_seqlens)]
                cu_seqlens[:] = tokens.cu_seqlens
                job[SHARED] = job[PRESENT] or self._ask(scratch, model)
            self.entries[entries_of(p.dtype)[0]](
                CONFIG, cu_seqlens, *model, keep, job, scratch.floats, scratch.own[0], scratch.rows, states
            )
        finally:
            job[CLOSED] = job[BEGUN]  # also if the compiled code failed: a helper takes tasks until then
        self.idle.append(scratch)

    def _ask(self, scratch: Scratch, model: tuple[Any, ...]) -> bool:
        """Ask for help with the next call; returns whether it was promised."""
        job = scratch.job
        job[WANTED], job[DISMISSED] = job[BEGUN] + 1, 0
        room = scratch.floats, scratch.own[1], scratch.rows, min(scratch.rows, SHARED_ROWS)
        assist = self.entries[entries_of(self.packed.dtype)[1]]
        return helper.ask(lambda: assist(job, CONFIG, scratch.bounds, *model, *room), scratch)

    @cached_property
    def _model(self) -> tuple[Any, ...]:
        """The parameters, as compiled functions take them."""
        weights = self.packed.weights.view(np.int8), self.packed.scales, self.packed.vectors
        return *weights, *self.patterns, self.plan, self.architecture, self._eps, planes_of(self.plan)

    @cached_property
    def _eps(self) -> Any:
        return np.float32(self.config.layer_norm_eps)

    @cached_property
    def _work(self) -> int:
        """Bytes of weights, at least as bfloat16: int8 is widened first, which takes as long as reading bfloat16."""
        return max(2, self.plan[EACH]) * self.packed.weights.nbytes // self.plan[EACH]

    def _make(self, rows: int) -> Scratch:
        return Scratch.make(rows, self.plan)


def entries_of(dtype: str) -> tuple[str, str]:
    """The compiled functions for a compute type.

    >>> entries_of("int8")
    ('run_tiled', 'assist_tiled')
    """
    kind = "_float32" if dtype == "float32" else ""
    return f"run_tiled{kind}", f"assist_tiled{kind}"


def restore(*fields: Any) -> TiledEncoder:
    """An encoder from another process; if this one may not use tiles, they are emulated, with a warning."""
    if not tiles_usable():
        message = (
            "this model was prepared for tiles (AMX), which this process may not use: it computes on emulated ones"
        )
        warn(f"{message}, very slowly; load it again here", BackendWarning)
    return TiledEncoder(*fields)


def of_floats(lowered: Params, packed: Packed, config: Config, entries: Entries = JIT) -> TiledEncoder:
    """The encoder in float32, with the panels of an encoder on vectors; the config must be `is_whole`."""
    plan = plan_of(lowered, config, "float32")
    own = replace(packed, vectors=pack_vectors(lowered, config, plan))
    return _encoder(own, patterns_of(lowered, config), lowered, config, entries, plan)


def pack_encoder(lowered: Params, config: Config, dtype: str, entries: Entries = JIT) -> TiledEncoder:
    """The encoder, from parameters that were converted to its compute type."""
    plan = plan_of(lowered, config)
    packed = pack(lowered, config, dtype, plan)
    return _encoder(packed, scaled_patterns(lowered, config), lowered, config, entries, plan)


def _encoder(
    packed: Packed, patterns: Any, lowered: Params, config: Config, entries: Entries, plan: Plan
) -> TiledEncoder:
    computed = numpy_embeddings(lowered), lowered.final_norm
    return TiledEncoder(
        packed, config, architecture_of(lowered, config), patterns, *computed, entries=entries, plan=plan
    )
