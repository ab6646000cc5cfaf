"""The base of the numba tier's encoders, on vectors and on tiles: packed weights, and the methods of a tier.

An encoder is a function of tokens.  Its only mutable state is the buffers that are idle between calls.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.encoder.architecture import ALL_ROWS, FIRST_ROWS, LAST_ROWS, MEAN_ROWS
from minembed.kernels.encoder.packing import Packed
from minembed.kernels.entries import Entries
from minembed.kernels.vectors.instruction_sets import LANES
from minembed.transformer.config import Config
from minembed.transformer.encoder import embed, normalize
from minembed.transformer.params import Embeddings, Norm
from minembed.transformer.positions import positions
from minembed.transformer.tier import NumPyTier, Tier
from minembed.transformer.tokens import Tokens
from minembed.types import Array

SHARED_WORK = 100_000_000  # bytes of weights times tokens, below which waking a second core costs more than it saves
ONE_ROW = {"cls": FIRST_ROWS, "lasttoken": LAST_ROWS}  # the last layer computes no others


class HasRows(Protocol):
    """Buffers for a number of rows."""

    @property
    def rows(self) -> int:
        """The number of rows."""


Room = TypeVar("Room", bound=HasRows)


@dataclass(frozen=True)
class PackedEncoder(Tier):
    """An encoder as arrays."""

    packed: Packed
    config: Config
    architecture: tuple[int, ...]
    patterns: tuple[Array, Array, Array]  # biases, rotations, and the pattern of each layer: architecture.patterns_of
    embeddings: Embeddings | None  # if NumPy computes them
    final_norm: Norm | None
    reference: NumPyTier | None = field(default=None, repr=False, compare=False)  # if it is kept
    entries: Entries = JIT  # the source of its compiled functions

    def __post_init__(self) -> None:
        self.packed.word.flags.writeable = False  # pickling loses this flag, and Numba would compile again

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
        """Whether BLAS is used: for embeddings that are widened."""
        return self.embeddings is not None and self.embeddings.projection is not None

    def __call__(self, tokens: Tokens, together: bool = False) -> Array:  # (T,) -> (T, D)
        """Compute the hidden states of every token.

        `together` lets an idle second core help with few tokens; the bits of the result are the same.
        """
        return normalize(self._compute(tokens, ALL_ROWS, together), self.final_norm, self.config)

    def pooled(
        self, tokens: Tokens, modes: Sequence[str], skipped: int = 0, together: bool = False
    ) -> Array:  # (T,) -> (B, len(modes) * D)
        """Compute the hidden states and pool them, at once if the kernels can do both."""
        if len(modes) == 1 and not skipped:
            if modes[0] in ONE_ROW:
                return self.one_row(tokens, modes[0], together)
            several = self.config.hidden_size > 1  # NumPy adds the numbers of a single column in another order
            if modes[0] == "mean" and self.final_norm is None and several:
                return self._compute(tokens, MEAN_ROWS, together)[: len(tokens)]
        return super().pooled(tokens, modes, skipped, together)

    def one_row(self, tokens: Tokens, mode: str, together: bool = False) -> Array:  # (T,) -> (B, D)
        """Pool by "cls" or "lasttoken": the last layer does not compute other tokens."""
        out = self._compute(tokens, ONE_ROW[mode], together)
        return normalize(out[: len(tokens)], self.final_norm, self.config)

    def _compute(self, tokens: Tokens, keep: int, together: bool) -> Array:
        """Compute all layers; unless `keep` is ALL_ROWS, the valid rows are one per text, at the front."""
        width = self.config.hidden_size
        room = np.empty(len(tokens.ids) * width + LANES, np.float32)  # the last vector of a row may extend beyond it
        out = room[:-LANES].reshape(-1, width)
        if len(tokens):
            if self.embeddings is not None:
                out[...] = embed(tokens, self.embeddings, self.config)
            self._run(tokens, out, keep, together)
        return out

    def _run(self, tokens: Tokens, out: Array, keep: int, together: bool) -> None:
        """Compute all layers into `out`, and possibly write one vector beyond its end.

        If NumPy computes the embeddings, they are passed in `out`.
        """
        raise NotImplementedError

    def _look_up(self, tokens: Tokens) -> tuple[Array, Array, Array]:
        """The row numbers in the three tables; 0, a row of zeros, for a table that the architecture does not have."""
        config, n = self.config, len(tokens.ids)
        kinds = tokens.types.astype(np.int64) if config.type_vocab_size else np.zeros(n, np.int64)
        absolute = config.position_embedding_type == "absolute" and self.embeddings is None
        places = positions(tokens, config.padding_idx) if absolute else np.zeros(n, np.int64)
        return tokens.ids.astype(np.int64), kinds, places


def worth_sharing(tokens: int, weight_bytes: int) -> bool:
    """Whether there is enough work for two cores.

    >>> worth_sharing(1, 1000)
    False
    """
    return tokens * weight_bytes >= SHARED_WORK


def take(idle: "deque[Room]", rows: int, make: Callable[[int], Room]) -> Room:
    """An idle buffer of at least this many rows, or a new one; too small ones are dropped.

    >>> class Rows(int):
    ...     rows = property(int)
    >>> int(take(deque([Rows(9), Rows(5)]), 7, Rows))
    9
    """
    while True:
        try:
            room = idle.pop()
        except IndexError:
            return make(rows)
        if room.rows >= rows:
            return room
