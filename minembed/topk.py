"""The k rows of a corpus that are most alike to a query, exactly, at the speed of float32.

A fast scan in float32 knows how far it may be off: for D products, (2D + 16) 2^-24 times the lengths of both vectors
(Higham, 2002, section 3.1; any order of sums, with room for what else is rounded).  Every row that could still be among
the best is kept, and those few are scored again in float64.  So every tier gives the same rows in the same order: by
the float64 score, and among equals by index.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.params import Array

DOT, COSINE, EUCLIDEAN, MANHATTAN = range(4)
METRICS = {"dot": DOT, "cosine": COSINE, "euclidean": EUCLIDEAN, "manhattan": MANHATTAN}
QUERIES = 1024  # that one pass over the corpus serves
BLOCK = 4096  # corpus rows a step of the NumPy tier
PAIRS = 1 << 13  # of query and row, that are scored again at a time
HELD = 1 << 20  # candidates of all queries, from which on the NumPy tier looks for the exact ones among them
SINGLE, DOUBLE = 2.0**-24, 2.0**-52  # half a unit in the last place, and a whole one
SMALLEST = 1e-12  # shorter rows may have lost digits of their length in float32
LANES = 16  # partial sums of a float64 score


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: up to QUERIES queries, as the scans want them."""

    queries: Array  # (Q, D) float64
    lengths: Array  # (Q,) float64
    k: int
    metric: int

    @staticmethod
    def of(queries: Array, k: int, metric: int) -> "Search":
        """Take the lengths of the queries; a cosine compares directions, so these become 1.

        >>> Search.of(np.array([[3.0, 4.0]]), 1, COSINE).queries.tolist()
        [[0.6, 0.8]]
        """
        lengths = np.sqrt(sum_of(queries * queries))
        if metric == COSINE:
            queries = queries / np.where(lengths == 0, 1, lengths)[:, None]
            lengths = np.where(lengths == 0, 0.0, 1.0)
        return Search(queries, lengths, k, metric)

    def margins(self, unit: float) -> Array:  # -> (3, Q)
        """How far a scan's value may be from the true one: a + b longest + c longest^2, for rows up to `longest`.

        `unit` is the rounding of the scan's precision.

        >>> Search.of(np.ones((1, 4)), 1, DOT).margins(2.0**-24)[1].tolist() == [24 * 2 * 2.0**-24]
        True
        """
        D, own = self.queries.shape[1], self.lengths
        none, one = np.zeros(len(own)), np.ones(len(own))
        a, b, c = {
            DOT: (none, own, none),
            COSINE: (one, none, none),
            EUCLIDEAN: (DOUBLE / unit * own**2, 2 * own, one),  # the first: what the score itself may be off
            MANHATTAN: (math.sqrt(D) * own, math.sqrt(D) * one, none),
        }[self.metric]
        return (2 * D + 16) * np.stack([unit * a + 2.0**-149, unit * b, unit * c])

    def scan_value(self, scores: Array, which: Array) -> Array:
        """Turn exact scores of some queries into the scale on which the scan compares."""
        return self.lengths[which] ** 2 - scores**2 if self.metric == EUCLIDEAN else scores


def top_k(
    queries: ArrayLike,
    corpus: ArrayLike,
    k: int,
    metric: str = "dot",
    backend: str = "auto",
    threads: int | None = None,
) -> tuple[Array, Array]:  # (Q, D), (N, D) -> (Q, min(k, N)) twice
    """Find the k rows of the corpus that are most alike to each query, exactly.

    `metric` is "dot", "cosine" (0 where a vector is all zeros), "euclidean" or "manhattan" (both minus the distance).
    Returns scores (float64), best first, and their indices (int64); of equal scores the lower index comes first.
    The corpus is read in blocks: it may be a memory-mapped file, of any float type.
    Raises InputError for an unknown metric or backend, a negative k, widths that differ, NaN or infinity.

    >>> scores, indices = top_k([[1.0, 0.0]], [[0.0, 1.0], [2.0, 0.0], [1.0, 0.0]], k=2)
    >>> scores.tolist(), indices.tolist()
    ([[2.0, 1.0]], [[1, 2]])
    """
    from minembed.backend import resolve, tier
    from minembed.threads import check_threads

    if metric not in METRICS:
        raise InputError(f"metric {metric!r} is unknown; known: {', '.join(METRICS)}")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 0:
        raise InputError(f"k must be a whole number of at least 0, not {k!r}")
    own, rows = _matrices(queries, corpus)
    backend = tier(backend, len(own) * rows.size)
    scan, rescore, threads = resolve("scan", backend), resolve("rescore", backend), check_threads(threads)
    k = min(int(k), len(rows))
    scores, indices = np.empty((len(own), k), np.float64), np.empty((len(own), k), np.int64)
    for first in range(0, len(own) if k else 0, QUERIES):
        search = Search.of(own[first : first + QUERIES], k, METRICS[metric])
        which, found = scan(search, rows, threads)
        part = slice(first, first + QUERIES)
        scores[part], indices[part] = rank(search, rows, which, found, rescore, threads)
    return scores, indices


def _matrices(queries: ArrayLike, corpus: ArrayLike) -> tuple[Array, Array]:
    x, y = (np.atleast_2d(np.asarray(v)) for v in (queries, corpus))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise InputError(f"vectors of one width are needed, (Q, D) and (N, D); got shapes {x.shape} and {y.shape}")
    if x.dtype.kind not in "fiub" or y.dtype.kind not in "fiub":
        raise InputError(f"vectors must be numbers; got arrays of {x.dtype} and {y.dtype}")
    x = x.astype(np.float64)
    if not np.isfinite(x).all():
        raise InputError(f"queries holds NaN or infinity, first in row {np.argwhere(~np.isfinite(x))[0, 0]}")
    return x, y


def rank(
    search: Search, corpus: Array, which: Array, found: Array, rescore: Any, threads: int
) -> tuple[Array, Array]:  # -> (Q, k) twice
    """Score the candidates (query `which`, row `found`) in float64, and order the best of each query."""
    scores = rescore(search, corpus, which, found, threads)
    best = best_of(search, which, found, scores)
    return scores[best], found[best]


def sum_of(x: Array) -> Array:  # (m, D) -> (m,)
    """Sum each row in an order that every tier keeps: LANES partial sums, halves added to halves at the end.

    >>> sum_of(np.ones((2, 20))).tolist()
    [20.0, 20.0]
    """
    steps = -(-x.shape[1] // LANES)
    filled = np.zeros((len(x), steps * LANES), np.float64)
    filled[:, : x.shape[1]] = x
    parts = filled.reshape(len(x), steps, LANES)
    total = np.zeros((len(x), LANES))
    for j in range(steps):
        total += parts[:, j]
    while total.shape[1] > 1:
        total = total[:, : total.shape[1] // 2] + total[:, total.shape[1] // 2 :]
    return total[:, 0]


def exact_scores(queries: Array, rows: Array, metric: int) -> Array:  # (m, D), (m, D) float64 -> (m,)
    """Compare row i with row i in float64; for a cosine the queries have length 1, or 0.

    >>> exact_scores(np.array([[0.0, 1.0]]), np.array([[3.0, 4.0]]), COSINE).tolist()
    [0.8]
    """
    if metric == MANHATTAN:
        return -sum_of(np.abs(rows - queries))
    if metric == EUCLIDEAN:
        return -np.sqrt(sum_of((rows - queries) ** 2))
    scores = sum_of(rows * queries)
    if metric == COSINE:
        lengths = np.sqrt(sum_of(rows * rows))
        scores = np.clip(scores / np.where(lengths == 0, 1, lengths), -1, 1)
    return scores


# ---- the NumPy tier


def rescore_numpy(search: Search, corpus: Array, which: Array, found: Array, threads: int) -> Array:
    """The float64 scores of pairs of a query and a row.

    >>> search = Search.of(np.array([[2.0]]), 1, DOT)
    >>> rescore_numpy(search, np.array([[5.0], [7.0]]), np.array([0]), np.array([1]), threads=1).tolist()
    [14.0]
    """
    scores = np.empty(len(which))
    for start in range(0, len(which), PAIRS):
        part = slice(start, start + PAIRS)
        rows = corpus[found[part]].astype(np.float64)
        scores[part] = exact_scores(search.queries[which[part]], rows, search.metric)
    return scores


def scan_numpy(search: Search, corpus: Array, threads: int) -> tuple[Array, Array]:
    """Find (query, row) of every row that could be among the k best; in float64 where float32 would overflow.

    >>> which, found = scan_numpy(Search.of(np.eye(2), 1, DOT), np.array([[0.0, 1.0], [1.0, 0.0]]), threads=1)
    >>> found[np.argsort(which)].tolist()
    [1, 0]
    """
    try:
        return _scan(search, corpus, np.float32)
    except Unsafe:
        return _scan(search, corpus, np.float64)


class Unsafe(Exception):
    """Numbers too large or too small for float32."""


def lengths_of(x: Array, original: Array, start: int, metric: int) -> Array:  # (n, D) -> (n,)
    """How long rows are; raises InputError for NaN or infinity, Unsafe for what float32 cannot measure.

    >>> lengths_of(np.float32([[3, 4]]), np.array([[3.0, 4.0]]), 0, DOT).tolist()
    [5.0]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->i", x, x))
    if not np.isfinite(lengths).all():
        check_finite(original, start)
        if x.dtype == np.float32:
            raise Unsafe
    if metric == COSINE and x.dtype == np.float32 and original[lengths < SMALLEST].any():
        raise Unsafe
    return lengths


def check_finite(rows: Array, start: int) -> None:
    """Raise InputError where a row of the corpus holds NaN or infinity.

    >>> check_finite(np.zeros((1, 1)), 0)
    """
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise InputError(f"corpus holds NaN or infinity, first in row {start + int(np.argmax(bad))}")


def _scan(search: Search, corpus: Array, dtype: Any) -> tuple[Array, Array]:
    unit = SINGLE if dtype == np.float32 else DOUBLE
    with np.errstate(over="ignore"):
        queries = search.queries.astype(dtype)
    if not np.isfinite(queries).all():
        raise Unsafe
    Q, longest, margins = len(queries), 0.0, search.margins(unit)
    held = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, dtype)  # query, row, value
    threshold = np.full(Q, -np.inf)
    for start in range(0, len(corpus), BLOCK):
        original = corpus[start : start + BLOCK]
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(original, dtype)
        lengths = lengths_of(x, original, start, search.metric)
        longest = max(longest, float(lengths.max()))
        values = scan_values(queries, x, lengths, search.metric)
        which, row = np.nonzero(values >= threshold.astype(dtype)[:, None])
        held = tuple(np.concatenate(x) for x in zip(held, (which, start + row, values[which, row]), strict=True))
        if start == 0 or len(held[0]) > 3 * Q * search.k:
            held, threshold = keep(search, corpus, held, threshold, margin_for(margins, longest))
    held, _ = keep(search, corpus, held, threshold, margin_for(margins, longest))
    return held[0], held[1]


def scan_values(queries: Array, x: Array, lengths: Array, metric: int) -> Array:  # (Q, D), (n, D) -> (Q, n)
    """What the scan compares: larger is more alike, in the precision of the arrays.

    >>> scan_values(np.ones((1, 1)), np.array([[3.0]]), np.array([3.0]), EUCLIDEAN).tolist()
    [[-3.0]]
    """
    if metric == MANHATTAN:
        return np.stack([-np.abs(x - q).sum(axis=1) for q in queries])
    values: Array = queries @ x.T
    if metric == COSINE:
        values /= np.where(lengths == 0, lengths.dtype.type(1), lengths)
    if metric == EUCLIDEAN:
        values *= 2
        values -= lengths**2
    return values


def keep(search: Search, corpus: Array, held: Any, threshold: Array, margin: Array) -> tuple[Any, Array]:
    """Drop candidates (query, row, value) that k others surely beat; where too many are left, all but the k best.

    >>> held = np.zeros(2, np.int64), np.arange(2), np.array([1.0, 5.0])
    >>> search = Search.of(np.ones((1, 1)), 1, DOT)
    >>> keep(search, np.array([[1.0], [5.0]]), held, np.full(1, -np.inf), np.full(1, 0.1))[0][1].tolist()
    [1]
    """
    which, row, value = held
    kth, threshold = _kth(which, value.astype(np.float64), search), threshold.copy()
    np.maximum(threshold, kth - 2 * margin, out=threshold)
    kept = value >= threshold[which]
    held = which[kept], row[kept], value[kept]
    enough = len(held[0]) and np.bincount(held[0], minlength=len(kth)).min() >= search.k
    if enough and len(held[0]) > max(HELD, 8 * len(kth) * search.k):
        held, floors = keep_exact(search, corpus, held)
        np.maximum(threshold, floors - margin, out=threshold)
    return held, threshold


def keep_exact(search: Search, corpus: Array, held: Any) -> tuple[Any, Array]:
    """Keep the k best candidates of each query, by their float64 scores; also the value that the last of them has.

    >>> held = np.zeros(2, np.int64), np.arange(2), np.array([1.0, 5.0])
    >>> keep_exact(Search.of(np.ones((1, 1)), 1, DOT), np.array([[1.0], [5.0]]), held)[1].tolist()
    [5.0]
    """
    which, row, value = held
    scores = rescore_numpy(search, corpus, which, row, 1)
    best = best_of(search, which, row, scores)
    last = best[:, -1]
    best = best.reshape(-1)
    return (which[best], row[best], value[best]), search.scan_value(scores[last], which[last])


def best_of(search: Search, which: Array, found: Array, scores: Array) -> Array:  # -> (Q, k)
    """Where the k best of each query stand: largest score first, then lowest index.

    >>> search = Search.of(np.ones((1, 1)), 2, DOT)
    >>> best_of(search, np.zeros(3, int), np.array([7, 5, 6]), np.array([1.0, 1.0, 2.0])).tolist()
    [[2, 1]]
    """
    order = np.lexsort((found, -scores, which))
    starts = np.searchsorted(which[order], np.arange(len(search.lengths)))
    return order[starts[:, None] + np.arange(search.k)]


def _kth(which: Array, value: Array, search: Search) -> Array:  # -> (Q,)
    """The k-th largest value of each query; -inf where there are fewer."""
    order = np.lexsort((-value, which))
    bounds = np.searchsorted(which[order], np.arange(len(search.lengths) + 1))
    enough = np.diff(bounds) >= search.k
    kth = np.full(len(search.lengths), -np.inf)
    kth[enough] = value[order[bounds[:-1][enough] + search.k - 1]]
    return kth


def margin_for(margins: Array, longest: float) -> Array:  # (3, Q) -> (Q,)
    """The margins of a scan that met rows up to `longest`.

    >>> margin_for(np.array([[1.0], [2.0], [3.0]]), 10.0).tolist()
    [321.0]
    """
    return margins[0] + margins[1] * longest + margins[2] * longest**2


def pieces(n: int, size: int) -> Iterator[tuple[int, int]]:
    """Cut n rows into ranges of up to `size`.

    >>> list(pieces(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, n, size):
        yield start, min(start + size, n)
