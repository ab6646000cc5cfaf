"""What encoders of the numba tier share, whichever units of the CPU they compute on: packed weights, and what is asked.

An encoder is a function of tokens.  Nothing in it changes but the buffers that idle between calls.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np

from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.encoder.architecture import ALL_ROWS, FIRST_ROWS, LAST_ROWS
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
ONE_ROW = {"cls": FIRST_ROWS, "lasttoken": LAST_ROWS}


class HasRows(Protocol):
    """Buffers for so many rows."""

    @property
    def rows(self) -> int:
        """How many."""


Room = TypeVar("Room", bound=HasRows)


@dataclass(frozen=True)
class PackedEncoder(Tier):
    """An encoder as arrays."""

    packed: Packed
    config: Config
    architecture: tuple[int, ...]
    patterns: tuple[Array, Array, Array]  # biases, rotations, and what each layer sees: architecture.patterns_of
    embeddings: Embeddings | None  # where NumPy computes them
    final_norm: Norm | None
    reference: NumPyTier | None = field(default=None, repr=False, compare=False)  # where it is kept
    entries: Entries = JIT  # where its compiled functions come from

    def __post_init__(self) -> None:
        self.packed.word.flags.writeable = False  # a pickled copy has forgotten it, and would be compiled for anew

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
        return normalize(self._compute(tokens, ALL_ROWS, together), self.final_norm, self.config)

    def pooled(
        self, tokens: Tokens, modes: Sequence[str], skipped: int = 0, together: bool = False
    ) -> Array:  # (T,) -> (B, len(modes) * D)
        """Compute the hidden states and pool them; of the last layer only one row a text, where that is enough."""
        if len(modes) == 1 and modes[0] in ONE_ROW and not skipped:
            return self.one_row(tokens, modes[0], together)
        return super().pooled(tokens, modes, skipped, together)

    def one_row(self, tokens: Tokens, mode: str, together: bool = False) -> Array:  # (T,) -> (B, D)
        """Pool by "cls" or "lasttoken": what the last layer would compute for other tokens is left out."""
        out = self._compute(tokens, ONE_ROW[mode], together)
        return normalize(out[: len(tokens)], self.final_norm, self.config)

    def _compute(self, tokens: Tokens, keep: int, together: bool) -> Array:
        """All layers; of what is returned only a row a text counts, at the front, where `keep` says so."""
        width = self.config.hidden_size
        room = np.empty(len(tokens.ids) * width + LANES, np.float32)  # the last vector of a row may reach beyond it
        out = room[:-LANES].reshape(-1, width)
        if len(tokens):
            if self.embeddings is not None:
                out[...] = embed(tokens, self.embeddings, self.config)
            self._run(tokens, out, keep, together)
        return out

    def _run(self, tokens: Tokens, out: Array, keep: int, together: bool) -> None:
        """Compute all layers into `out`, which may be written to a vector beyond its end.

        Embeddings that NumPy computes are handed over there.
        """
        raise NotImplementedError

    def _look_up(self, tokens: Tokens) -> tuple[Array, Array, Array]:
        """The rows of the three tables; row 0, which is all zeros, of a table that the architecture lacks."""
        config, none = self.config, np.zeros(len(tokens.ids), np.int64)
        kinds = tokens.types.astype(np.int64) if config.type_vocab_size else none
        absolute = config.position_embedding_type == "absolute" and self.embeddings is None
        return tokens.ids.astype(np.int64), kinds, positions(tokens, config.padding_idx) if absolute else none


def worth_sharing(tokens: int, weight_bytes: int) -> bool:
    """Whether there is enough work for two cores.

    >>> worth_sharing(1, 1000)
    False
    """
    return tokens * weight_bytes >= SHARED_WORK


def take(idle: "deque[Room]", rows: int, make: Callable[[int], Room]) -> Room:
    """An idle buffer of at least so many rows, or a new one; too small ones are given up.

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
