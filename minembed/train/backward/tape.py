"""Record what the backward pass needs from the forward pass, as an observer of the encoder."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from minembed.transformer.attention import Drop
from minembed.transformer.operations import Operations
from minembed.types import Array

DROPOUT_PLACES = frozenset({"embeddings", "attention", "feed_forward"})  # of BERT, beside attention's own
CHECKPOINTS = frozenset({"embeddings.sum", "embeddings", ""})  # "": the output of a layer
INTERMEDIATES = frozenset({"embeddings.sum", "embeddings", "qkv", "context", "attention.sum", "intermediate"})
INTERMEDIATES |= {"feed_forward.sum"}
CHANGED_IN_PLACE = ("qkv", "intermediate")  # later, by the encoder
Dropout = Callable[..., Array]  # (x, *place) -> x with some numbers 0 and the rest scaled; the same for the same place


@dataclass(frozen=True, slots=True)
class Tape:
    """Observes one pass of the encoder: keeps what the backward pass needs, and applies dropout.

    A layer of T tokens takes 10 T D numbers (F = 4 D); with `recompute` only its output is kept, T D numbers, and the
    backward pass computes the layer again.  If blocks have `post_norms`, the outputs of blocks are kept too.

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
        """Observe an intermediate result, and return the array with which the encoder continues."""
        x, part = self.drop(name, x), _part(name)
        kept = CHECKPOINTS if self.recompute else INTERMEDIATES | (DROPOUT_PLACES if self.post_norms else frozenset())
        if part not in kept:
            return x
        self.seen[name] = x
        return x.copy() if part in CHANGED_IN_PLACE else x

    def drop(self, name: str, x: Array) -> Array:
        """Apply dropout to x.  The gradient of dropped numbers is 0, so this is its own vjp."""
        return x if self.dropout is None or _part(name) not in DROPOUT_PLACES else self.dropout(x, name)

    def drop_of(self, place: str) -> Drop | None:
        """The dropout of the attention probabilities of a layer."""
        if self.dropout is None:
            return None
        return partial(_drop_probabilities, self.dropout, place)

    def watch(self, ops: Operations, place: str = "") -> Operations:
        """The operations, observed by this tape."""
        return replace(ops, observe=self, drop=self.drop_of, place=place)


def _part(name: str) -> str:
    return re.sub(r"^layer\.\d+\.?", "", name)


def _drop_probabilities(dropout: Dropout, place: str, probabilities: Array, where: tuple[int, int, int]) -> Array:
    return dropout(probabilities, f"{place}probabilities", *where)
