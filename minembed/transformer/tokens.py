"""What the encoder reads: the tokens of several texts, end to end, without padding.  text/tokenizer.py makes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minembed.errors import InputError
from minembed.types import Array


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of several texts, end to end, without padding.

    Raises InputError if cu_seqlens does not rise from 0 to len(ids).

    >>> Tokens(np.array([5, 6, 7, 8, 9]), np.zeros(5, int), np.array([0, 3, 5])).lengths().tolist()
    [3, 2]
    """

    ids: Array  # (T,) vocabulary indices, special tokens included
    types: Array  # (T,) segment, 0 for single texts
    cu_seqlens: Array  # (B+1,) text b is ids[cu_seqlens[b]:cu_seqlens[b+1]]
    # more from the tokenizer; None in tokens that were made by hand
    n_tokens: Array = None  # type: ignore[assignment]  # (B,) tokens before the cut
    truncated: Array = None  # type: ignore[assignment]  # (B,) whether the text was cut
    lower_bound: Array = None  # type: ignore[assignment]  # (B,) whether n_tokens is only a lower bound: not all was read
    fewest: ClassVar[int] = 1  # tokens of a text

    def __post_init__(self) -> None:
        cu = self.cu_seqlens
        if len(cu) == 2 and cu[0] == 0 and cu[1] == len(self.ids) == len(self.types) >= self.fewest:
            return  # one text, in few steps
        if len(cu) < 1 or cu[0] or cu[-1] != len(self.ids) or (np.diff(cu) < self.fewest).any():
            raise InputError(f"cu_seqlens must rise from 0 to {len(self.ids)} with no empty text, got {cu.tolist()}")
        if len(self.types) != len(self.ids):
            raise InputError(f"types must have one entry a token: {len(self.types)} for {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(self.cu_seqlens) - 1

    def lengths(self) -> Array:  # -> (B,)
        """Count the tokens of each text."""
        return np.diff(self.cu_seqlens)

    def positions(self) -> Array:  # -> (T,)
        """Count from zero again in every text.

        >>> Tokens(np.array([5, 6, 7, 8, 9]), np.zeros(5, int), np.array([0, 3, 5])).positions().tolist()
        [0, 1, 2, 0, 1]
        """
        if len(self) == 1:
            return np.arange(len(self.ids))
        return np.arange(len(self.ids)) - np.repeat(self.cu_seqlens[:-1], self.lengths())

    def select(self, texts: Sequence[int] | Array) -> "Tokens":
        """Take some of the texts, in the order given.

        >>> Tokens(np.array([5, 6, 7, 8, 9]), np.zeros(5, int), np.array([0, 3, 5])).select([1, 0]).ids.tolist()
        [8, 9, 5, 6, 7]
        """
        texts = np.asarray(texts, dtype=np.int64)
        if len(texts) == len(self) == 1 and texts[0] == 0:
            return self
        cu_seqlens = np.concatenate([[0], np.cumsum(self.lengths()[texts])])
        shift = self.cu_seqlens[texts] - cu_seqlens[:-1]
        rows = np.arange(cu_seqlens[-1]) + np.repeat(shift, np.diff(cu_seqlens))
        extras = (None if a is None else a[texts] for a in (self.n_tokens, self.truncated, self.lower_bound))
        return type(self)(self.ids[rows], self.types[rows], cu_seqlens, *extras)
