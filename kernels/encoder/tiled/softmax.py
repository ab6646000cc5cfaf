"""Softmax of rows of scores, to bfloat16, and the sum of each row, by which its context is divided later.

Scores are exponents of two (queries have the factors 1 / sqrt(K) and log2(e)), so only 2^score is computed.
Subtracting the row's largest score first only changes the range, and bfloat16 is as exact at 2^50 as at 1: so that is
done only for rows whose sum shows that it was needed.
"""

import numpy as np
from numba import njit

from minembed.kernels.encoder.elementwise import ZERO, exp2_short, row_maximum
from minembed.kernels.vectors.simd import at, load, load_part, splat, store, store_bfloat16, sum_lanes

LOWEST_SCORE = np.float32(-np.inf)
SMALLEST, LARGEST = np.float32(2.0**-60), np.float32(2.0**60)  # sums between these are exact enough


@njit
def softmax_rows(scores, stride, rows, n, padded, weights, stride_w, sums):
    """weights = 2^scores in bfloat16 for `rows` rows of n scores, 0 up to `padded`, a multiple of 16; and row sums.

    Rows are computed four at a time, also beyond the last: their memory must exist.
    """
    whole, up = n // 16 * 16, (n + 15) // 16 * 16
    if whole < n:
        for r in range(rows):
            last = at(scores, r * stride + whole)
            store(last, load_part(last, n - whole, splat(LOWEST_SCORE)))
    for r in range(0, rows, 4):
        four_rows(at(scores, r * stride), stride, up, at(weights, r * stride_w), stride_w, at(sums, r))
    for r in range(rows):
        if not SMALLEST < sums[r] < LARGEST:
            sums[r] = one_row(at(scores, r * stride), n, up, at(weights, r * stride_w))
        if up < padded:
            store_bfloat16(at(weights, r * stride_w + up), splat(ZERO))


@njit
def four_rows(row, stride, n, to, stride_w, sums):
    """Four rows at once, since one row alone would wait for its sum."""
    second, third, fourth = at(row, stride), at(row, 2 * stride), at(row, 3 * stride)
    to_second, to_third, to_fourth = at(to, stride_w), at(to, 2 * stride_w), at(to, 3 * stride_w)
    a = b = c = d = splat(ZERO)
    for j in range(0, n, 16):
        e = exp2_short(load(at(row, j)))
        store_bfloat16(at(to, j), e)
        a = a + e
        e = exp2_short(load(at(second, j)))
        store_bfloat16(at(to_second, j), e)
        b = b + e
        e = exp2_short(load(at(third, j)))
        store_bfloat16(at(to_third, j), e)
        c = c + e
        e = exp2_short(load(at(fourth, j)))
        store_bfloat16(at(to_fourth, j), e)
        d = d + e
    sums[0], sums[1], sums[2], sums[3] = sum_lanes(a), sum_lanes(b), sum_lanes(c), sum_lanes(d)


@njit
def one_row(row, n, up, to):
    """One row, with its largest score subtracted first."""
    largest = splat(row_maximum(row, n))
    total = splat(ZERO)
    for j in range(0, up, 16):
        e = exp2_short(load(at(row, j)) - largest)
        store_bfloat16(at(to, j), e)
        total = total + e
    return sum_lanes(total)
