"""Marks of rows that are not removed: convert between rows and positions among them, without a list of all."""

import numpy as np

from minembed.types import Array

STEP = 4096  # marks that are counted together
MANY = 1 << 14  # rows: for more, a list of all is worth its memory


def alive_rows(alive: Array | None, n: int) -> Array:  # (n,) bool -> (count,) int64
    """The rows that are not removed.

    >>> alive_rows(np.array([True, False, True]), 3).tolist(), alive_rows(None, 2).tolist()
    ([0, 2], [0, 1])
    """
    return np.arange(n) if alive is None else np.flatnonzero(alive)


def rank(alive: Array, rows: Array) -> Array:  # (n,) bool, (...) -> (...) int64
    """The positions of rows among those that are not removed; none of `rows` is removed.

    >>> rank(np.array([True, False, True, True]), np.array([3, 0])).tolist()
    [2, 0]
    """
    if rows.size > MANY:
        return np.searchsorted(np.flatnonzero(alive), rows)
    before, flat = _counts(alive), rows.reshape(-1)
    places = np.empty(len(flat), np.int64)
    for i, row in enumerate(flat.tolist()):
        start = row - row % STEP
        places[i] = before[row // STEP] + np.count_nonzero(alive[start:row])
    return places.reshape(rows.shape)


def select(alive: Array, places: Array) -> Array:  # (n,) bool, (m,) -> (m,) int64
    """The rows at these positions among those that are not removed.

    >>> select(np.array([True, False, True, True]), np.array([2, 0])).tolist()
    [3, 0]
    """
    before = _counts(alive)
    steps = np.searchsorted(before, places, "right") - 1
    rows = np.empty(len(places), np.int64)
    for step in np.unique(steps).tolist():
        here = steps == step
        inside = np.flatnonzero(alive[step * STEP : (step + 1) * STEP])
        rows[here] = step * STEP + inside[places[here] - before[step]]
    return rows


def _counts(alive: Array) -> Array:  # (n,) -> (n / STEP rounded up,) int64
    """How many rows are not removed before each step."""
    counts = [int(np.count_nonzero(alive[start : start + STEP])) for start in range(0, len(alive), STEP)]
    return np.cumsum([0, *counts[:-1]], dtype=np.int64)
