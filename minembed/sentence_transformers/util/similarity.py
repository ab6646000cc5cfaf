"""Similarity of vectors, under the reference's names; results are tensors if torch is installed.

Rows are compared in float32, or in float64 if one of the arrays is float64.  A row of zeros has the cosine 0 with every
row.  Distances between nearly equal rows are exact to rounding, too; the reference computes them with matrix products,
whose error is up to 1e-3 there.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.search import similarity as sim
from minembed.sentence_transformers.refusals import MULTI_VECTOR, refused
from minembed.sentence_transformers.tensors import as_array, tensor
from minembed.types import Array, Metric

maxsim = refused("maxsim", MULTI_VECTOR)
maxsim_pairwise = refused("maxsim_pairwise", MULTI_VECTOR)
mean_maxsim = refused("mean_maxsim", MULTI_VECTOR)
mean_maxsim_pairwise = refused("mean_maxsim_pairwise", MULTI_VECTOR)


def matrix(values: Any, name: str = "embeddings") -> Array:  # (N, D) or (D,) -> (N, D)
    """Turn vectors into a matrix; a single vector becomes one row.

    >>> matrix([1.0, 2.0]).shape
    (1, 2)
    """
    array = as_array(values, name)
    return array[None] if array.ndim == 1 else array


def cos_sim(a: Any, b: Any) -> Any:  # (N, D), (M, D) -> (N, M)
    """The cosine of every row of a with every row of b.

    >>> cos_sim([[1.0, 0.0]], [[2.0, 0.0], [0.0, 3.0]]).tolist()
    [[1.0, 0.0]]
    """
    return tensor(sim.cosine_similarity(matrix(a, "a"), matrix(b, "b")))


def pytorch_cos_sim(a: Any, b: Any) -> Any:  # (N, D), (M, D) -> (N, M)
    """The same as `cos_sim`, under its old name.

    >>> pytorch_cos_sim([1.0, 0.0], [1.0, 0.0]).tolist()
    [[1.0]]
    """
    return cos_sim(a, b)


def dot_score(a: Any, b: Any) -> Any:  # (N, D), (M, D) -> (N, M)
    """The dot product of every row of a with every row of b.

    >>> dot_score([[1.0, 2.0]], [[3.0, 4.0]]).tolist()
    [[11.0]]
    """
    return tensor(sim.dot_product(matrix(a, "a"), matrix(b, "b")))


def euclidean_sim(a: Any, b: Any) -> Any:  # (N, D), (M, D) -> (N, M)
    """Minus the Euclidean distance from every row of a to every row of b.

    >>> euclidean_sim([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
    [[-5.0]]
    """
    return tensor(sim.euclidean_similarity(matrix(a, "a"), matrix(b, "b")))


def manhattan_sim(a: Any, b: Any) -> Any:  # (N, D), (M, D) -> (N, M)
    """Minus the Manhattan distance, the sum of absolute differences, from every row of a to every row of b.

    >>> manhattan_sim([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
    [[-7.0]]
    """
    return tensor(sim.manhattan_similarity(matrix(a, "a"), matrix(b, "b")))


def _by_rows(a: Any, b: Any, metric: Metric) -> Any:  # two of (N, D), or of (D,) -> (N,) or ()
    x, y = as_array(a, "a"), as_array(b, "b")
    alone = x.ndim == y.ndim == 1
    try:
        x, y = np.broadcast_arrays(np.atleast_2d(x), np.atleast_2d(y))
    except ValueError:
        raise InputError(f"a and b must have as many rows of one width; got {x.shape} and {y.shape}") from None
    scores = sim.pairwise(x, y, metric)
    return tensor(scores[0] if alone else scores)


def pairwise_cos_sim(a: Any, b: Any) -> Any:  # (N, D), (N, D) -> (N,)
    """The cosine of row i of a with row i of b.

    >>> pairwise_cos_sim([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 3.0]]).tolist()
    [1.0, 0.0]
    """
    return _by_rows(a, b, "cosine")


def pairwise_dot_score(a: Any, b: Any) -> Any:  # (N, D), (N, D) -> (N,)
    """The dot product of row i of a with row i of b.

    >>> pairwise_dot_score([[1.0, 2.0]], [[3.0, 4.0]]).tolist()
    [11.0]
    """
    return _by_rows(a, b, "dot")


def pairwise_euclidean_sim(a: Any, b: Any) -> Any:  # (N, D), (N, D) -> (N,)
    """Minus the Euclidean distance from row i of a to row i of b.

    >>> pairwise_euclidean_sim([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
    [-5.0]
    """
    return _by_rows(a, b, "euclidean")


def pairwise_manhattan_sim(a: Any, b: Any) -> Any:  # (N, D), (N, D) -> (N,)
    """Minus the Manhattan distance, the sum of absolute differences, from row i of a to row i of b.

    >>> pairwise_manhattan_sim([[0.0, 0.0]], [[3.0, 4.0]]).tolist()
    [-7.0]
    """
    return _by_rows(a, b, "manhattan")


def pairwise_angle_sim(x: Any, y: Any) -> Any:  # (N, D), (N, D) -> (N,)
    """The similarity of AnglE (Li and Li, 2023): |cosine + sine| of row i of x and row i of y as D/2 complex numbers.

    >>> pairwise_angle_sim([[1.0, 0.0]], [[0.0, 1.0]]).tolist()
    [1.0]
    """
    left, right = matrix(x, "x"), matrix(y, "y")
    half = (left.shape[1] + 1) // 2  # an odd width is padded with a zero
    a, b = (sim_unit(np.pad(rows, ((0, 0), (0, 2 * half - rows.shape[1])))) for rows in (left, right))
    cosines = (a * b).sum(axis=1)
    sines = (a[:, half:] * b[:, :half] - a[:, :half] * b[:, half:]).sum(axis=1)
    return tensor(np.abs(cosines + sines))


def sim_unit(rows: Array) -> Array:  # (N, D) -> (N, D)
    """Scale rows to length 1; zeros stay zeros.

    >>> sim_unit(np.float32([[3, 4], [0, 0]])).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    lengths = np.sqrt((rows * rows).sum(axis=-1, keepdims=True))
    return np.asarray(rows / np.where(lengths == 0, lengths.dtype.type(1), lengths))


class SimilarityFunction(Enum):
    """The names of the similarity functions.

    >>> SimilarityFunction("dot") is SimilarityFunction.DOT, SimilarityFunction.possible_values()[0]
    (True, 'cosine')
    """

    COSINE = "cosine"
    DOT_PRODUCT = "dot"
    DOT = "dot"
    EUCLIDEAN = "euclidean"
    MANHATTAN = "manhattan"
    MAXSIM = "maxsim"
    MEAN_MAXSIM = "meanmaxsim"

    @classmethod
    def _missing_(cls, value: object) -> Any:
        raise InputError(f"the similarity function {value!r} is unknown; known: {', '.join(cls.possible_values())}")

    @staticmethod
    def to_similarity_fn(similarity_function: "str | SimilarityFunction") -> Callable[[Any, Any], Any]:
        """The function that compares every row with every row; raises InputError for an unknown name."""
        return ALL_PAIRS[SimilarityFunction(similarity_function)]

    @staticmethod
    def to_similarity_pairwise_fn(similarity_function: "str | SimilarityFunction") -> Callable[[Any, Any], Any]:
        """The function that compares row i with row i; raises InputError for an unknown name."""
        return BY_ROWS[SimilarityFunction(similarity_function)]

    @staticmethod
    def possible_values() -> list[str]:
        """All names."""
        return [m.value for m in SimilarityFunction]


ALL_PAIRS: dict[SimilarityFunction, Any] = {
    SimilarityFunction.COSINE: cos_sim,
    SimilarityFunction.DOT_PRODUCT: dot_score,
    SimilarityFunction.EUCLIDEAN: euclidean_sim,
    SimilarityFunction.MANHATTAN: manhattan_sim,
    SimilarityFunction.MAXSIM: maxsim,
    SimilarityFunction.MEAN_MAXSIM: mean_maxsim,
}
BY_ROWS: dict[SimilarityFunction, Any] = {
    SimilarityFunction.COSINE: pairwise_cos_sim,
    SimilarityFunction.DOT_PRODUCT: pairwise_dot_score,
    SimilarityFunction.EUCLIDEAN: pairwise_euclidean_sim,
    SimilarityFunction.MANHATTAN: pairwise_manhattan_sim,
    SimilarityFunction.MAXSIM: maxsim_pairwise,
    SimilarityFunction.MEAN_MAXSIM: mean_maxsim_pairwise,
}
METRIC_OF: dict[Any, Metric] = {
    cos_sim: "cosine",
    pytorch_cos_sim: "cosine",
    dot_score: "dot",
    euclidean_sim: "euclidean",
    manhattan_sim: "manhattan",
}
