"""Softmax of rows of scores, as an operand, and the sum of each row, by which its context is divided later.

In bfloat16, scores are exponents of two (queries have the factors 1 / sqrt(K) and log2(e)); in float32, of e.
Subtracting the row's largest score first only changes the range, and numbers are as exact at 2^50 as at 1: so that is
done only for rows whose sum shows that it was needed.
"""

import numpy as np
from numba import njit

from minembed.kernels.encoder.elementwise import ZERO, exp, exp2_short, row_maximum
from minembed.kernels.encoder.tiled.plan import SIDE
from minembed.kernels.encoder.tiled.planes import store_planes
from minembed.kernels.vectors.simd import at, load, load_part, splat, store, store_bfloat16, sum_lanes

LOWEST_SCORE = np.float32(-np.inf)
SMALLEST, LARGEST = np.float32(2.0**-60), np.float32(2.0**60)  # sums between these are exact enough


@njit
def softmax_rows(scores, stride, rows, n, padded, weights, stride_w, sums, planes):
    """weights = 2^scores, or e^scores, for `rows` rows of n scores, 0 up to `padded`, a multiple of 32; and row sums.

    Planes of weights are stride_w apart, rows as many times that.  Rows are computed four at a time, also beyond the
    last: their memory must exist.
    """
    step, next_w = step_of(planes), stride_w * len(planes)
    whole, up = n // 16 * 16, (n + step - 1) // step * step
    for r in range(rows):
        for j in range(whole, up, 16):
            last = at(scores, r * stride + j)
            store(last, load_part(last, max(0, n - j), splat(LOWEST_SCORE)))
    for r in range(0, rows, 4):
        four_rows(at(scores, r * stride), stride, up, at(weights, r * next_w), stride_w, at(sums, r), planes)
    for r in range(rows):
        if not SMALLEST < sums[r] < LARGEST:
            sums[r] = one_row(at(scores, r * stride), n, up, at(weights, r * next_w), stride_w, planes)
        if up < padded:
            store_bfloat16(at(weights, r * next_w + up), splat(ZERO))


@njit
def step_of(planes):
    """The number of scores that `weigh` takes."""
    return 16 if len(planes) == 1 else SIDE


@njit
def weigh(row, to, stride_w, planes):
    """Write the weights of the next scores; returns their sum, lane by lane."""
    low = power_of(load(row), planes)
    if len(planes) == 1:
        store_bfloat16(to, low)
        return low
    high = power_of(load(at(row, 16)), planes)
    store_planes(to, stride_w, low, high, planes)
    return low + high


@njit
def power_of(t, planes):
    """2^t for results that are rounded to bfloat16, e^t for those in three planes."""
    return exp2_short(t) if len(planes) == 1 else exp(t)


@njit
def four_rows(row, stride, n, to, stride_w, sums, planes):
    """Four rows at once, since one row alone would wait for its sum."""
    next_w = stride_w * len(planes)
    second, third, fourth = at(row, stride), at(row, 2 * stride), at(row, 3 * stride)
    to_second, to_third, to_fourth = at(to, next_w), at(to, 2 * next_w), at(to, 3 * next_w)
    a = b = c = d = splat(ZERO)
    for j in range(0, n, step_of(planes)):
        a = a + weigh(at(row, j), at(to, j), stride_w, planes)
        b = b + weigh(at(second, j), at(to_second, j), stride_w, planes)
        c = c + weigh(at(third, j), at(to_third, j), stride_w, planes)
        d = d + weigh(at(fourth, j), at(to_fourth, j), stride_w, planes)
    sums[0], sums[1], sums[2], sums[3] = sum_lanes(a), sum_lanes(b), sum_lanes(c), sum_lanes(d)


@njit
def one_row(row, n, up, to, stride_w, planes):
    """One row, with its largest score subtracted first."""
    largest = splat(row_maximum(row, n))
    for j in range(0, up, 16):
        store(at(row, j), load(at(row, j)) - largest)
    total = splat(ZERO)
    for j in range(0, up, step_of(planes)):
        total = total + weigh(at(row, j), at(to, j), stride_w, planes)
    return sum_lanes(total)
