"""The results of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from minembed.search.index_blocks import Block, Id, records_of
from minembed.search.index_fields import fields_of
from minembed.types import Array


@dataclass(frozen=True, slots=True)
class Hit:
    """A row that was found.

    >>> Hit("a", "one", 0.5, 3)
    Hit(id='a', text='one', score=0.5, index=3)
    """

    id: Id
    text: str | None
    score: float  # larger is more similar, for every metric
    index: int  # the row's position in the index
    fields: Mapping[str, Any] | None = field(default=None, hash=False)  # a dict, as given with the row

    def __repr__(self) -> str:
        more = "" if self.fields is None else f", fields={self.fields!r}"
        return f"Hit(id={self.id!r}, text={self.text!r}, score={self.score!r}, index={self.index!r}{more})"


def hits_of(blocks: Sequence[Block], scores: Array, positions: Array) -> list[list[Hit]]:  # (Q, k), (Q, k)
    """Read the rows at these positions; a list of hits for each query.

    >>> import numpy as np
    >>> one = Block(np.ones((2, 2), np.float32), None, [("a", "A", None), ("b", "B", None)], np.arange(2))
    >>> hits_of([one], np.array([[0.5]]), np.array([[1]]))
    [[Hit(id='b', text='B', score=0.5, index=1)]]
    """
    records = iter(records_of(blocks, positions.reshape(-1)))
    return [
        [
            Hit(name, text, score, place, fields_of(kept))
            for score, place, (name, text, kept) in zip(*pair, records, strict=False)
        ]
        for pair in zip(scores.tolist(), positions.tolist(), strict=True)
    ]
