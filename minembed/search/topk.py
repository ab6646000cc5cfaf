"""The k rows of a corpus that are most similar to a query, exactly, at the speed of float32.

The error of a fast scan in float32 has a known bound: for D products, (2D + 16) 2^-24 times the lengths of both vectors
(Higham, 2002, section 3.1; for any order of sums, with room for the other roundings).  Every row that could still be
among the best is kept, and those few are rescored in float64.  So every tier gives the same rows in the same order: by
the float64 score, and ties by index.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.runtime.checks import as_matrices, check_finite, check_whole
from minembed.search.metrics import FLOAT32_UNIT, LONGEST_ROW, METRICS, MetricRow
from minembed.search.quantized import QuantizedCorpus, padded_width
from minembed.search.soundness import IN_MEMORY, Sound
from minembed.types import Array, Backend, Metric

QUERIES = 1024  # per pass over the corpus
SHORTEST_QUERY = 1e-30  # shorter queries may lose digits in float32
FAST_SORT = 512  # candidates: for more, several faster calls for sorting are worth it
LONGEST, SHORTEST = 1e150, 1e-140  # squares of larger numbers, and of smaller ones or their differences, leave float64
PIECE = 1 << 12  # rows that are checked at a time


@dataclass(frozen=True, slots=True)
class Search:
    """Up to QUERIES queries, prepared for the scans."""

    queries: Array  # (Q, D) float64
    lengths: Array  # (Q,) float64
    k: int
    metric: MetricRow
    sound: Sound = IN_MEMORY  # called before rows of the corpus are read

    @staticmethod
    def of(queries: Array, k: int, metric: MetricRow, sound: Sound = IN_MEMORY) -> "Search":
        """Compute the lengths of the queries; if the metric compares directions, normalise them to 1.

        >>> Search.of(np.array([[3.0, 4.0]]), 1, METRICS["cosine"]).queries.tolist()
        [[0.6, 0.8]]
        """
        lengths = np.sqrt((queries * queries).sum(axis=1))
        if metric.is_direction:
            queries = queries / np.where(lengths == 0, 1, lengths)[:, None]
            lengths = np.where(lengths == 0, 0.0, 1.0)
        return Search(queries, lengths, k, metric, sound)

    def fits_float32(self) -> bool:
        """Whether the queries and their products fit into float32.

        >>> Search.of(np.array([[0.0], [1e-20], [1e20]]), 1, METRICS["dot"]).fits_float32()
        False
        """
        return bool(((self.lengths == 0) | ((self.lengths > SHORTEST_QUERY) & (self.lengths < LONGEST_ROW))).all())

    def margins(self, unit: float) -> Array:  # -> (3, Q)
        """The error bound of a scan's value, as a, b, c of a + b longest + c longest^2.

        `longest` is the length of the longest row, `unit` the rounding unit of the scan's precision.

        >>> Search.of(np.ones((1, 4)), 1, METRICS["dot"]).margins(2.0**-24)[1].tolist() == [24 * 2 * 2.0**-24]
        True
        """
        D, own, margins = self.queries.shape[1], self.lengths, np.zeros((3, len(self.lengths)))
        margins[0], margins[1], margins[2] = self.metric.margins(own, D, unit)
        lost = math.sqrt(D * (2.0**-149 if unit == FLOAT32_UNIT else 2.0**-1074))  # a length whose squares underflow
        margins[0] += (margins[1] + margins[2] * lost) * lost
        margins[1] += 2 * margins[2] * lost
        margins *= unit
        margins[0] += 2.0**-149
        return (2 * D + 16) * margins

    def scan_value(self, scores: Array, which: Array) -> Array:
        """Convert exact scores of these queries to the scale of the scan's values."""
        return self.metric.scan_of_scores(scores, self.lengths[which])


def top_k(
    queries: ArrayLike,
    corpus: ArrayLike,
    k: int,
    metric: Metric = "dot",
    backend: Backend = "auto",
    threads: int | None = None,
    quantized: QuantizedCorpus | None = None,
) -> tuple[Array, Array]:  # (Q, D), (N, D) -> (Q, min(k, N)) twice
    """Find the k rows of the corpus that are most similar to each query, exactly.

    `metric` is "dot", "cosine" (0 if a vector is all zeros), "euclidean" or "manhattan" (both minus the distance).
    Returns scores (float64), best first, and their indices (int64); of equal scores the lower index comes first.
    The corpus is read in blocks: it may be a memory-mapped file, of any float type.  `quantized`, made from it by
    `quantize_corpus`, is scanned instead by the numba tier (except for Manhattan distances): a quarter of the bytes,
    about half the time or less, and the same result.
    Raises InputError for an unknown metric or backend, a negative k, widths that differ, a `quantized` of other rows,
    NaN or infinity.

    >>> scores, indices = top_k([[1.0, 0.0]], [[0.0, 1.0], [2.0, 0.0], [1.0, 0.0]], k=2)
    >>> scores.tolist(), indices.tolist()
    ([[2.0, 1.0]], [[1, 2]])
    """
    return sound_top_k(IN_MEMORY, queries, corpus, k, metric, backend, threads, quantized)


def sound_top_k(
    sound: Sound,
    queries: ArrayLike,
    corpus: ArrayLike,
    k: int,
    metric: Metric = "dot",
    backend: Backend = "auto",
    threads: int | None = None,
    quantized: QuantizedCorpus | None = None,
) -> tuple[Array, Array]:  # (Q, D), (N, D) -> (Q, min(k, N)) twice
    """`top_k` for rows in files: `sound` is called before they are read.

    >>> sound_top_k(IN_MEMORY, [[1.0, 0.0]], [[0.0, 1.0], [2.0, 0.0]], k=1)[1].tolist()
    [[1]]
    """
    from minembed.runtime.backend import resolve, serving
    from minembed.runtime.threads import check_threads

    if metric not in METRICS:
        raise InputError(f"metric {metric!r} is unknown; known: {', '.join(METRICS)}")
    k = check_whole("k", k, 0)
    own, rows = _rows(queries, corpus)
    if quantized is not None:
        _check_quantized(quantized, rows)
    chosen = serving(backend, len(own) * rows.size * (1 if quantized is None else 8))  # NumPy gains nothing from bytes
    chosen = chosen if rows.shape[1] else "numpy"  # a kernel's loop reads one step before it tests the width
    scan, rescore, threads = resolve("scan", chosen), resolve("rescore", chosen), check_threads(threads)
    k = min(k, len(rows))
    for start, end in pieces(0 if k and len(own) else len(rows), PIECE):  # no scan will read them
        sound.vectors(np.arange(start, end))
        check_finite("corpus", rows[start:end], start)
        with np.errstate(over="ignore"):
            lengths = np.sqrt((rows[start:end].astype(np.float64) ** 2).sum(axis=1))
        check_lengths(rows[start:end], lengths, start, metric)
    scores, indices = np.empty((len(own), k), np.float64), np.empty((len(own), k), np.int64)
    for first in range(0, len(own) if k else 0, QUERIES):
        search = Search.of(own[first : first + QUERIES], k, METRICS[metric], sound)
        which, found = scan(search, rows, threads, quantized)
        part = slice(first, first + QUERIES)
        scores[part], indices[part] = rank(search, rows, which, found, rescore, threads)
    return scores, indices


def _rows(queries: ArrayLike, corpus: ArrayLike) -> tuple[Array, Array]:
    x, y = as_matrices(("queries", "corpus"), queries, corpus)
    x = x.astype(np.float64, order="C")  # the order changes the last bits of sums of rows
    check_finite("queries", x)
    largest = np.abs(x).max(axis=1, initial=0)
    outside = (largest != 0) & ~((largest > SHORTEST) & (largest < LONGEST))
    if outside.any():
        row = int(np.argmax(outside))
        size = "large" if largest[row] > 1 else "small"
        raise InputError(f"queries has too {size} numbers, first in row {row}: their squares leave float64; scale it")
    return x, y


def check_lengths(rows: Array, lengths: Array, start: int, metric: Metric) -> None:  # (n, D), (n,)
    """Raise InputError for rows whose squares leave float64; too short ones matter only for directions.

    >>> check_lengths(np.array([[1e200]]), np.array([np.inf]), 7, "dot")
    Traceback (most recent call last):
    minembed.errors.InputError: corpus has too large numbers, first in row 7: their squares leave float64; scale it
    """
    large = ~(lengths < LONGEST)
    small = (lengths < SHORTEST) & rows.any(axis=1) if METRICS[metric].is_direction else np.zeros(len(rows), bool)
    for size, wrong in (("large", large), ("small", small)):
        if wrong.any():
            row = start + int(np.argmax(wrong))
            raise InputError(
                f"corpus has too {size} numbers, first in row {row}: their squares leave float64; scale it"
            )


def _check_quantized(quantized: QuantizedCorpus, rows: Array) -> None:
    other = "it was made of another corpus"
    if len(quantized) != len(rows):
        raise InputError(f"quantized has {len(quantized)} rows, the corpus {len(rows)}: {other}")
    width = padded_width(rows.shape[1])
    if quantized.levels.shape[1] != width:
        raise InputError(f"quantized has {quantized.levels.shape[1]} bytes a row, the corpus needs {width}: {other}")


def rank(
    search: Search, corpus: Array, which: Array, found: Array, rescore: Any, threads: int
) -> tuple[Array, Array]:  # -> (Q, k) twice
    """Rescore the candidates (query `which`, row `found`) in float64, and order the best of each query."""
    scores = rescore(search, corpus, which, found, threads)
    best = best_of(search, which, found, scores)
    return scores[best], found[best]


def best_of(search: Search, which: Array, found: Array, scores: Array) -> Array:  # -> (Q, k)
    """The positions of the k best candidates of each query: largest score first, then lowest index.

    >>> search = Search.of(np.ones((1, 1)), 2, METRICS["dot"])
    >>> best_of(search, np.zeros(3, int), np.array([7, 5, 6]), np.array([1.0, 1.0, 2.0])).tolist()
    [[2, 1]]
    """
    if len(scores) > FAST_SORT:  # a fast sort, a radix sort of 16 bits, and a test for ties
        order = np.argsort(-scores)
        order = order[np.argsort(which[order].astype(np.int16), kind="stable")]
        own, score = which[order], scores[order]
    if len(scores) <= FAST_SORT or ((own[1:] == own[:-1]) & (score[1:] == score[:-1])).any():
        order = np.lexsort((found, -scores, which))
    starts = np.searchsorted(which[order], np.arange(len(search.lengths)))
    return order[starts[:, None] + np.arange(search.k)]


def pieces(n: int, size: int) -> Iterator[tuple[int, int]]:
    """Split n rows into ranges of up to `size`.

    >>> list(pieces(5, 2))
    [(0, 2), (2, 4), (4, 5)]
    """
    for start in range(0, n, size):
        yield start, min(start + size, n)
