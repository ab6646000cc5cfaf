"""Clusters of texts: k-means of their vectors, or the islands of a map; named by typical words, with their centres."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError, MinembedWarning, warn
from minembed.maps.extra import LARGEST_SEED, has, missing
from minembed.maps.groups import hdbscan, kmeans, typical_words
from minembed.maps.projection import project
from minembed.runtime.checks import as_matrix, check_finite, check_whole
from minembed.runtime.columns import as_texts
from minembed.search.topk import pieces
from minembed.types import Array, ClusterMethod

MOST: Mapping[str, int] = {"kmeans": 500_000, "hdbscan": 20_000}  # vectors; docs/guide.md gives time and memory
SAMPLE = 2_000  # vectors for choosing the number of clusters
TRIED = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 20, 24, 28, 32, 40, 48)
PIECE = 1 << 14  # rows at a time


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """The cluster of each vector; clusters are numbered by size, the largest is 0."""

    labels: Array  # (N,) int64, -1 for none
    names: tuple[str, ...]  # K, each the most typical words of a cluster
    cosines: Array  # (N,) float64, of each vector with the centre of its cluster; NaN for none
    centers: Array  # (K, D) float64, the mean direction of each cluster's vectors, of length 1
    silhouettes: Mapping[int, float] = field(default_factory=dict)  # by each number of clusters that was tried

    def counts(self) -> list[int]:
        """How many vectors each cluster has.

        >>> Clusters(np.array([0, -1, 0]), ("a",), np.array([0.9, np.nan, 0.8]), np.eye(1)).counts()
        [2]
        """
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.names)).tolist()

    def typical(self, cluster: int, n: int = 3) -> list[int]:
        """The rows of a cluster that are nearest to its centre, the nearest first.

        >>> Clusters(np.array([0, 1, 0]), ("a", "b"), np.array([0.8, 1.0, 0.9]), np.eye(2)).typical(0)
        [2, 0]
        """
        rows = np.flatnonzero(self.labels == cluster)
        return rows[np.argsort(-self.cosines[rows], kind="stable")[:n]].tolist()


def cluster(
    vectors: ArrayLike,
    texts: Iterable[str],
    k: int | None = None,
    *,
    method: ClusterMethod = "kmeans",
    seed: int = 0,
    tell: Callable[[str], None] = lambda stage: None,
) -> Clusters:
    """Divide vectors (N, D) of texts into clusters, and name each by its most typical words.

    "kmeans" divides all vectors, by direction, among `k` centres, with the best of four tries.  Without `k`, it chooses
    the number from 2 to 48 with the highest mean silhouette (by cosine; of equal ones the smallest) for a random sample
    of 2,000 vectors.  "hdbscan" finds the number by itself: its clusters are the islands of a t-SNE map, each of at
    least 1 % of the vectors and at least five; vectors between them are in none (-1).  On one machine, the same seed
    gives the same clusters.  `tell` is called with the name of each stage.

    Accepts up to 500,000 vectors, "hdbscan" 20,000.  Memory: three float32 copies of the vectors, and for "hdbscan" the
    memory of a t-SNE map.  Raises InputError for more vectors, NaN, a `k` of zero or above N, and texts that do not
    pair up with the vectors; MissingExtraError without scikit-learn (the extra `viz`).

    >>> found = cluster([[1, 0], [0, 1], [1, 0.1]], ["a cat", "the rain", "a cat"], 2)  # doctest: +SKIP
    >>> found.labels.tolist(), found.names  # doctest: +SKIP
    ([0, 1, 0], ('cat', 'rain'))
    """
    x = as_matrix("vectors", vectors, "numbers of shape (N, D) with at least one row", least=(1, 1))
    given = as_texts(texts)
    if len(given) != len(x):
        raise InputError(f"every vector needs a text: there are {len(x):,} vectors and {len(given):,} texts")
    check_count(len(x), k, method)
    seed = check_whole("seed", seed, 0, LARGEST_SEED)
    unit, silhouettes = units(x), dict[int, float]()
    wanted = 1 if k is None else k
    if method == "hdbscan":
        tell(f"placing {len(x):,} points on a map")
        raw = _islands(unit, seed)
    else:
        if k is None:
            tell("choosing the number of clusters")
            silhouettes = dict(_tried(unit, seed))
            wanted = max(silhouettes, key=lambda n: silhouettes[n], default=1)
        tell(f"dividing {len(x):,} vectors among {wanted:,} clusters" if wanted > 1 else "there is one cluster")
        raw = _divided(unit, wanted, seed)
    labels, count = by_size(raw)
    if method == "kmeans" and count < wanted:
        warn(f"there are {count} clusters, not {wanted}: that is how many different vectors there are", MinembedWarning)
    centers, cosines = _centers(unit, labels, count)
    return Clusters(labels, typical_words(given, labels, count, first=0), cosines, centers, silhouettes)


def check_count(n: int, k: int | None, method: str = "kmeans") -> None:
    """Check that clustering is possible, before anything is embedded; raises InputError or MissingExtraError.

    >>> check_count(30_000, None, "hdbscan")
    Traceback (most recent call last):
    minembed.errors.InputError: hdbscan takes up to 20,000 texts, not 30,000: kmeans takes 500,000, or draw a sample
    """
    if method not in MOST:
        raise InputError(f"method {method!r} is unknown; known: {', '.join(get_args(ClusterMethod))}")
    if n > MOST[method]:
        other = f"kmeans takes {MOST['kmeans']:,}, or draw a sample" if method != "kmeans" else "draw a sample"
        raise InputError(f"{method} takes up to {MOST[method]:,} texts, not {n:,}: {other}")
    if k is not None and method != "kmeans":
        raise InputError("hdbscan finds how many clusters there are: leave k out, or take kmeans")
    if k is not None and check_whole("k", k) > n:
        raise InputError(f"k is {k:,}, and there are {n:,} texts: it may be at most that")
    if not has("sklearn"):
        raise missing("clustering", "scikit-learn")


def units(x: Array) -> Array:  # (N, D) -> (N, D) float32
    """Rows scaled to length 1; zeros stay.  Raises InputError for NaN or infinity.

    >>> units(np.array([[3, 4], [0, 0]])).round(6).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    unit = np.empty(x.shape, np.float32)
    for start, end in pieces(len(x), PIECE):
        check_finite("vectors", x[start:end], start)
        rows = x[start:end].astype(np.float64)
        rows /= np.abs(rows).max(axis=1, keepdims=True).clip(np.finfo(np.float64).tiny)
        unit[start:end] = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-300)
    return unit


def silhouette(unit: Array, labels: Array) -> float:  # (n, D) of length 1, (n,) from 0
    """The mean silhouette by cosine: how much nearer rows are to their own cluster than to the next one, -1 to 1.

    Rows are not compared in pairs: the mean distance to a cluster is one minus the product with the mean of its rows.

    >>> float(silhouette(np.float32([[1, 0], [1, 0], [0, 1], [0, 1]]), np.array([0, 0, 1, 1])))
    1.0
    """
    n, K = len(unit), int(labels.max()) + 1
    sums = _sums(unit, labels, K)
    sizes, rows = np.bincount(labels, minlength=K), np.arange(n)
    products = unit @ sums.T
    own = sizes[labels]
    to_itself = (unit.astype(np.float64) ** 2).sum(axis=1)
    within = 1 - (products[rows, labels] - to_itself) / np.maximum(own - 1, 1)
    others = 1 - products / np.maximum(sizes, 1)
    others[rows, labels] = np.inf
    others[:, sizes == 0] = np.inf
    nearest = others.min(axis=1)
    largest = np.maximum(within, nearest)
    scores = np.divide(nearest - within, largest, out=np.zeros(n), where=(largest > 0) & (own > 1))
    return float(scores.mean())


def by_size(raw: Array) -> tuple[Array, int]:  # (N,), -1 for none -> (N,) int64
    """Number clusters by size, from 0 for the largest; of equal ones the first comes first.  Also returns their number.

    >>> by_size(np.array([5, 2, 2, -1]))
    (array([ 1,  0,  0, -1]), 2)
    """
    values, first, sizes = np.unique(raw[raw >= 0], return_index=True, return_counts=True)
    order = np.lexsort((first, -sizes))
    place = np.full(int(raw.max(initial=-1)) + 2, -1, np.int64)
    place[values[order]] = np.arange(len(order))
    return place[raw], len(order)  # -1 reads the last place


def _tried(unit: Array, seed: int) -> Iterator[tuple[int, float]]:
    """The silhouette for each number of clusters, on a sample of the rows."""
    rows = np.arange(len(unit))
    if len(unit) > SAMPLE:
        rows = np.sort(np.random.default_rng(seed).choice(len(unit), SAMPLE, replace=False))
    some = unit[rows]
    different = len(np.unique(some, axis=0))
    for k in TRIED:
        if k < len(some) and k <= different:
            labels, count = by_size(_divided(some, k, seed))
            if count == k:
                yield k, silhouette(some, labels)


def _divided(unit: Array, k: int, seed: int) -> Array:
    if k == 1:
        return np.zeros(len(unit), np.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Number of distinct clusters")  # `cluster` says it
        return kmeans(unit, k, seed)


def _islands(unit: Array, seed: int) -> Array:
    if len(unit) < 5 or (unit == unit[0]).all():
        return np.zeros(len(unit), np.int64)
    return hdbscan(project(unit, "tsne", seed=seed).points)


def _sums(unit: Array, labels: Array, count: int) -> Array:  # (N, D), (N,) -> (count, D) float64
    """Add up the rows of each cluster."""
    sums = np.zeros((count + 1, unit.shape[1]))  # the last row is for -1
    for start, end in pieces(len(unit), PIECE):
        order = np.argsort(labels[start:end], kind="stable")
        values, begins = np.unique(labels[start:end][order], return_index=True)
        sums[values] += np.add.reduceat(unit[start:end][order].astype(np.float64), begins, axis=0)
    return sums[:count]


def _centers(unit: Array, labels: Array, count: int) -> tuple[Array, Array]:
    """The mean direction of each cluster, and each row's cosine with its own."""
    sums = _sums(unit, labels, count)
    centers = sums / np.linalg.norm(sums, axis=1, keepdims=True).clip(1e-300)
    if not count:
        return centers, np.full(len(unit), np.nan)
    cosines = np.full(len(unit), np.nan)
    for start, end in pieces(len(unit), PIECE):
        own = labels[start:end]
        cosines[start:end] = (unit[start:end].astype(np.float64) * centers[own]).sum(axis=1)
    cosines[labels < 0] = np.nan
    return centers, np.clip(cosines, -1, 1)
