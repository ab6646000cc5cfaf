"""Queries as bytes, for the scan of a quantised corpus: rounded to 255 steps, and the remainder rounded again."""

import math

import numpy as np
from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.search.metrics import EUCLIDEAN, FLOAT32_UNIT

SUMS = 16 * FLOAT32_UNIT  # relative error of products and their sums in float32, per product of lengths
ROUNDING = 1 + 1e-5  # for the rounding of the margins
f32 = np.float32


@njit
def round_row(left, levels):
    """Round numbers to whole steps; returns the step and the sum of the levels, and leaves the remainder in `left`."""
    largest, total = 0.0, 0
    for j in range(len(left)):
        largest = max(largest, abs(left[j]))
    scale = f32(largest / 127)
    if scale == 0:
        return scale, total
    for j in range(len(left)):
        level = min(max(np.floor(left[j] / scale + 0.5), -127.0), 127.0)
        left[j] -= level * scale
        levels[j], total = int(level), total + int(level)
    return scale, total


@njit
def margins_of(left, length, metric, own_margin):
    """The largest error of a value: in any row, per unit of its length, and per unit of its own rounding error.

    |q x - q' x'| <= |q| |x - x'| + |q - q'| |x'|; for a cosine, x is divided by its length.
    """
    off = 0.0
    for j in range(len(left)):
        off += left[j] * left[j]
    off = math.sqrt(off)
    sums, twice = SUMS * (length + off), 2.0 if metric == EUCLIDEAN else 1.0
    return (
        (own_margin + 2.0**-126) * ROUNDING,
        twice * (off + sums) * ROUNDING,
        twice * (length + off + sums) * ROUNDING,
    )


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def round_queries(queries, lengths, metric, own_margins, once, rest, scales, sums, margins):
    """Fill the arguments of scan_bytes for queries (Q, D): their levels as rows, and their margins.

    `queries` is float64 and is overwritten by the remainder; the other arrays must contain zeros.
    """
    for q in range(len(queries)):
        left = queries[q]
        scales[0, q], sums[0, q] = round_row(left, once[q])
        margins[0, q], margins[1, q], margins[2, q] = margins_of(left, lengths[q], metric, own_margins[q])
        scales[1, q], sums[1, q] = round_row(left, rest[q])
        margins[3, q], margins[4, q], margins[5, q] = margins_of(left, lengths[q], metric, own_margins[q])
