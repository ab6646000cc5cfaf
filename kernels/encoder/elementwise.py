"""exp, GELU and LayerNorm on rows, 16 numbers at a time; exp and GELU also 64 at a time (vector.py).

Rows begin at a pointer and need no alignment.  Each function reads every number once or twice and does as much as it
can per read, since these loops wait for the cache, not for the multipliers.  The errors below are measured by
tests/kernels/test_kernel_elementwise.py against float64.
"""

import math

import numpy as np
from numba import njit

from minembed.kernels.vectors.powers import fraction, scale_by_power, times_power
from minembed.kernels.vectors.simd import (
    absolute,
    at,
    fma,
    load,
    load_part,
    max_lanes,
    maximum,
    minimum,
    nearest,
    negative,
    splat,
    store,
    store_part,
    sum_lanes,
)

f32 = np.float32
LOG2_E_HIGH, LOG2_E_LOW = f32(1.44269502), f32(1.92596299e-8)
LOWEST = f32(-87.0)  # its exp is close to the smallest normal float32
# 2^f for |f| <= 1/2, relative error 7.5e-8 (tests/goldens/make/fit_exp.py)
E0, E1, E2, E3, E4, E5 = (f32(c) for c in (1.0, 0.693147, 0.24022242, 0.055507336, 0.009671513, 0.0013264727))
T0, T1, T2, T3 = (f32(c) for c in (0.9999252, 0.69583356, 0.22606716, 0.07802452))  # 2^f, 0 <= f < 1: 7.5e-5
# R of gelu(x) = max(x, 0) - a exp(a R(a)), a = |x|/2: minembed.transformer.ops.LOG_TAIL
R0, R1, R2, R3 = f32(-0.00033751325), f32(0.002489291), f32(-0.005832337), f32(-0.006034836)
R4, R5, R6, R7 = f32(0.080354296), f32(-0.29182944), f32(-1.2730678), f32(-1.5957787)
# P of gelu(x) = x (1/2 + c P(c^2 - 8)), c = x clipped to [-4, 4]; error 8e-6 there (tests/goldens/make/fit_exp.py)
P0, P1, P2, P3 = f32(6.7404096e-11), f32(-1.7530546e-09), f32(2.5125603e-08), f32(-3.6586e-07)
P4, P5, P6, P7, P8 = f32(5.444469e-06), f32(-7.219173e-05), f32(0.0008745294), f32(-0.010539644), f32(0.17594896)
# and S of the same with c clipped to [-3.5, 3.5] and 6.125 for 8; error 2.4e-4 of |x|, and none outside
S0, S1, S2 = f32(-6.7951925e-07), f32(1.333267e-05), f32(-0.00013856028)
S3, S4, S5 = f32(0.0013942241), f32(-0.014678613), f32(0.19939037)
G0, G1 = f32(2 * math.sqrt(2 / math.pi)), f32(2 * math.sqrt(2 / math.pi) * 0.044715)
EIGHT = f32(8.0)
HALF, ONE, ZERO, FOUR = f32(0.5), f32(1.0), f32(0.0), f32(4.0)
CUT, CUT_MIDDLE = f32(3.5), f32(6.125)


@njit
def exp(x):
    """e^x of a vector for x from -87 to 88; smaller x are taken as -87; NaN stays NaN.

    Relative error 2e-7; on a CPU without fused multiply-add, half a unit in the last place of |x| more.
    """
    x = maximum(splat(LOWEST), x)
    n = nearest(x * splat(LOG2_E_HIGH))
    f = fma(x, splat(LOG2_E_LOW), fma(x, splat(LOG2_E_HIGH), negative(n)))
    p = fma(splat(E5), f, splat(E4))
    p = fma(p, f, splat(E3))
    p = fma(p, f, splat(E2))
    p = fma(p, f, splat(E1))
    p = fma(p, f, splat(E0))
    return times_power(p, n)


@njit
def exp2_short(t):
    """2^t of a vector for results that are rounded to bfloat16: relative error 8e-5; 0 for -infinity, NaN for NaN."""
    f = fraction(t)
    p = fma(splat(T3), f, splat(T2))
    p = fma(p, f, splat(T1))
    p = fma(p, f, splat(T0))
    return scale_by_power(p, t)


@njit
def normal_tail(a):
    """erfc(a sqrt(2)) of a vector, by the formula of transformer.ops.gelu: twice the normal tail beyond 2a."""
    r = fma(splat(R0), a, splat(R1))
    r = fma(r, a, splat(R2))
    r = fma(r, a, splat(R3))
    r = fma(r, a, splat(R4))
    r = fma(r, a, splat(R5))
    r = fma(r, a, splat(R6))
    r = fma(r, a, splat(R7))
    return exp(r * a)


@njit
def gelu(x):
    """GELU (erf form) of a vector, by the formula of transformer.ops.gelu; error 3e-7, or relative 2e-7 beyond 4."""
    a = absolute(x) * splat(HALF)
    return maximum(splat(ZERO), x) - a * normal_tail(a)


@njit
def gelu_coarse(x):
    """GELU of a vector by one polynomial, without exp: error 8e-6, or relative 4e-5 beyond 4; half the work."""
    c = maximum(splat(ZERO - FOUR), minimum(splat(FOUR), x))
    u = fma(c, c, splat(ZERO - EIGHT))
    p = fma(splat(P0), u, splat(P1))
    p = fma(p, u, splat(P2))
    p = fma(p, u, splat(P3))
    p = fma(p, u, splat(P4))
    p = fma(p, u, splat(P5))
    p = fma(p, u, splat(P6))
    p = fma(p, u, splat(P7))
    p = fma(p, u, splat(P8))
    return x * fma(c, p, splat(HALF))


@njit
def gelu_short(x):
    """GELU of a vector for results that are rounded to bfloat16: error 2.4e-4 of |x| up to 3.5, none beyond."""
    c = maximum(splat(ZERO - CUT), minimum(splat(CUT), x))
    u = fma(c, c, splat(ZERO - CUT_MIDDLE))
    p = fma(splat(S0), u, splat(S1))
    p = fma(p, u, splat(S2))
    p = fma(p, u, splat(S3))
    p = fma(p, u, splat(S4))
    p = fma(p, u, splat(S5))
    return x * fma(c, p, splat(HALF))


@njit
def sigmoid(x):
    """1 / (1 + e^-x) of a vector; relative error 3e-7, and never below 1e-38."""
    return splat(ONE) / (splat(ONE) + exp(minimum(splat(ZERO - LOWEST), splat(ZERO) - x)))


@njit
def gelu_tanh(x):
    """The tanh approximation of GELU: minembed.transformer.ops.gelu_tanh."""
    return x * sigmoid(x * fma(x * x, splat(G1), splat(G0)))


@njit
def row_maximum(row, n):
    """The largest of n numbers."""
    whole = n // 16 * 16
    low = splat(f32(-np.inf))
    top = low
    for j in range(0, whole, 16):
        top = maximum(load(at(row, j)), top)
    if whole < n:
        top = maximum(load_part(at(row, whole), n - whole, low), top)
    return max_lanes(top)


@njit
def scale_row(row, n, factor):
    """Multiply n numbers by a factor, in place; up to 15 beyond them change too."""
    for j in range(0, n, 16):
        store(at(row, j), load(at(row, j)) * splat(factor))


@njit
def add_norm_row(x, residual, weight, bias, width, eps, out):
    """out = LayerNorm(x + residual) of one row; afterwards x is the sum.  out may be the same row as residual."""
    whole = width // 16 * 16
    rest = width - whole
    zero = splat(ZERO)
    first = splat(x[0] + residual[0])  # subtracted so that a constant row has a mean of exactly 0
    total = zero
    for j in range(0, whole, 16):
        v = load(at(x, j)) + load(at(residual, j))
        store(at(x, j), v)
        total = total + (v - first)
    if rest:
        v = load_part(at(x, whole), rest, zero) + load_part(at(residual, whole), rest, zero)
        store_part(at(x, whole), v, rest)
        total = total + load_part(at(x, whole), rest, first) - first
    mean = sum_lanes(total) / f32(width)
    squares = zero
    for j in range(0, whole, 16):
        d = load(at(x, j)) - first - splat(mean)
        squares = fma(d, d, squares)
    if rest:
        d = load_part(at(x, whole), rest, first + splat(mean)) - first - splat(mean)
        d_squared = d * d
        squares = squares + d_squared
    variance = sum_lanes(squares) / f32(width)
    variance += ZERO * variance  # an overflow must end in NaN, not in a row of zeros
    scale = splat(ONE / f32(math.sqrt(variance + eps)))
    for j in range(0, whole, 16):
        d = load(at(x, j)) - first - splat(mean)
        store(at(out, j), fma(d * scale, load(at(weight, j)), load(at(bias, j))))
    if rest:
        d = load_part(at(x, whole), rest, zero) - first - splat(mean)
        y = fma(d * scale, load_part(at(weight, whole), rest, zero), load_part(at(bias, whole), rest, zero))
        store_part(at(out, whole), y, rest)


@njit
def rms_row(x, weight, width, eps, out):
    """out = RMSNorm(x) of one row; out may be the same row as x."""
    whole = width // 16 * 16
    rest = width - whole
    zero = splat(ZERO)
    squares = zero
    for j in range(0, whole, 16):
        v = load(at(x, j))
        squares = fma(v, v, squares)
    if rest:
        v = load_part(at(x, whole), rest, zero)
        squares = fma(v, v, squares)
    mean = sum_lanes(squares) / f32(width)
    mean += ZERO * mean  # an overflow must end in NaN, not in a row of zeros
    scale = splat(ONE / f32(math.sqrt(mean + eps)))
    for j in range(0, whole, 16):
        store(at(out, j), load(at(x, j)) * scale * load(at(weight, j)))
    if rest:
        v = load_part(at(x, whole), rest, zero) * scale
        store_part(at(out, whole), v * load_part(at(weight, whole), rest, zero), rest)


@njit
def add_row(x, y, width):
    """x += y of one row; up to 15 numbers beyond it change too."""
    for j in range(0, width, 16):
        store(at(x, j), load(at(x, j)) + load(at(y, j)))


@njit
def rotate_row(row, half, cos, sin):
    """Rotate each column of a row's first half with the same column of its second half, by the column's angle."""
    for k in range(half):
        a, b = row[k], row[half + k]
        row[k] = a * cos[k] - b * sin[k]
        row[half + k] = b * cos[k] + a * sin[k]
