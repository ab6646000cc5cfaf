"""Attention maps: the attention of a layer or a head, and attention accumulated over all layers."""

from typing import TYPE_CHECKING

import numpy as np

from minembed.errors import InputError, InputTypeError
from minembed.runtime.checks import check_whole
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.study.traced import Trace


def attention_map(t: "Trace", layer: int, head: int | None = None) -> Array:  # -> (N, N)
    """The attention of each token (row) to each token (column) in a layer: of a head, or the mean; rows sum to 1.

    Raises InputError for a layer or a head that does not exist.

    >>> from minembed import Embedder
    >>> from minembed.study import trace
    >>> t = trace(Embedder.load("all-MiniLM-L6-v2"), "a cat")  # doctest: +SKIP
    >>> attention_map(t, 3, 5).shape  # doctest: +SKIP
    (4, 4)
    """
    layers = layers_of(t)
    check_whole("layer", layer, 0, layers - 1)
    p = t[f"layer.{layer}.probabilities"]
    if head is None:
        return np.asarray(p.mean(axis=0))
    check_whole("head", head, 0, len(p) - 1)
    return np.asarray(p[head])


def rollout(t: "Trace") -> Array:  # -> (L, N, N) float64
    """Attention through all layers up to each: how much of token j's embedding flows into token i (rows sum to 1).

    Attention rollout (Abnar & Zuidema, 2020): heads are averaged, half of each token is its own, for the residual, and
    the layers are multiplied.  It ignores values, norms and feed-forward blocks: it shows where information could
    flow, not how much a token matters.

    >>> from minembed import Embedder
    >>> from minembed.study import trace
    >>> t = trace(Embedder.load("all-MiniLM-L6-v2"), "a cat", names="*.probabilities")  # doctest: +SKIP
    >>> rollout(t).shape  # doctest: +SKIP
    (6, 4, 4)
    """
    found: list[Array] = []
    for layer in range(layers_of(t)):
        own = attention_map(t, layer).astype(np.float64)
        mixed = (own + np.eye(len(own))) / 2
        mixed /= mixed.sum(axis=1, keepdims=True)
        found.append(mixed @ found[-1] if found else mixed)
    return np.stack(found)


def layers_of(t: "Trace") -> int:
    """The number of layers with attention; raises InputError if there are none.

    >>> from types import SimpleNamespace
    >>> layers_of(SimpleNamespace(steps={"layer.0.probabilities": None, "vector": None}))
    1
    """
    if not hasattr(t, "steps"):
        raise InputTypeError(f"t must be a Trace, as minembed.study.trace gives it, not {type(t).__name__}")
    layers = sum(name.endswith(".probabilities") for name in t.steps)
    if not layers:
        raise InputError("the model has no attention: its vectors are means of a table's rows")
    return layers
