"""How far a map can be trusted: which neighbours on it are real, and which real neighbours are lost.

For each row, the other points are ranked twice, by cosine and by distance on the map; ties by index.  Trustworthiness
decreases for each of the k nearest on the map that is not among the k nearest by cosine, the more the further away it
is; continuity is the same with the two rankings swapped (Venna and Kaski, 2001).  Both are at most 1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.maps.projection import check_vectors
from minembed.runtime.checks import check_seed, check_whole
from minembed.search.similarity import cosine_similarity
from minembed.search.topk import pieces
from minembed.types import Array

NEAR = 10  # neighbours for measuring trust, and that a page shows
ALL = 8_000  # up to this many points, all are measured
SAMPLE = 2_000  # of more points, this many are, each against all others
BLOCK = 1 << 22  # distances in memory at a time


@dataclass(frozen=True, slots=True)
class Trust:
    """Three measures from 0 to 1, and how they were measured."""

    trustworthiness: float
    continuity: float
    kept: float  # the share of the k nearest by cosine that are also the k nearest on the map
    k: int
    rows: int  # points that were measured

    def __str__(self) -> str:
        return (
            f"trustworthiness {self.trustworthiness:.3f} · continuity {self.continuity:.3f} · "
            f"{self.kept:.0%} of the {self.k} nearest kept"
        )


def measure(vectors: ArrayLike, points: ArrayLike, k: int = NEAR, *, seed: int = 0) -> Trust | None:
    """Compare neighbourhoods on a map (N, 2) or (N, 3) with those of the vectors (N, D) by cosine.

    For fewer than 2k + 1 points, k is reduced; for fewer than three, the result is None.  Above 8,000 points, a random
    sample of 2,000 is measured, drawn with the seed.  Raises InputError for NaN, rows that do not pair up, or a seed
    beyond 64 bits.

    >>> angles = np.array([0.0, 0.1, 0.3, 0.6, 1.0])  # gaps that grow
    >>> vectors, points = np.stack([np.cos(angles), np.sin(angles)], axis=1), angles[:, None]
    >>> print(measure(vectors, points, k=1))
    trustworthiness 1.000 · continuity 1.000 · 100% of the 1 nearest kept
    >>> measure(vectors, points[[2, 0, 4, 1, 3]], k=1).kept
    0.0
    """
    x, y = check_vectors(vectors), check_vectors(points)
    if len(x) != len(y):
        raise InputError(f"every vector needs a point: there are {len(x):,} vectors and {len(y):,} points")
    N, seed = len(x), check_seed("seed", seed)
    k = min(check_whole("k", k), (N - 1) // 2)
    if k < 1:
        return None
    which = np.arange(N) if N <= ALL else np.sort(np.random.default_rng(seed).choice(N, SAMPLE, replace=False))
    false, lost, kept = 0, 0, 0
    for first, last in pieces(len(which), max(BLOCK // N, 1)):
        rows = which[first:last]
        far, away = 1 - cosine_similarity(x[rows], x), map_distances(y[rows], y)
        for distances in (far, away):
            distances[np.arange(len(rows)), rows] = np.inf  # no point is its own neighbour
        near, seen = nearest_of(far, k), nearest_of(away, k)
        false += int(np.maximum(ranks(far, seen, k) - k, 0).sum())
        lost += int(np.maximum(ranks(away, near, k) - k, 0).sum())
        kept += int((near & seen).sum())
    worst = len(which) * k * (2 * N - 3 * k - 1) / 2
    return Trust(1 - false / worst, 1 - lost / worst, kept / (k * len(which)), k, len(which))


def map_distances(a: Array, b: Array) -> Array:  # (M, d), (N, d) -> (M, N)
    """Squared distances, as sums of squared differences and not from products, so that small ones keep their digits.

    >>> map_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]])).tolist()
    [[25.0]]
    """
    total = np.zeros((len(a), len(b)))
    for j in range(a.shape[1]):
        total += (a[:, j, None] - b[None, :, j]) ** 2
    return total


def nearest_of(distances: Array, k: int) -> Array:  # (M, N) -> (M, N) bool
    """Mark the k smallest of each row; of equal ones, the first.

    >>> nearest_of(np.array([[2.0, 1.0, 2.0, 3.0]]), 2).tolist()
    [[True, True, False, False]]
    """
    last = np.partition(distances, k - 1, axis=1)[:, k - 1, None]  # the k-th smallest
    below, equal = distances < last, distances == last
    return below | (equal & (np.cumsum(equal, axis=1) <= k - below.sum(axis=1, keepdims=True)))


def ranks(distances: Array, marked: Array, k: int) -> Array:  # (M, N), (M, N) bool -> (M, k)
    """The ranks, from 1, of each row's k marked columns among all its columns, in the order of the columns.

    >>> ranks(np.array([[5.0, 1.0, 5.0, 0.0]]), np.array([[True, False, True, False]]), 2).tolist()
    [[3, 4]]
    """
    columns = np.nonzero(marked)[1].reshape(len(distances), k)
    found = np.empty(columns.shape, np.int64)
    index = np.arange(distances.shape[1])
    for j in range(k):
        own = np.take_along_axis(distances, columns[:, j, None], axis=1)
        ties = (distances == own) & (index < columns[:, j, None])
        found[:, j] = 1 + (distances < own).sum(axis=1) + ties.sum(axis=1)
    return found
