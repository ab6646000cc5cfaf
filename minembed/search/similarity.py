"""The similarity of vectors, in NumPy; topk.py finds the most similar ones.

The four functions compare all pairs, `pairwise` row with row; larger is more similar, as in sentence-transformers.
A row of zeros has no direction: its cosine with anything, itself included, is 0; its dot product is 0; its distance is
the length of the other row.  The result is float32 if both sides are, else float64.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.runtime.checks import as_matrices
from minembed.search.metrics import METRICS
from minembed.types import Array, Metric


def _rows(a: ArrayLike, b: ArrayLike) -> tuple[Array, Array]:
    x, y = as_matrices(("a", "b"), a, b)
    x, y = (v if v.dtype in (np.float32, np.float64) else v.astype(np.float64) for v in (x, y))
    return x, y


def cosine_similarity(a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
    """The cosine of the angle between every row of a and every row of b; 0 if a row is all zeros.

    A single vector counts as one row.  Raises InputError if the widths differ.

    >>> cosine_similarity([[1.0, 1.0]], [[2.0, 2.0], [0.0, 0.0]]).round(6).tolist()
    [[1.0, 0.0]]
    """
    return METRICS["cosine"].pairs(*_rows(a, b))


def dot_product(a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
    """The dot product of every row of a with every row of b.

    >>> dot_product([[1.0, 2.0]], [[3.0, 4.0]]).tolist()
    [[11.0]]
    """
    return METRICS["dot"].pairs(*_rows(a, b))


def euclidean_similarity(a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
    """Minus the Euclidean distance, so that larger is more similar, as in sentence-transformers.

    >>> euclidean_similarity([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
    [[-5.0]]
    """
    return METRICS["euclidean"].pairs(*_rows(a, b))


def manhattan_similarity(a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
    """Minus the sum of absolute differences, so that larger is more similar, as in sentence-transformers.

    >>> manhattan_similarity([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
    [[-7.0]]
    """
    return METRICS["manhattan"].pairs(*_rows(a, b))


SIMILARITY: dict[Metric, Callable[[ArrayLike, ArrayLike], Array]] = {
    "cosine": cosine_similarity,
    "dot": dot_product,
    "euclidean": euclidean_similarity,
    "manhattan": manhattan_similarity,
}


def pairwise(a: ArrayLike, b: ArrayLike, metric: Metric = "cosine") -> Array:  # (N, D), (N, D) -> (N,)
    """Compare row i of a with row i of b.

    Raises InputError for an unknown metric, or if the shapes differ.

    >>> pairwise([[3.0, 4.0], [1.0, 0.0]], [[3.0, 4.0], [0.0, 1.0]]).round(6).tolist()
    [1.0, 0.0]
    """
    if metric not in METRICS:
        raise InputError(f"metric {metric!r} is unknown; known: {', '.join(METRICS)}")
    a, b = _rows(a, b)
    if len(a) != len(b):
        raise InputError(f"pairwise comparison needs as many rows on both sides, got {len(a)} and {len(b)}")
    return METRICS[metric].rows(a, b)
