"""From vectors to points on a map: PCA in NumPy, t-SNE by scikit-learn, UMAP by umap-learn.

Neighbours are exact, by cosine, found once by `top_k`.  The start is always the PCA, so that a map hardly rotates when
a few texts are added.  The same seed gives the same points on the same machine.
"""

import io
import re
import sys
import warnings
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError, MinembedWarning, warn
from minembed.maps.extra import LARGEST_SEED, scikit_learn, umap_learn
from minembed.maps.pca import pca
from minembed.runtime.checks import as_matrix, check_whole
from minembed.search.topk import top_k
from minembed.types import Array, MapMethod

NAMES: dict[MapMethod, str] = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
FEWEST = 5  # different vectors: fewer have no neighbourhoods to preserve
SMALL_FOR_UMAP = 4096  # below this umap-learn finds the neighbours itself, exactly
STEPS = 1000  # of t-SNE
FEW = 2_000  # points: t-SNE places fewer on one thread


@dataclass(frozen=True, slots=True)
class Projection:
    """Points, and the method that placed them."""

    points: Array  # (N, 2) or (N, 3) float64
    method: MapMethod
    settings: str = ""  # in words
    shares: tuple[float, ...] = ()  # of the variance, per axis; only for PCA

    @property
    def name(self) -> str:
        """The usual name of the method.

        >>> Projection(np.zeros((1, 2)), "tsne").name
        't-SNE'
        """
        return NAMES[self.method]


def check_vectors(vectors: ArrayLike) -> Array:  # -> (N, D) float64
    """Vectors as a matrix with at least one row; raises InputError for other shapes, NaN or infinity.

    >>> check_vectors([[1, 2]]).tolist()
    [[1.0, 2.0]]
    """
    x = as_matrix("vectors", vectors, "numbers of shape (N, D) with at least one row", least=(1, 1)).astype(np.float64)
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise InputError(f"row {int(bad.argmax())} of the vectors holds NaN or infinity; leave such rows out")
    return x


def project(
    vectors: ArrayLike,
    method: MapMethod = "tsne",
    dimensions: int = 2,
    *,
    seed: int = 0,
    perplexity: float | None = None,
    neighbours: int | None = None,
    show_progress_bar: bool | None = None,
) -> Projection:
    """Place vectors (N, D) on a map: `method` is "pca", "tsne" or "umap", `dimensions` 2, or for PCA also 3.

    `perplexity` (t-SNE; default 30) and `neighbours` (UMAP; default 15) say how many neighbours of a point count; the
    defaults are smaller for few points.  Fewer than five different vectors have no neighbourhoods: they are placed by
    PCA, with a warning.  `show_progress_bar=None` shows one on a terminal.
    Raises InputError for NaN or an impossible setting, MissingExtraError if the extra `viz` is needed.

    >>> project([[0.0, 1.0], [0.0, 3.0]], "pca").points.tolist()
    [[-1.0, 0.0], [1.0, 0.0]]
    """
    x = check_vectors(vectors)
    check_settings(len(x), method, dimensions, seed, perplexity, neighbours)
    if method != "pca" and len(np.unique(x[: 10 * FEWEST], axis=0)) < FEWEST and len(np.unique(x, axis=0)) < FEWEST:
        warn(f"fewer than {FEWEST} different vectors are too few for {NAMES[method]}: shown by PCA", MinembedWarning)
        method = "pca"
    points, shares = pca(x, dimensions)
    if method == "pca":
        return Projection(points, "pca", "", tuple(shares.tolist()))
    spread = points[:, 0].std()
    shown = show_progress_bar
    if shown is None:
        shown = sys.stderr is not None and sys.stderr.isatty()
    if method == "tsne":
        size = perplexity or min(30.0, (len(x) - 1) / 3)
        return Projection(tsne(x, size, seed, points / spread * 1e-4, shown), "tsne", f"perplexity {size:.3g}")
    count = neighbours or min(15, len(x) - 1)
    return Projection(umap(x, count, seed, points / spread, shown), "umap", f"{count} neighbours")


def check_settings(
    n: int, method: MapMethod, dimensions: int, seed: int, perplexity: float | None, neighbours: int | None
) -> None:
    """Check the settings; raises InputError, which says what to give instead.

    >>> check_settings(10, "tsne", 2, 0, 3, None)
    """
    if method not in NAMES:
        raise InputError(f"method {method!r} is unknown; known: {', '.join(NAMES)}")
    if dimensions not in ((2, 3) if method == "pca" else (2,)):
        raise InputError(f"dimensions={dimensions!r}: maps have 2, and by method='pca' also 3")
    check_whole("seed", seed, 0, LARGEST_SEED)
    if perplexity is not None and method != "tsne":
        raise InputError(f"perplexity is a setting of method='tsne', not of {method!r}")
    if neighbours is not None and method != "umap":
        raise InputError(f"neighbours is a setting of method='umap', not of {method!r}")
    most = (n - 1) / 3
    if perplexity is not None and not 1 <= perplexity <= most:
        remedy = f"give 1 to {most:.4g}" if most >= 1 else "leave it out"
        raise InputError(f"perplexity {perplexity:g} does not fit {n:,} points, it may be a third of them: {remedy}")
    if neighbours is not None and not 2 <= neighbours <= n - 1:
        remedy = f"give 2 to {n - 1}" if n > 2 else "leave it out"
        raise InputError(f"neighbours={neighbours!r} does not fit {n:,} points: {remedy}")


def nearest(x: Array, k: int) -> tuple[Array, Array]:  # (N, D) -> (N, min(k, N - 1)) twice
    """The k rows nearest to each by cosine, without the row itself: their cosines and indices, exact.

    >>> nearest(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), 1)[1].tolist()
    [[1], [0], [0]]
    """
    k = min(k, len(x) - 1)
    cosines, rows = top_k(x, x, k + 1, metric="cosine")
    other = rows != np.arange(len(x))[:, None]
    other[other.all(axis=1), -1] = False  # with many equal rows, the row itself may be missing: drop the last one
    return cosines[other].reshape(len(x), k), rows[other].reshape(len(x), k)


def tsne(x: Array, perplexity: float, seed: int, start: Array, shown: bool) -> Array:  # (N, D), (N, 2) -> (N, 2)
    """t-SNE on the exact neighbours by cosine (Barnes-Hut, scikit-learn).

    At most two threads: with more, the order of a sum, and so the picture, would be random.  With few points, threads
    would wait for each other longer than they work.
    """
    from threadpoolctl import threadpool_limits

    manifold, _ = scikit_learn("t-SNE")
    N = len(x)
    k = min(N - 1, int(3 * perplexity + 1))
    cosines, rows = nearest(x, k)
    distances = np.concatenate([np.zeros((N, 1)), np.maximum(1 - cosines, 0)], axis=1)  # each row itself comes first
    rows = np.concatenate([np.arange(N)[:, None], rows], axis=1)
    places = (distances.reshape(-1), rows.reshape(-1), np.arange(0, N * (k + 1) + 1, k + 1))
    graph = import_module("scipy.sparse").csr_matrix(places, shape=(N, N))
    with threadpool_limits(1 if N < FEW else 2), redirect_stdout(Steps(STEPS, "t-SNE", shown)):
        found: Array = manifold.TSNE(
            metric="precomputed",
            init=start[:, :2].astype(np.float32),
            perplexity=perplexity,
            max_iter=STEPS,
            random_state=int(seed),
            verbose=2,
        ).fit_transform(graph)
    return found.astype(np.float64)


def umap(x: Array, count: int, seed: int, start: Array, shown: bool) -> Array:  # (N, D), (N, 2) -> (N, 2)
    """UMAP on the exact neighbours by cosine (umap-learn), one thread."""
    module = umap_learn()
    N = len(x)
    given: Any = (None, None)
    if N >= SMALL_FOR_UMAP:
        cosines, rows = nearest(x, count - 1)
        distances = np.concatenate([np.zeros((N, 1)), np.maximum(1 - cosines, 0)], axis=1)
        given = (np.concatenate([np.arange(N)[:, None], rows], axis=1), distances.astype(np.float32))
    model = module.UMAP(
        metric="cosine",
        n_neighbors=count,
        init=(10 * start[:, :2]).astype(np.float32),
        random_state=int(seed),
        n_jobs=1,
        precomputed_knn=(*given, None) if N >= SMALL_FOR_UMAP else (None, None, None),
        tqdm_kwds={"disable": not shown, "desc": "UMAP", "file": sys.stderr},
        verbose=shown,
    )
    with redirect_stdout(io.StringIO()), warnings.catch_warnings():  # hides what it prints beside its bar
        warnings.simplefilter("ignore")  # it warns that no other points can be added later
        found: Array = model.fit_transform(x.astype(np.float32))
    return found.astype(np.float64)


class Steps(io.TextIOBase):
    """A progress bar for scikit-learn's t-SNE, which prints its progress."""

    def __init__(self, total: int, name: str, shown: bool) -> None:
        from tqdm import tqdm

        self.bar = tqdm(total=total, desc=name, disable=not shown, file=sys.stderr)

    def write(self, text: str) -> int:
        """Read a line such as "[t-SNE] Iteration 50: error = ..."."""
        found = re.search(r"Iteration (\d+)", text)
        if found:
            self.bar.update(int(found[1]) - self.bar.n)
        if "after" in text and "iterations" in text and "early" not in text:
            self.bar.update(self.bar.total - self.bar.n)  # it may stop early
            self.bar.close()
        return len(text)
