"""The NumPy tier of `top_k`: find the rows that could be among the best, block by block, and their float64 scores.

The same for the kernels is kernels/topk/scan.py; topk.py says what both guarantee.
"""

from typing import Any

import numpy as np

from minembed.runtime.checks import check_finite
from minembed.search.metrics import (  # noqa: F401 (METRICS: examples)
    FLOAT32_UNIT,
    FLOAT64_UNIT,
    LONGEST_ROW,
    METRICS,
    SHORTEST_ROW,
    MetricRow,
)
from minembed.search.quantized import QuantizedCorpus
from minembed.search.topk import Search, best_of, check_lengths
from minembed.types import Array

BLOCK = 4096  # corpus rows per step ...
FEW = 4  # ... for more queries than this; for fewer, smaller steps are faster, since the rows stay in the cache
PAIRS = 1 << 13  # of query and row, that are rescored at a time
MOST_HELD = 1 << 20  # candidates of all queries: if there are more, they are scored exactly to keep only the best


def rescore_numpy(search: Search, corpus: Array, which: Array, found: Array, threads: int) -> Array:
    """The float64 scores of pairs (query, row).

    >>> search = Search.of(np.array([[2.0]]), 1, METRICS["dot"])
    >>> rescore_numpy(search, np.array([[5.0], [7.0]]), np.array([0]), np.array([1]), threads=1).tolist()
    [14.0]
    """
    scores = np.empty(len(which))
    search.sound.vectors(found)
    for start in range(0, len(which), PAIRS):
        part = slice(start, start + PAIRS)
        rows = corpus[found[part]].astype(np.float64)
        scores[part] = search.metric.exact(search.queries[which[part]], rows)
    return scores


def scan_numpy(
    search: Search, corpus: Array, threads: int, quantized: QuantizedCorpus | None = None
) -> tuple[Array, Array]:
    """Find all pairs (query, row) whose row could be among the k best; in float64 if float32 is not enough.

    A quantised corpus is not used here: NumPy has no fast product of bytes.

    >>> search = Search.of(np.eye(2), 1, METRICS["dot"])
    >>> which, found = scan_numpy(search, np.array([[0.0, 1.0], [1.0, 0.0]]), threads=1)
    >>> found[np.argsort(which)].tolist()
    [1, 0]
    """
    search.sound.vectors()
    try:
        return _scan(search, corpus, np.float32)
    except Unsafe:
        return _scan(search, corpus, np.float64)


class Unsafe(Exception):
    """Numbers too large or too small for float32."""


def lengths_of(x: Array, original: Array, start: int, metric: MetricRow) -> Array:  # (n, D) -> (n,)
    """The lengths of rows; raises InputError for NaN or infinity, Unsafe for lengths beyond float32.

    >>> lengths_of(np.float32([[3, 4]]), np.array([[3.0, 4.0]]), 0, METRICS["dot"]).tolist()
    [5.0]
    """
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(np.vecdot(x, x))
    if not (lengths < LONGEST_ROW).all():
        check_finite("corpus", original, start)
        if x.dtype == np.float32:
            raise Unsafe
    if metric.is_direction and x.dtype == np.float32 and original[lengths < SHORTEST_ROW].any():
        raise Unsafe  # float32 has lost digits of the direction
    if x.dtype == np.float64:
        check_lengths(original, lengths, start, metric.name)
    return lengths


def _scan(search: Search, corpus: Array, dtype: Any) -> tuple[Array, Array]:
    unit = FLOAT32_UNIT if dtype == np.float32 else FLOAT64_UNIT
    if dtype == np.float32 and not search.fits_float32():
        raise Unsafe
    queries, margins, Q = search.queries.astype(dtype), search.margins(unit), len(search.queries)
    held: Any = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0)  # query, row, lower, upper end
    floor = np.full(Q, -np.inf)  # a value that at least k rows reach for certain
    step = BLOCK if Q > FEW else BLOCK // 4
    for start in range(0, len(corpus), step):
        original = corpus[start : start + step]
        with np.errstate(over="ignore"):
            x = np.ascontiguousarray(original, dtype)
        lengths = lengths_of(x, original, start, search.metric)
        values = search.metric.scan(queries, x, lengths)
        if start == 0 and search.k <= len(x):  # the first floor, before any candidate is kept
            lows = values - margins_for(margins[:, :, None], lengths.astype(np.float64))
            floor = np.partition(lows, -search.k, axis=1)[:, -search.k]
        reach = floor - margins_for(margins, float(lengths.max()))
        which, row = np.nonzero(values >= reach.astype(dtype)[:, None])
        if not len(which):
            continue
        value, margin = values[which, row].astype(np.float64), margins_for(margins[:, which], lengths[row])
        near = value + margin >= floor[which]
        found = (which, start + row, value - margin, value + margin)
        held = tuple(np.concatenate([x, y[near]]) for x, y in zip(held, found, strict=True))
        if len(held[0]) > 3 * Q * search.k:
            held, floor = keep(search, corpus, held, floor)
    held, _ = keep(search, corpus, held, floor)
    return held[0], held[1]


def keep(search: Search, corpus: Array, held: Any, floor: Array) -> tuple[Any, Array]:
    """Drop candidates (query, row, lower, upper bound) that k others certainly beat; if too many remain, keep the best.

    `floor` is a value that at least k rows of each query reach for certain; it only rises.

    >>> held = np.zeros(2, np.int64), np.arange(2), np.array([0.9, 4.9]), np.array([1.1, 5.1])
    >>> search = Search.of(np.ones((1, 1)), 1, METRICS["dot"])
    >>> keep(search, np.array([[1.0], [5.0]]), held, np.full(1, -np.inf))[0][1].tolist()
    [1]
    """
    which, _, low, high = held
    floor = np.maximum(floor, _kth(which, low, search))
    held = tuple(x[high >= floor[which]] for x in held)
    enough = len(held[0]) and np.bincount(held[0], minlength=len(floor)).min() >= search.k
    if enough and len(held[0]) > max(MOST_HELD, 8 * len(floor) * search.k):
        held, best = keep_exact(search, corpus, held)
        floor = np.maximum(floor, best)
    return held, floor


def keep_exact(search: Search, corpus: Array, held: Any) -> tuple[Any, Array]:
    """Keep the k best candidates of each query, by their float64 scores; also returns the value of the last of them.

    >>> held = np.zeros(2, np.int64), np.arange(2), np.array([0.9, 4.9]), np.array([1.1, 5.1])
    >>> keep_exact(Search.of(np.ones((1, 1)), 1, METRICS["dot"]), np.array([[1.0], [5.0]]), held)[1].tolist()
    [5.0]
    """
    which, row = held[:2]
    scores = rescore_numpy(search, corpus, which, row, 1)
    best = best_of(search, which, row, scores)
    last = best[:, -1]
    best = best.reshape(-1)
    return tuple(x[best] for x in held), search.scan_value(scores[last], which[last])


def _kth(which: Array, value: Array, search: Search) -> Array:  # -> (Q,)
    """The k-th largest value of each query; -inf if there are fewer."""
    order = np.lexsort((-value, which))
    bounds = np.searchsorted(which[order], np.arange(len(search.lengths) + 1))
    enough = np.diff(bounds) >= search.k
    kth = np.full(len(search.lengths), -np.inf)
    kth[enough] = value[order[bounds[:-1][enough] + search.k - 1]]
    return kth


def margins_for(margins: Array, lengths: Any) -> Array:  # (3, ...), (...) -> (...)
    """The error bounds of values, for rows of these lengths.

    >>> margins_for(np.array([[1.0], [2.0], [3.0]]), 10.0).tolist()
    [321.0]
    """
    found: Array = margins[0] + (margins[1] + margins[2] * lengths) * lengths
    return found
