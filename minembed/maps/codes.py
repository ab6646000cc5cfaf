"""Vectors in few bytes, for a page that compares any two of them.

They are rotated to their principal axes, which changes no cosine; axes with less variance are stored with fewer bits:
8, 4, 2 or none.  The error of the cosines is measured, and shown with them.
"""

from dataclasses import dataclass

import numpy as np

from minembed.maps.pca import principal_axes
from minembed.search.similarity import pairwise
from minembed.transformer.vectors import l2_normalize
from minembed.types import Array

BITS = (8, 4, 2)
STEP = {4: 0.35, 2: 0.996}  # in standard deviations of an axis: close to optimal for normal distributions
PAIRS = 4_000  # for measuring the error


@dataclass(frozen=True, slots=True)
class Codes:
    """Rows of bytes, and the size of a step on each axis."""

    rows: Array  # (N, B) uint8: signed bytes, then two axes per byte, then four, the first in the lowest bits
    axes: tuple[int, int, int]  # how many are stored in 8, 4 and 2 bits
    steps: Array  # (sum of axes,) float32
    error: float  # of 95 % of the cosines, at most

    def decode(self) -> Array:  # -> (N, R) float64
        """Approximately the vectors, on R axes.

        >>> codes = encode(np.eye(3), 3)
        >>> bool(np.abs(codes.decode() @ codes.decode().T - np.eye(3)).max() < 0.02)
        True
        """
        a, b, c = self.axes
        split = a + -(-b // 2)
        fours, twos = self.rows[:, a:split, None], self.rows[:, split:, None]
        halves = (fours >> np.array([0, 4], np.uint8) & 15).reshape(len(self.rows), -1)[:, :b]
        quarters = (twos >> np.array([0, 2, 4, 6], np.uint8) & 3).reshape(len(self.rows), -1)[:, :c]
        parts = [self.rows[:, :a].view(np.int8).astype(np.float64), halves - 7.5, quarters - 1.5]
        return np.concatenate(parts, axis=1) * self.steps


def plan(D: int, size: int) -> tuple[int, int, int]:
    """How many of D axes get 8, 4 and 2 bits, so that a row takes about `size` bytes.

    >>> plan(384, 384), plan(384, 240), plan(384, 96)
    ((384, 0, 0), (96, 288, 0), (16, 96, 128))
    """
    size = max(size, 6)
    if size >= D:
        return D, 0, 0
    if 2 * size >= D:
        return 2 * size - D, 2 * (D - size), 0
    first = size // 6
    return first, size, min(4 * size // 3, D - first - size)


def encode(vectors: Array, size: int) -> Codes:  # (N, D) -> (N, about size) bytes
    """Store the directions of vectors in about `size` bytes each.

    >>> encode(np.eye(3), 3).rows.shape
    (3, 3)
    """
    x = l2_normalize(np.asarray(vectors, np.float64))
    axes = principal_axes(x, x.shape[1])
    z = x @ axes.T  # (N, R)
    counts = plan(z.shape[1], size)
    a, b, _ = counts
    spread = np.sqrt((z**2).mean(axis=0))
    widest = np.abs(z).max(axis=0, initial=0)
    steps = np.concatenate([widest[:a] / 127, STEP[4] * spread[a : a + b], STEP[2] * spread[a + b :]])[: sum(counts)]
    steps = np.where(steps == 0, 1, steps)
    q = z[:, : len(steps)] / steps
    bytes8 = np.rint(q[:, :a]).astype(np.int8).view(np.uint8)
    fours = packed(np.clip(np.floor(q[:, a : a + b]) + 8, 0, 15), 2)
    twos = packed(np.clip(np.floor(q[:, a + b :]) + 2, 0, 3), 4)
    codes = Codes(np.concatenate([bytes8, fours, twos], axis=1), counts, steps.astype(np.float32), 0.0)
    return Codes(codes.rows, counts, codes.steps, error_of(codes, x))


def packed(values: Array, each: int) -> Array:  # (N, R) -> (N, ceil(R / each)) uint8
    """Put `each` small numbers into a byte, the first in the lowest bits.

    >>> packed(np.array([[1, 2, 3]]), 2).tolist()
    [[33, 3]]
    """
    N, R = values.shape
    whole = np.zeros((N, -(-R // each) * each), np.uint8)
    whole[:, :R] = values
    shifts = np.arange(each, dtype=np.uint8) * (8 // each)
    total: Array = (whole.reshape(N, -1, each) << shifts).sum(axis=2, dtype=np.uint8)
    return total


def error_of(codes: Codes, x: Array) -> float:
    """The 95th percentile of the error of cosines of stored rows, over random pairs.

    >>> error_of(encode(np.eye(3), 3), np.eye(3)) < 0.02
    True
    """
    if len(x) < 2:
        return 0.0
    rng = np.random.default_rng(0)
    rows = np.sort(rng.choice(len(x), min(len(x), PAIRS), replace=False))
    stored = Codes(codes.rows[rows], codes.axes, codes.steps, 0.0).decode()
    one, two = rng.integers(0, len(rows), (2, PAIRS))
    off = np.abs(pairwise(stored[one], stored[two]) - pairwise(x[rows[one]], x[rows[two]]))
    return float(np.quantile(off[one != two], 0.95)) if (one != two).any() else 0.0
