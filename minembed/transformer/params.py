"""The weights as a tree of frozen dataclasses; the comment of each field is its shape.

V vocabulary, P positions, D hidden_size, E embedding_size, F intermediate_size, H heads, G heads of keys and values, K
head_size.  Weights that an architecture does not have are None.  Linear weights are (in, out) and contiguous: for a few
rows, `x @ weight` with this layout is twice as fast as with the checkpoint's (out, in), transposed.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from minembed.types import Array

Tree = TypeVar("Tree")


@dataclass(frozen=True, slots=True)
class Linear:
    """x @ weight + bias."""

    weight: Array  # (in, out)
    bias: Array | None = None  # (out,)


@dataclass(frozen=True, slots=True)
class Norm:
    """The scale and shift of a normalisation."""

    weight: Array  # (D,)
    bias: Array | None = None  # (D,)


@dataclass(frozen=True, slots=True)
class Embeddings:
    """The tables whose rows are summed for each token."""

    word: Array  # (V, E)
    position: Array | None  # (P, E)
    token_type: Array | None  # (types, E)
    norm: Norm | None
    projection: Linear | None = None  # (E, D), if E is not D


@dataclass(frozen=True, slots=True)
class Layer:
    """One transformer layer."""

    qkv: Linear  # (D, (H + 2G) K): query, key, value side by side, one product instead of three
    attention_output: Linear  # (H K, D)
    attention_norm: Norm | None
    intermediate: Linear  # (D, F), or (D, 2F) if gated: the activated half, then its factor
    output: Linear  # (F, D)
    output_norm: Norm  # with pre_norm: of the input of the feed-forward block
    query_norm: Norm | None = None  # (K,): of each head
    key_norm: Norm | None = None  # (K,)
    attention_post_norm: Norm | None = None  # of the output of attention, before it is added
    output_post_norm: Norm | None = None  # the same for the feed-forward block


@dataclass(frozen=True, slots=True)
class Params:
    """All weights of an encoder."""

    embeddings: Embeddings
    layers: tuple[Layer, ...]
    final_norm: Norm | None = None
    relative_attention_bias: Array | None = None  # (buckets, H)


def tree_map(f: Callable[[Array], Array], tree: Tree) -> Tree:
    """Apply f to every array of a tree of parameters and build a tree of the same shape.

    >>> norm = Norm(np.ones(2, np.float32), np.zeros(2, np.float32))
    >>> tree_map(lambda a: a.astype(np.float64) + 1, norm).weight.tolist()
    [2.0, 2.0]
    """
    if isinstance(tree, np.ndarray):
        return f(tree)  # type: ignore[return-value]
    if tree is None:
        return tree
    if isinstance(tree, tuple):
        return tuple(tree_map(f, branch) for branch in tree)  # type: ignore[return-value]
    return type(tree)(*(tree_map(f, getattr(tree, field.name)) for field in fields(tree)))  # type: ignore[arg-type]


def contiguous(tree: Tree) -> Tree:
    """The same tree with all arrays in C order; parts that share an array still do.

    >>> contiguous(Norm(np.ones((2, 3)).T)).weight.flags.c_contiguous
    True
    """
    copies: dict[int, Array] = {}

    def ordered(array: Array) -> Array:
        if array.flags.c_contiguous:
            return array
        if id(array) not in copies:
            copies[id(array)] = np.ascontiguousarray(array)
        return copies[id(array)]

    return tree_map(ordered, tree)
