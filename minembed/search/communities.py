"""Groups of similar rows: communities and near duplicates.

Everything is exact: if a float32 product does not decide, float64 does.  No step holds more than blocks of rows, so
memory is linear in the rows, not in their pairs.  The size of blocks is chosen here: the `batch_size` of communities is
accepted without effect.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.runtime.checks import as_matrix, check_finite, check_whole
from minembed.runtime.progress import Progress
from minembed.search.topk import pieces
from minembed.types import Array

ROWS, COLUMNS = 1024, 4096  # of one block of scores
PAIRS = 1 << 13  # compared in float64 at a time
CENTERS = 128  # centres whose communities are computed together
ROUNDING = 1e-12  # a cosine may be this much below the threshold: that of two equal rows may be 1 - 1e-16


def as_rows(embeddings: ArrayLike) -> Array:  # -> (N, D)
    """Vectors as a matrix; a single vector is one row.  Raises InputError unless they are numbers of such a shape.

    >>> as_rows([1.0, 2.0]).shape
    (1, 2)
    """
    rows = as_matrix("embeddings", embeddings, one=True)
    return rows if rows.size or np.ndim(embeddings) > 1 else rows[:0]  # an empty list has no rows


def unit_rows(rows: Array, start: int) -> Array:  # (n, D) -> (n, D) float64
    """Scale rows of any length to length 1 in float64; zeros stay.  Raises InputError for NaN or infinity.

    >>> unit_rows(np.array([[3e200, 4e200], [0.0, 0.0]]), 0).round(6).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    check_finite("embeddings", rows, start)
    x = rows.astype(np.float64)
    largest = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
    x /= np.where(largest == 0, 1, largest)
    lengths = np.sqrt((x * x).sum(axis=1))[:, None]
    x /= np.where(lengths == 0, 1, lengths)
    return x


class Alike:
    """Find rows with a cosine of at least a threshold: by a float32 product, and in float64 if that is too close.

    >>> Alike(np.array([[1.0, 0.0], [3.0, 0.1], [0.0, 0.0]]), 0.9).pairs(np.array([0, 2]), np.array([2, 1]))
    (array([0]), array([1]))
    """

    def __init__(self, rows: Array, threshold: float) -> None:
        if not -1 <= threshold <= 1:
            raise InputError(f"threshold must be a cosine, from -1 to 1, not {threshold!r}")
        self.rows, self.threshold = rows, float(threshold) - ROUNDING
        self.units = np.empty(rows.shape, np.float32)
        for start, end in pieces(len(rows), COLUMNS):
            self.units[start:end] = unit_rows(rows[start:end], start)
        # the error bound of a float32 product: Higham, 2002, section 3.1; with room for the rounding of the rows
        self.margin = (2 * rows.shape[1] + 16) * 2.0**-24

    def pairs(self, a: Array, b: Array) -> tuple[Array, Array]:  # (n,), (m,) rows -> (P,), (P,) places in a and b
        """Find all i, j for which row a[i] is similar to row b[j], in order of i, then of j."""
        cosines = self.units[a] @ self.units[b].T
        i, j = np.nonzero(cosines >= self.threshold - self.margin)
        close = np.flatnonzero(cosines[i, j] <= self.threshold + self.margin)
        if not len(close):
            return i, j
        near = np.ones(len(i), bool)
        for start, end in pieces(len(close), PAIRS):
            some = close[start:end]
            near[some] = self.cosines(a[i[some]], b[j[some]]) >= self.threshold
        return i[near], j[near]

    def cosines(self, a: Array, b: Array) -> Array:  # (n,), (n,) or scalars -> (n,) float64
        """The cosine of row a[i] and row b[i]."""
        x, y = (unit_rows(self.rows[np.atleast_1d(i)], 0) for i in (a, b))
        return np.clip((x * y).sum(axis=1), -1, 1)

    def counts(self, show: bool | None) -> Array:  # -> (N,)
        """How many rows are similar to each, itself included; every block of pairs is computed once."""
        N = len(self.rows)
        counts, every = np.zeros(N, np.int64), np.arange(N)
        with Progress(every, "row", show) as progress:
            for start, end in pieces(N, ROWS):
                for left, right in pieces(N - start, COLUMNS):
                    left, right = start + left, start + right
                    i, j = self.pairs(every[start:end], every[left:right])
                    counts[start:end] += np.bincount(i, minlength=end - start)
                    beyond = j[j >= end - left]  # these rows will not meet this block again as i
                    counts[left:right] += np.bincount(beyond, minlength=right - left)
                progress.advance(end - start)
        return counts

    def of_each(self, centers: Array, free: Array) -> Iterator[tuple[Any, Array]]:
        """Yield the centers that are free at their turn, each with the similar rows that were free before."""
        at = 0
        while at < len(centers):
            ahead = np.flatnonzero(free[centers[at : at + ROWS]])[:CENTERS]
            if not len(ahead):
                at += ROWS
                continue
            some, rows = centers[at + ahead], np.flatnonzero(free)
            parts = [(*self.pairs(some, rows[i:j]), i) for i, j in pieces(len(rows), COLUMNS)]
            which = np.concatenate([x for x, _, _ in parts])
            found = rows[np.concatenate([y + i for _, y, i in parts])]
            for i, center in enumerate(some):
                if free[center]:
                    yield center, found[which == i]
            at += int(ahead[-1]) + 1


def community_detection(
    embeddings: ArrayLike,
    threshold: float = 0.75,
    min_community_size: int = 10,
    *,
    show_progress_bar: bool | None = None,
    batch_size: int | None = None,
) -> list[list[int]]:  # (N, D) -> lists of rows, the largest first
    """Find groups of rows whose cosine with one of them, the centre, is at least `threshold`.

    Each group begins with its centre; the others follow by falling cosine, ties in order of the row.  Centres with
    the most similar rows take theirs first; a row is in at most one group, and a group has at least
    `min_community_size` rows.  As sentence-transformers' function of this name, with cosines compared in float64 (less
    than 1e-12 below the threshold counts as equal).  Memory: a float32 copy of the rows, and blocks of scores.
    Raises InputError for a size below 1, a threshold outside -1 to 1, vectors of other shapes, NaN or infinity.

    >>> community_detection([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0], [2.0, 0.0]], min_community_size=2)
    [[0, 3, 2]]
    """
    rows = as_rows(embeddings)
    check_whole("min_community_size", min_community_size, 1)
    alike = Alike(rows, threshold)
    counts = alike.counts(show_progress_bar)
    order = np.argsort(-counts, kind="stable")
    order = order[: np.count_nonzero(counts >= min_community_size)]
    groups: list[list[int]] = []
    free = np.ones(len(rows), bool)
    for center, near in alike.of_each(order, free):
        near = near[free[near] & (near != center)]
        if free[center] and len(near) + 1 >= min_community_size:
            members = [int(center), *near[np.lexsort((near, -alike.cosines(center, near)))].tolist()]
            free[members] = False
            groups.append(members)
    return sorted(groups, key=len, reverse=True)


def near_duplicates(
    embeddings: ArrayLike, threshold: float = 0.95, *, show_progress_bar: bool | None = None
) -> Array:  # (N, D) -> (N,) int64
    """For each row, the row that it repeats: the first kept one with a cosine of at least `threshold`, or itself.

    Rows are taken in order: a row is kept unless it is that similar to a row kept before it.  So no two kept rows are
    near duplicates, and every other row is a near duplicate of the kept row returned for it.  Cosines are compared as
    in `community_detection`; that of a row of zeros is 0.  Memory: a float32 copy of the rows, and blocks of scores.
    Raises InputError for a threshold outside -1 to 1, vectors of other shapes, NaN or infinity.

    >>> near_duplicates([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1], [0.1, 3.0]]).tolist()
    [0, 1, 0, 1]
    """
    rows = as_rows(embeddings)
    alike = Alike(rows, threshold)
    first = np.arange(len(rows))
    kept = np.empty(len(rows), np.int64)  # the first `n` of it
    n = 0
    with Progress(range(len(rows)), "row", show_progress_bar) as progress:
        for start, end in pieces(len(rows), ROWS):
            left = np.arange(start, end)
            for begin, stop in pieces(n, COLUMNS):
                i, j = alike.pairs(left, kept[begin:stop])
                known, at = np.unique(i, return_index=True)  # the first j of each
                first[left[known]] = kept[begin:stop][j[at]]
                left = np.delete(left, known)
            i, j = alike.pairs(left, left)
            bounds = np.searchsorted(i, np.arange(len(left) + 1))
            for row, begin, stop in zip(left, bounds[:-1], bounds[1:], strict=True):
                if first[row] == row:  # final by now, since the rows before it are done
                    later = left[j[begin:stop]]
                    first[later[(later > row) & (first[later] == later)]] = row
            new = left[first[left] == left]
            kept[n : n + len(new)] = new
            n += len(new)
            progress.advance(end - start)
    return first


def deduplicate(
    embeddings: ArrayLike, threshold: float = 0.95, *, show_progress_bar: bool | None = None
) -> Array:  # (N, D) -> (K,) int64
    """The rows that remain without near duplicates, in order: those that `near_duplicates` keeps.

    >>> deduplicate([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1], [0.1, 3.0]]).tolist()
    [0, 1]
    """
    first = near_duplicates(embeddings, threshold, show_progress_bar=show_progress_bar)
    return np.flatnonzero(first == np.arange(len(first)))
