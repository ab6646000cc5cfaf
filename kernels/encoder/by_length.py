"""float32 where there are tiles: short texts are computed on vectors, longer ones on tiles, from the same weights.

A short text alone waits for weights and nothing else, and tiles have to split each of them into planes first
(tiled/planes.py).  Longer texts, and many of them, are computed 1.4 times as fast on tiles.  The two round differently,
by some 1e-7; so a text's own length decides, not what it is together with, and its bits are always the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.kernels.encoder.architecture import ALL_ROWS
from minembed.kernels.encoder.prepared import PackedEncoder
from minembed.kernels.vectors.instruction_sets import LANES
from minembed.transformer.tokens import Tokens
from minembed.types import Array

SHORT = 16  # tokens: as many rows as a tile has


@dataclass(frozen=True)
class ByLength(PackedEncoder):
    """Two encoders of the same parameters: for texts of up to SHORT tokens, and for longer ones."""

    encoders: tuple[Any, ...] = ()

    def __reduce__(self) -> tuple[Callable[..., "ByLength"], tuple[Any, ...]]:
        return by_length, (*self.encoders, self.reference)

    def _run(self, tokens: Tokens, out: Array, keep: int, together: bool) -> None:
        long = tokens.lengths() > SHORT
        if long.all() or not long.any():
            self.encoders[int(long[0])]._run(tokens, out, keep, together)
            return
        rows = np.repeat(long, tokens.lengths())
        parts = [(encoder, long == which, rows == which) for which, encoder in enumerate(self.encoders)]
        states = [_room_for(out[own]) for _, _, own in parts]  # before any is written: embeddings may be in them
        for (encoder, texts, own), part in zip(parts, states, strict=True):
            encoder._run(tokens.select(np.flatnonzero(texts)), part, keep, together)
            if keep == ALL_ROWS:
                out[own] = part
            else:
                out[: len(tokens)][texts] = part[: np.count_nonzero(texts)]


def _room_for(states: Array) -> Array:
    """A copy of hidden states, with room for a vector that extends beyond the last row."""
    room = np.empty(states.size + LANES, np.float32)
    room[: states.size] = states.reshape(-1)
    return room[: states.size].reshape(states.shape)


def by_length(short: PackedEncoder, long: PackedEncoder, reference: Any = None) -> ByLength:
    """Join an encoder on vectors and one on tiles."""
    fields = short.packed, short.config, short.architecture, short.patterns, short.embeddings, short.final_norm
    return ByLength(*fields, reference, short.entries, (short, long))
