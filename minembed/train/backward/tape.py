"""What the backward pass needs of the forward: the encoder is watched while it computes."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from minembed.transformer.attention import Drop
from minembed.transformer.operations import Operations
from minembed.types import Array

DROPOUT_PLACES = frozenset({"embeddings", "attention", "feed_forward"})  # of BERT, beside attention's own
CHECKPOINTS = frozenset({"embeddings.sum", "embeddings", ""})  # "": what a layer gives
INTERMEDIATES = frozenset({"embeddings.sum", "embeddings", "qkv", "context", "attention.sum", "intermediate"})
INTERMEDIATES |= {"feed_forward.sum"}
CHANGED_IN_PLACE = ("qkv", "intermediate")  # by the encoder, afterwards
Dropout = Callable[..., Array]  # (x, *place) -> x, some of it 0 and the rest larger; the same for the same place


@dataclass(frozen=True, slots=True)
class Tape:
    """Watches one pass over the encoder: keeps what the backward needs, and leaves out what dropout says.

    A layer of T tokens takes 10 T D numbers (F = 4 D); with `recompute` only what it gives is kept, T D, and the
    backward computes the layer again.  Where blocks have `post_norms`, what blocks make is kept too.

    >>> import numpy as np
    >>> tape = Tape()
    >>> for name in ("layer.0.context", "layer.0.attention", "layer.0"):
    ...     x = tape(name, np.ones(2))
    >>> list(tape.seen)
    ['layer.0.context']
    """

    dropout: Dropout | None = None
    recompute: bool = False
    post_norms: bool = False
    seen: dict[str, Array] = field(default_factory=dict)

    def __call__(self, name: str, x: Array) -> Array:
        """Look at what the encoder shows, and give what it shall go on with."""
        x, part = self.drop(name, x), _part(name)
        kept = CHECKPOINTS if self.recompute else INTERMEDIATES | (DROPOUT_PLACES if self.post_norms else frozenset())
        if part not in kept:
            return x
        self.seen[name] = x
        return x.copy() if part in CHANGED_IN_PLACE else x

    def drop(self, name: str, x: Array) -> Array:
        """Leave some of x out.  The slope of what was left out is 0, so this is its own vjp."""
        return x if self.dropout is None or _part(name) not in DROPOUT_PLACES else self.dropout(x, name)

    def drop_of(self, place: str) -> Drop | None:
        """What leaves out attention probabilities of a layer."""
        if self.dropout is None:
            return None
        return partial(_drop_probabilities, self.dropout, place)

    def watch(self, ops: Operations, place: str = "") -> Operations:
        """The operations, watched."""
        return replace(ops, observe=self, drop=self.drop_of, place=place)


def _part(name: str) -> str:
    return re.sub(r"^layer\.\d+\.?", "", name)


def _drop_probabilities(dropout: Dropout, place: str, probabilities: Array, where: tuple[int, int, int]) -> Array:
    return dropout(probabilities, f"{place}probabilities", *where)
