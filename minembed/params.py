"""The weights as a tree of frozen dataclasses; the comment of each field is its shape.

V vocabulary, P positions, D hidden_size, F intermediate_size.  Linear weights are (in, out) and contiguous:
`x @ weight` on that layout is twice as fast for a handful of rows as the checkpoint's (out, in) used transposed.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Tree = TypeVar("Tree")


@dataclass(frozen=True, slots=True)
class Linear:
    """x @ weight + bias."""

    weight: Array  # (in, out)
    bias: Array  # (out,)


@dataclass(frozen=True, slots=True)
class Norm:
    """The scale and shift of a layer normalisation."""

    weight: Array  # (D,)
    bias: Array  # (D,)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The three tables whose rows are summed for each token."""

    word: Array  # (V, D)
    position: Array  # (P, D)
    token_type: Array  # (types, D)
    norm: Norm


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer."""

    qkv: Linear  # (D, 3D): query, key, value side by side, one product instead of three
    attention_output: Linear  # (D, D)
    attention_norm: Norm
    intermediate: Linear  # (D, F)
    output: Linear  # (F, D)
    output_norm: Norm


@dataclass(frozen=True, slots=True)
class Params:
    """All weights of an encoder."""

    embeddings: Embeddings
    layers: tuple[Layer, ...]


def tree_map(f: Callable[[Array], Array], tree: Tree) -> Tree:
    """Apply f to every array of a tree of parameters and build a tree of the same shape.

    >>> norm = Norm(np.ones(2, np.float32), np.zeros(2, np.float32))
    >>> tree_map(lambda a: a.astype(np.float64) + 1, norm).weight.tolist()
    [2.0, 2.0]
    """
    if isinstance(tree, np.ndarray):
        return f(tree)  # type: ignore[return-value]
    if isinstance(tree, tuple):
        return tuple(tree_map(f, branch) for branch in tree)  # type: ignore[return-value]
    return type(tree)(*(tree_map(f, getattr(tree, field.name)) for field in fields(tree)))  # type: ignore[arg-type]
