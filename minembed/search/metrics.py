"""The metrics: everything that a search, an evaluation or a loss needs of one is in one row of one table.

A score is larger for more similar vectors; the score of a distance is minus the distance.  The compiled scans cannot
call Python: they identify a metric by its number, and kernels/topk repeats its formulas.

N and M rows, Q queries, n rows of a corpus, D width.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.transformer.vectors import l2_normalize
from minembed.types import Array, Metric

DOT, COSINE, EUCLIDEAN, MANHATTAN = range(4)  # the numbers of the metrics
FLOAT32_UNIT, FLOAT64_UNIT = (
    2.0**-24,
    2.0**-52,
)  # rounding errors: half a unit in the last place, and a whole one
SHORTEST_ROW = 1e-12  # the float32 length of shorter rows may be inexact
LONGEST_ROW = 1e18  # products with longer rows may overflow float32
PARTIAL_SUMS = 16  # partial sums of a float64 score
SHORTEST_DISTANCE = 2.0**-498  # squares of shorter ones underflow float64

Terms = tuple[Any, Any, Any]


@dataclass(frozen=True, slots=True)
class MetricRow:
    """The functions of a score, and those that an exact search needs in addition."""

    name: Metric
    number: int
    pairs: Callable[[Array, Array], Array]  # (N, D), (M, D) -> (N, M): every row with every row
    rows: Callable[[Array, Array], Array]  # (N, D), (N, D) -> (N,): row i with row i
    exact: Callable[[Array, Array], Array]  # (n, D), (n, D) float64 -> (n,): the same bits in every tier
    scan: Callable[[Array, Array, Array], Array]  # (Q, D), (n, D), (n,) lengths -> (Q, n): the values of a fast scan
    margins: Callable[[Array, int, float], Terms]  # (Q,) lengths, D, unit -> a, b, c: see Search.margins
    is_distance: bool = False
    is_direction: bool = False  # lengths do not matter; exact search needs queries of length 1, or 0
    from_products: bool = True  # a scan value comes from the dot product
    scan_of_scores: Callable[[Array, Array], Array] = lambda scores, lengths: scores  # exact scores as scan values


def sum_of(x: Array) -> Array:  # (n, D) -> (n,)
    """Sum each row in the order of every tier: PARTIAL_SUMS partial sums, whose halves are added until one is left.

    >>> sum_of(np.ones((2, 20))).tolist()
    [20.0, 20.0]
    """
    steps = -(-x.shape[1] // PARTIAL_SUMS)
    filled = np.zeros((len(x), steps * PARTIAL_SUMS), np.float64)
    filled[:, : x.shape[1]] = x
    parts = filled.reshape(len(x), steps, PARTIAL_SUMS)
    total = np.zeros((len(x), PARTIAL_SUMS))
    for j in range(steps):
        total += parts[:, j]
    while total.shape[1] > 1:
        total = total[:, : total.shape[1] // 2] + total[:, total.shape[1] // 2 :]
    return total[:, 0]


# ---- dot product: x . y


def _powers(x: Array) -> Array:  # (N, D) -> (N, 1)
    """The exponent of each row's largest number: scaled by it, a row keeps all its digits, and no square overflows."""
    exponents: Array = np.frexp(np.abs(x).max(axis=1, keepdims=True, initial=0))[1]
    return exponents


def _are_finite(values: Array) -> bool:
    return bool(np.isfinite(values.min(initial=0)) and np.isfinite(values.max(initial=0)))  # NaN spreads to both


def _dot_pairs(a: Array, b: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        values: Array = a @ b.T
        if not _are_finite(values) and _are_finite(a) and _are_finite(b):  # products overflowed, but their sum may not
            left, right = _powers(a), _powers(b)
            again = np.ldexp(np.ldexp(a, -left) @ np.ldexp(b, -right).T, left + right.T)
            values = np.where(np.isfinite(values), values, again)
    return values


def _dot_rows(a: Array, b: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        values: Array = (a * b).sum(axis=-1)
        if not _are_finite(values) and _are_finite(a) and _are_finite(b):
            left, right = _powers(a), _powers(b)
            again = np.ldexp((np.ldexp(a, -left) * np.ldexp(b, -right)).sum(axis=-1), (left + right)[:, 0])
            values = np.where(np.isfinite(values), values, again)
    return values


def _dot_scan(queries: Array, x: Array, lengths: Array) -> Array:
    values: Array = queries @ x.T
    return values


_DOT = MetricRow(
    "dot",
    DOT,
    pairs=_dot_pairs,
    rows=_dot_rows,
    exact=lambda queries, rows: sum_of(rows * queries),
    scan=_dot_scan,
    margins=lambda own, D, unit: (0.0, own, 0.0),
)

# ---- cosine: x . y / (|x| |y|), 0 if a row is all zeros


def _unit(x: Array) -> Array:  # (N, D) -> (N, D)
    """Scale rows to length 1."""
    return l2_normalize(np.ldexp(x, -_powers(x)))


def _cosine_exact(queries: Array, rows: Array) -> Array:
    scores = sum_of(rows * queries)
    lengths = np.sqrt(sum_of(rows * rows))
    return np.clip(scores / np.where(lengths == 0, 1, lengths), -1, 1)


def _cosine_scan(queries: Array, x: Array, lengths: Array) -> Array:
    values = _dot_scan(queries, x, lengths)
    values /= np.where(lengths == 0, lengths.dtype.type(1), lengths)
    return values


_COSINE = MetricRow(
    "cosine",
    COSINE,
    pairs=lambda a, b: np.clip(_unit(a) @ _unit(b).T, -1, 1),
    rows=lambda a, b: np.clip((_unit(a) * _unit(b)).sum(axis=-1), -1, 1),
    exact=_cosine_exact,
    scan=_cosine_scan,
    margins=lambda own, D, unit: (1.0, 0.0, 0.0),
    is_direction=True,
)

# ---- minus the Euclidean distance, - |x - y|; the scan compares 2 x . q - x^2, which is q^2 - |x - q|^2


def _by_rows(f: Callable[[Array, Array], Array], x: Array, y: Array) -> Array:  # (N, D), (M, D) -> (N, M)
    return np.array([f(row, y) for row in x]).reshape(len(x), len(y))


def _lengths(x: Array, total: Callable[[Array], Array]) -> Array:  # (n, D) -> (n,)
    """The lengths of rows, as the root of the sum of squares; also if squares overflow or underflow."""
    with np.errstate(over="ignore"):
        squares = total(x**2)
        lengths: Array = np.sqrt(squares)
        odd = ~((squares > 2.0**26 * np.finfo(x.dtype).tiny) & (squares < np.inf))
        if odd.any():
            powers = _powers(x[odd])
            lengths[odd] = np.ldexp(np.sqrt(total(np.ldexp(x[odd], -powers) ** 2)), powers[:, 0])
    return lengths


def _euclidean(a: Array, b: Array) -> Array:
    scores: Array = 0 - _lengths(a - b, lambda squares: squares.sum(axis=-1))  # 0, not -0, for equal rows
    return scores


def _euclidean_scan(queries: Array, x: Array, lengths: Array) -> Array:
    values = _dot_scan(queries, x, lengths)
    values *= 2
    values -= lengths**2
    return values


_EUCLIDEAN = MetricRow(
    "euclidean",
    EUCLIDEAN,
    pairs=lambda a, b: _by_rows(_euclidean, a, b),
    rows=_euclidean,
    exact=lambda queries, rows: -_lengths(rows - queries, sum_of),
    scan=_euclidean_scan,
    margins=lambda own, D, unit: (FLOAT64_UNIT / unit * own**2, 2 * own, 1.0),  # a: the error of the score itself
    is_distance=True,
    scan_of_scores=lambda scores, lengths: lengths**2 - scores**2,
)

# ---- minus the Manhattan distance, - sum |x - y|


def _manhattan(a: Array, b: Array) -> Array:
    scores: Array = 0 - np.abs(a - b).sum(axis=-1)
    return scores


_MANHATTAN = MetricRow(
    "manhattan",
    MANHATTAN,
    pairs=lambda a, b: _by_rows(_manhattan, a, b),
    rows=_manhattan,
    exact=lambda queries, rows: -sum_of(np.abs(rows - queries)),
    scan=lambda queries, x, lengths: np.stack([-np.abs(x - q).sum(axis=1) for q in queries]),
    margins=lambda own, D, unit: (math.sqrt(D) * own, math.sqrt(D), 0.0),
    is_distance=True,
    from_products=False,
)

METRICS: dict[str, MetricRow] = {metric.name: metric for metric in (_COSINE, _DOT, _EUCLIDEAN, _MANHATTAN)}
