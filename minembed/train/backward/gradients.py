"""Operations on the gradients of a batch, by name: norm, clipping, sums, scaling."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from minembed.errors import InputError
from minembed.train.backward.trees import Gradient, Rows, add
from minembed.types import Array

BLOCK = 1 << 14  # elements that are summed at a time: they stay in a core's second-level cache


def global_norm(gradients: Mapping[str, Gradient]) -> float:
    """The norm of all gradients as one vector, summed in float64.

    >>> global_norm({"a": np.float32([3]), "b": Rows(np.array([7]), np.float32([[4]]))})
    5.0
    """
    total = 0.0
    for values in _numbers(dict(sorted(gradients.items()))):
        x = values.reshape(-1)
        for i in range(0, len(x), BLOCK):
            part = x[i : i + BLOCK].astype(np.float64)
            with np.errstate(over="ignore"):
                total += float((part * part).sum())  # not BLAS's product, whose bits depend on its threads
    return math.sqrt(total)


def clip(gradients: Mapping[str, Gradient], max_norm: float) -> float:
    """Scale all gradients, in place, so that their common norm is at most max_norm; returns the norm before.

    If it is not finite, because a gradient has NaN, nothing is changed.  As torch's clip_grad_norm_.  Raises InputError
    unless max_norm is above 0; infinity clips nothing.

    >>> g = {"a": np.float32([3, 4])}
    >>> clip(g, 1.0), g["a"].round(3).tolist()
    (5.0, [0.6000000238418579, 0.800000011920929])
    """
    if not max_norm > 0:
        raise InputError(f"max_norm must be above 0, not {max_norm!r}")
    norm = global_norm(gradients)
    if math.isfinite(norm) and norm > max_norm:
        for values in _numbers(gradients):
            values *= values.dtype.type(max_norm / (norm + 1e-6))
    return norm


def accumulate(total: dict[str, Gradient], gradients: Mapping[str, Gradient]) -> None:
    """Add gradients to a total, in place; the arrays of the first gradients are reused for the total, and change.

    >>> total = {}
    >>> accumulate(total, {"a": np.ones(2)})
    >>> accumulate(total, {"a": np.ones(2)})
    >>> total["a"].tolist()
    [2.0, 2.0]
    """
    for name, gradient in gradients.items():
        total[name] = add(total[name], gradient) if name in total else gradient


def scale(gradients: Mapping[str, Gradient], factor: float) -> None:
    """Multiply all gradients, in place.

    >>> g = {"a": np.ones(2)}
    >>> scale(g, 0.5)
    >>> g["a"].tolist()
    [0.5, 0.5]
    """
    for values in _numbers(gradients):
        values *= values.dtype.type(factor)


def _numbers(gradients: Mapping[str, Gradient]) -> Iterator[Array]:
    """The arrays with their numbers."""
    for gradient in gradients.values():
        yield gradient.values if isinstance(gradient, Rows) else gradient
