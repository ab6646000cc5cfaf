"""Softmax of rows of scores, 16 numbers at a time; with AVX-512, of four rows at once.

A row has n scores and space for whole vectors of 16.  It is replaced by exponentials, of which the largest is 1; their
sum, by which the caller divides, is written separately.  The bits of a row are the same alone and among four.
"""

import numpy as np
from numba import njit

from minembed.kernels.encoder.elementwise import ZERO, exp, exp2_short, row_maximum
from minembed.kernels.tiles.dot import TARGET
from minembed.kernels.vectors.fours import (
    first_lanes_of_rows,
    four_times,
    load_rows,
    load_rows_part,
    max_of_rows,
    store_rows,
    store_rows_bfloat16,
    store_sums,
)
from minembed.kernels.vectors.simd import (
    at,
    first_lanes,
    load,
    load_part,
    maximum,
    splat,
    store,
    sum_lanes,
)

LOG2_E = np.float32(1.44269504)
LOW = np.float32(-np.inf)
FOUR_ROWS = "avx512f" in TARGET.features


@njit
def softmax_rows(scores, stride, rows, n, sums):
    """Replace rows of scores by exponentials, padded to whole vectors with zeros, and write the sum of each row.

    With AVX-512, up to three rows beyond are written too.
    """
    if FOUR_ROWS:
        for r in range(0, rows, 4):
            _four_rows(at(scores, r * stride), stride, n, at(sums, r))
    else:
        for r in range(rows):
            sums[r] = _row(at(scores, r * stride), n)


@njit
def _row(row, n):
    whole = n // 16 * 16
    largest = splat(row_maximum(row, n))
    total = splat(ZERO)
    for j in range(0, whole, 16):
        e = exp(load(at(row, j)) - largest)
        store(at(row, j), e)
        total = total + e
    if whole < n:
        e = first_lanes(exp(load_part(at(row, whole), n - whole, largest) - largest), n - whole)
        store(at(row, whole), e)
        total = total + e
    return sum_lanes(total)


@njit
def _largest_of_four(row, stride, n):
    """The largest score of each of four rows, in all its lanes."""
    whole = n // 16 * 16
    top = four_times(splat(LOW))
    for j in range(0, whole, 16):
        top = maximum(load_rows(at(row, j), stride), top)
    if whole < n:
        top = maximum(load_rows_part(at(row, whole), stride, n - whole, splat(LOW)), top)
    return max_of_rows(top)


@njit
def _four_rows(row, stride, n, sums):
    whole = n // 16 * 16
    largest = _largest_of_four(row, stride, n)
    total = four_times(splat(ZERO))
    for j in range(0, whole, 16):
        e = exp(load_rows(at(row, j), stride) - largest)
        store_rows(at(row, j), stride, e)
        total = total + e
    if whole < n:
        e = exp(load_rows_part(at(row, whole), stride, n - whole, splat(ZERO)) - largest)
        e = first_lanes_of_rows(e, n - whole)
        store_rows(at(row, whole), stride, e)
        total = total + e
    store_sums(sums, total)


@njit
def softmax_rows_bfloat16(scores, stride, rows, n, to, to_stride, sums):
    """As softmax_rows, with the exponentials rounded to bfloat16 at `to`; the sums are of the unrounded ones.

    Up to three rows beyond are written too.
    """
    for r in range(0, rows, 4):
        _four_rows_bfloat16(at(scores, r * stride), stride, n, at(to, r * to_stride), to_stride, at(sums, r))


@njit
def _four_rows_bfloat16(row, stride, n, to, to_stride, sums):
    whole = n // 16 * 16
    largest = _largest_of_four(row, stride, n)
    total = four_times(splat(ZERO))
    for j in range(0, whole, 16):
        e = exp2_short((load_rows(at(row, j), stride) - largest) * splat(LOG2_E))
        store_rows_bfloat16(at(to, j), to_stride, e)
        total = total + e
    if whole < n:
        e = load_rows_part(at(row, whole), stride, n - whole, splat(ZERO))
        e = first_lanes_of_rows(exp2_short((e - largest) * splat(LOG2_E)), n - whole)
        store_rows_bfloat16(at(to, whole), to_stride, e)
        total = total + e
    store_sums(sums, total)
