"""How alike vectors are, in NumPy; which are the most alike is in topk.py.

The four functions compare all pairs, `pairwise` row with row; larger is more alike, as in sentence-transformers.
A row of zeros has no direction: its cosine with anything, itself included, is 0; its dot product is 0; its distance is
the length of the other row.  The result is float32 where both sides are, else float64.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.transformer.vectors import l2_normalize
from minembed.types import Array, Metric


def _rows(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    x, y = (np.atleast_2d(np.asarray(v)) for v in (a, b))
    x, y = (v if v.dtype in (np.float32, np.float64) else v.astype(np.float64) for v in (x, y))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise InputError(f"vectors of one width are needed, (N, D) and (M, D); got shapes {x.shape} and {y.shape}")
    return x, y


def _by_rows(f: Callable[[Array, Array], Array], a: ArrayLike, b: ArrayLike) -> Array:
    x, y = _rows(a, b)
    return np.array([f(row, y) for row in x]).reshape(len(x), len(y))


def _unit(x: Array) -> Array:  # (N, D) -> (N, D)
    """Scale rows to length 1; first by a power of two, which is exact, so that no square overflows or vanishes."""
    _, exponent = np.frexp(np.abs(x).max(axis=1, keepdims=True, initial=0))
    return l2_normalize(np.ldexp(x, -exponent))


def cosine_similarity(a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
    """The cosine of the angle between every row of a and every row of b; 0 where a row is all zeros.

    A single vector counts as one row.  Raises InputError where the widths differ.

    >>> cosine_similarity([[1.0, 1.0]], [[2.0, 2.0], [0.0, 0.0]]).round(6).tolist()
    [[1.0, 0.0]]
    """
    a, b = _rows(a, b)
    return np.clip(_unit(a) @ _unit(b).T, -1, 1)


def dot_product(a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
    """The sum of products of every row of a with every row of b.

    >>> dot_product([[1.0, 2.0]], [[3.0, 4.0]]).tolist()
    [[11.0]]
    """
    a, b = _rows(a, b)
    return a @ b.T


def euclidean_similarity(a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
    """Minus the straight distance, so that larger is more alike, as in sentence-transformers.

    >>> euclidean_similarity([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
    [[-5.0]]
    """
    return _by_rows(lambda row, b: 0 - np.sqrt(((b - row) ** 2).sum(axis=-1)), a, b)  # 0, not -0, of equal rows


def manhattan_similarity(a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
    """Minus the sum of absolute differences, so that larger is more alike, as in sentence-transformers.

    >>> manhattan_similarity([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
    [[-7.0]]
    """
    return _by_rows(lambda row, b: 0 - np.abs(b - row).sum(axis=-1), a, b)


SIMILARITY: dict[Metric, Callable[[ArrayLike, ArrayLike], Array]] = {
    "cosine": cosine_similarity,
    "dot": dot_product,
    "euclidean": euclidean_similarity,
    "manhattan": manhattan_similarity,
}


def pairwise(a: ArrayLike, b: ArrayLike, metric: Metric = "cosine") -> Array:  # (N, D), (N, D) -> (N,)
    """Compare row i of a with row i of b.

    Raises InputError for an unknown metric or where the shapes differ.

    >>> pairwise([[3.0, 4.0], [1.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]]).round(6).tolist()
    [1.0, 0.0]
    """
    a, b = _rows(a, b)
    if len(a) != len(b):
        raise InputError(f"pairwise comparison needs as many rows on both sides, got {len(a)} and {len(b)}")
    if metric == "cosine":
        return np.clip((_unit(a) * _unit(b)).sum(axis=-1), -1, 1)
    if metric == "dot":
        return (a * b).sum(axis=-1)
    if metric == "euclidean":
        return 0 - np.sqrt(((a - b) ** 2).sum(axis=-1))
    if metric == "manhattan":
        return 0 - np.abs(a - b).sum(axis=-1)
    raise InputError(f"metric {metric!r} is unknown; known: {', '.join(SIMILARITY)}")
