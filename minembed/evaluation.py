"""How well scores agree with judgements: Pearson's and Spearman's correlation, in NumPy."""

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.params import Array


def pearson(x: ArrayLike, y: ArrayLike) -> float:  # (N,), (N,) -> -1 to 1
    """How nearly y is a straight line in x (Pearson, 1895).

    Computed in float64.  Raises InputError unless both hold the same number of finite values, at least 2 of them
    different.

    >>> pearson([1, 2, 3], [10, 20, 30])
    1.0
    >>> round(pearson([1, 2, 3, 4], [1, 3, 2, 4]), 6)
    0.8
    """
    a, b = _check(x, "x"), _check(y, "y")
    if len(a) != len(b):
        raise InputError(f"x and y must pair up: {len(a)} values and {len(b)}")
    return float(np.clip(_unit(a) @ _unit(b), -1, 1))


def spearman(x: ArrayLike, y: ArrayLike) -> float:  # (N,), (N,) -> -1 to 1
    """How nearly x and y have the same order (Spearman, 1904): Pearson's correlation of their ranks.

    Equal values share the average of their ranks.  Raises InputError as `pearson` does.

    >>> spearman([1, 2, 3], [1, 10, 1000])
    1.0
    >>> round(spearman([1, 2, 2, 3], [1, 2, 3, 4]), 6)
    0.948683
    """
    return pearson(average_ranks(_check(x, "x")), average_ranks(_check(y, "y")))


def average_ranks(x: ArrayLike) -> Array:  # (N,) -> (N,) float64
    """Rank values from 1 (smallest) to N; equal values share the average of the ranks they take up.

    >>> average_ranks([30, 10, 20, 10]).tolist()
    [4.0, 1.5, 3.0, 1.5]
    """
    _, place, counts = np.unique(np.asarray(x), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # the highest rank in each group of equals
    ranks: Array = (last - (counts - 1) / 2)[place]
    return ranks


def _check(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise InputError(f"a correlation needs two lists of at least 2 numbers; {name} has shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}[{int(np.flatnonzero(~np.isfinite(array))[0])}] is not a finite number")
    if (array == array[0]).all():
        raise InputError(f"all {len(array)} values of {name} are {array[0]:g}: no correlation is defined")
    return array


def _unit(x: Array) -> Array:  # mean 0, length 1; scaled first, so that squares neither overflow nor vanish
    x = x / np.abs(x).max()
    x = x - x.mean()
    x = x / np.abs(x).max()
    return x / np.sqrt(x @ x)
