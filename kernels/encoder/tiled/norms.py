"""LayerNorm and RMSNorm of a row, also written as an operand of the next product."""

import math

import numpy as np
from numba import njit

from minembed.kernels.encoder.architecture import LAYER_NORM, RMS_NORM
from minembed.kernels.encoder.elementwise import ONE, ZERO
from minembed.kernels.encoder.tiled.plan import SIDE
from minembed.kernels.encoder.tiled.planes import STEP_A, step_a, store_planes
from minembed.kernels.vectors.simd import at, first_lanes, fma, load, splat, store, sum_lanes

f32 = np.float32


@njit
def place_in(operand, row, wide, planes):
    """The pointer to a row of an operand; its steps of 32 columns are step_a(planes) elements apart."""
    return at(operand, row // 16 * 16 * wide * len(planes) + row % 16 * SIDE)


@njit
def row_statistics(x, width, kind, eps, planes):
    """The number to subtract from a row's numbers, and the factor to multiply them by afterwards.

    Sums and squares are computed in one pass, of the differences from the first number: a constant row has a variance
    of exactly 0, and others lose at most 1 / width of float32's last places, far below bfloat16's.  For float32 a
    second pass sums the squares of the differences from the mean.
    """
    whole = width // 16 * 16
    first = splat(x[0]) if kind == LAYER_NORM else splat(ZERO)
    total, squares = splat(ZERO), splat(ZERO)
    for j in range(0, whole, 16):
        d = load(at(x, j)) - first
        total, squares = total + d, fma(d, d, squares)
    if whole < width:
        d = first_lanes(load(at(x, whole)) - first, width - whole)
        total, squares = total + d, fma(d, d, squares)
    mean = sum_lanes(total) / f32(width) if kind == LAYER_NORM else ZERO
    variance = sum_lanes(squares) / f32(width) - mean * mean
    if len(planes) > 1:
        variance = mean_square(x, width, first, splat(mean))
    variance = max(variance, ZERO) + ZERO * variance  # an overflow must end in NaN, not in a row of zeros
    return first + splat(mean), splat(ONE / f32(math.sqrt(variance + eps)))


@njit
def mean_square(x, width, first, mean):
    """The mean of (x - first - mean)^2."""
    whole = width // 16 * 16
    squares = splat(ZERO)
    for j in range(0, whole, 16):
        d = load(at(x, j)) - first - mean
        squares = fma(d, d, squares)
    if whole < width:
        d = first_lanes(load(at(x, whole)) - first - mean, width - whole)
        squares = fma(d, d, squares)
    return sum_lanes(squares) / f32(width)


@njit
def norm_row(x, width, wide, norm, kind, eps, keep, to, planes):
    """Write norm(x) to a row of an operand, at `to`; and x = norm(x) if `keep`."""
    if kind != LAYER_NORM and kind != RMS_NORM:
        for j in range(0, wide, SIDE):
            store_planes(at(to, j // SIDE * step_a(planes)), STEP_A, load(at(x, j)), load(at(x, j + 16)), planes)
        return
    mean, scale = row_statistics(x, width, kind, eps, planes)
    bias = at(norm, wide)
    for j in range(0, wide, SIDE):
        low = fma((load(at(x, j)) - mean) * scale, load(at(norm, j)), load(at(bias, j)))
        high = fma((load(at(x, j + 16)) - mean) * scale, load(at(norm, j + 16)), load(at(bias, j + 16)))
        if keep:
            store(at(x, j), low), store(at(x, j + 16), high)
        store_planes(at(to, j // SIDE * step_a(planes)), STEP_A, low, high, planes)
