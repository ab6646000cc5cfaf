"""The trained weights, as a tree and as a flat dict of names, and their gradients."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.transformer.heads import MaskedHead
from minembed.transformer.modules import ModuleParams
from minembed.transformer.params import Params
from minembed.types import Array
from minembed.weights.layout import named


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows of a table: the gradient of an embedding table is zero everywhere else."""

    indices: Array  # (R,) int64, ascending, each once
    values: Array  # (R, D)


Gradient = Array | Rows


@dataclass(frozen=True, slots=True)
class Weights:
    """All trained weights."""

    encoder: Params
    modules: tuple[ModuleParams, ...] = ()
    head: MaskedHead | None = None  # tied to the embeddings if its decoder is encoder.embeddings.word


def flat(weights: Any) -> dict[str, Array]:
    """The arrays of a tree by name; a shared array, as in ALBERT's layers, has the first of its names.

    >>> from minembed.transformer.params import Norm
    >>> shared = np.ones(1)
    >>> list(flat((Norm(shared), Norm(shared))))
    ['0.weight']
    """
    names = first_names(weights)
    return {name: array for name, array in named(weights) if names[name] == name}


def first_names(weights: Any) -> dict[str, str]:
    """For the name of every array, the first name of the same array.

    >>> shared = np.ones(1)
    >>> first_names((shared, shared))
    {'0': '0', '1': '0'}
    """
    first: dict[int, str] = {}
    return {name: first.setdefault(id(array), name) for name, array in named(weights)}


def flat_gradients(weights: Any, gradients: Any) -> dict[str, Gradient]:
    """The gradients by the names of `flat`; those of a shared array are summed.

    >>> shared = np.ones(2)
    >>> flat_gradients((shared, shared), (np.float64([1, 2]), Rows(np.array([1]), np.float64([10]))))["0"].tolist()
    [1.0, 12.0]
    """
    names, summed = first_names(weights), dict[str, Gradient]()
    for name, gradient in named(gradients, kinds=np.ndarray | Rows):
        first = names[name]
        summed[first] = add(summed[first], gradient) if first in summed else gradient
    return summed


def add(a: Gradient, b: Gradient) -> Gradient:
    """The sum of two gradients of one array; `a` is changed if it is an array.

    >>> total = add(Rows(np.array([0, 2]), np.ones((2, 1))), Rows(np.array([2, 3]), np.ones((2, 1))))
    >>> total.indices.tolist(), total.values[:, 0].tolist()
    ([0, 2, 3], [1.0, 2.0, 1.0])
    """
    if isinstance(a, Rows) and isinstance(b, Rows):
        return gather(np.concatenate([a.indices, b.indices]), np.concatenate([a.values, b.values]))
    if isinstance(a, Rows):
        a, b = np.array(b), a
    if isinstance(b, Rows):
        a[b.indices] += b.values
    else:
        a += b
    return a


def gather(indices: Array, values: Array) -> Rows:  # (T,), (T, D)
    """Sum the values of equal indices, in the given order.

    >>> gather(np.array([5, 2, 5]), np.float32([[1], [2], [3]])).values[:, 0].tolist()
    [2.0, 4.0]
    """
    order = np.argsort(indices, kind="stable")
    found, starts = np.unique(indices[order], return_index=True)
    summed = np.add.reduceat(values[order], starts, axis=0) if len(found) else values[:0]
    return Rows(found.astype(np.int64), summed)
