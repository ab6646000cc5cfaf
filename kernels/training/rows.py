"""Row functions of training, in float32: GELU, LayerNorm and softmax, forward and backward, and sums over rows.

They are defined in minembed.transformer.ops and minembed.train.backward.vjp.
"""

import math

import numpy as np
from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.elementwise import HALF, ONE, ZERO, add_norm_row, exp, normal_tail, row_maximum
from minembed.kernels.encoder.elementwise import gelu as gelu_of
from minembed.kernels.vectors.simd import (
    absolute,
    address,
    at,
    first_lanes,
    fma,
    load,
    load_part,
    maximum,
    minimum,
    splat,
    store,
    store_part,
    sum_lanes,
)

f32 = np.float32
DENSITY = f32(1 / math.sqrt(2 * math.pi))
MINUS_TWO = f32(-2.0)


@njit
def _slope_of_gelu(x):
    """The derivative of GELU, Phi(x) + x phi(x), of a vector: minembed.train.backward.vjp.gelu_vjp."""
    a = minimum(absolute(x) * splat(HALF), splat(f32(6.5)))  # beyond that the tail is 0, and exp would leave its range
    tail = normal_tail(a) * splat(HALF)
    density = exp(a * a * splat(MINUS_TWO)) * splat(DENSITY)
    # Phi(|x|) = 1 - tail; the derivative at -x is 1 minus the derivative at x
    slope = splat(ONE) - tail + absolute(x) * density
    return slope


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def gelu_rows(x, n, out):
    """GELU of n numbers, a multiple of 16."""
    for j in range(0, n, 16):
        store(address(out, j), gelu_of(load(address(x, j))))


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def gelu_vjp_rows(x, dy, n, out):
    """dy times the derivative of GELU at x, for n numbers, a multiple of 16."""
    for j in range(0, n, 16):
        v = load(address(x, j))
        s = _slope_of_gelu(v)
        positive = maximum(splat(ZERO), minimum(v * splat(f32(1e38)), splat(ONE)))  # 1 where x > 0, else 0
        slope = positive * (s + s - splat(ONE)) + splat(ONE) - s  # s, or 1 - s
        store(address(out, j), slope * load(address(dy, j)))


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def sum_rows(x, rows, width, out):
    """out += every row of x, in order."""
    zero = splat(ZERO)
    for t in range(rows):
        for j in range(0, width, 16):
            n = width - j
            _put(address(out, j), n, _take(address(out, j), n, zero) + _take(address(x, t * width + j), n, zero))


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def layer_norm_rows(x, rows, width, weight, bias, eps, zeros, out):
    """LayerNorm of each row, of any width."""
    for t in range(rows):
        here = t * width
        add_norm_row(
            address(x, here), address(zeros, 0), address(weight, 0), address(bias, 0), width, eps, address(out, here)
        )  # fmt: skip


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def layer_norm_vjp_rows(x, dy, rows, width, weight, eps, dx, dweight, dbias):
    """The gradients of LayerNorm; those of weight and bias are accumulated."""
    for t in range(rows):
        here = t * width
        _norm_vjp_row(
            address(x, here), address(dy, here), address(weight, 0), width, eps, address(dx, here), address(dweight, 0),
            address(dbias, 0),
        )  # fmt: skip


@njit
def _norm_vjp_row(x, dy, weight, width, eps, dx, dweight, dbias):
    zero, first = splat(ZERO), splat(x[0])
    total, squares = zero, zero
    for j in range(0, width, 16):
        total = total + (_take(at(x, j), width - j, first) - first)
    mean = first + splat(sum_lanes(total) / f32(width))
    for j in range(0, width, 16):
        d = _take(at(x, j), width - j, mean) - mean
        squares = fma(d, d, squares)
    inverse = splat(ONE / f32(math.sqrt(sum_lanes(squares) / f32(width) + eps)))
    total, along = zero, zero
    for j in range(0, width, 16):
        n = width - j
        z, slope = (_take(at(x, j), n, mean) - mean) * inverse, _take(at(dy, j), n, zero)
        _put(at(dweight, j), n, fma(slope, z, _take(at(dweight, j), n, zero)))
        _put(at(dbias, j), n, slope + _take(at(dbias, j), n, zero))
        dz = slope * _take(at(weight, j), n, zero)
        total, along = total + dz, fma(dz, z, along)
    shift, turn = splat(sum_lanes(total) / f32(width)), splat(sum_lanes(along) / f32(width))
    for j in range(0, width, 16):
        n = width - j
        z, dz = (_take(at(x, j), n, mean) - mean) * inverse, _take(at(dy, j), n, zero) * _take(at(weight, j), n, zero)
        _put(at(dx, j), n, (dz - shift - z * turn) * inverse)


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def softmax_rows(x, rows, n, out):
    """The softmax of each row of n."""
    for t in range(rows):
        row, to = address(x, t * n), address(out, t * n)
        largest, total = splat(row_maximum(row, n)), splat(ZERO)
        for j in range(0, n, 16):
            e = first_lanes(exp(_take(at(row, j), n - j, largest) - largest), n - j)
            _put(at(to, j), n - j, e)
            total = total + e
        share = splat(ONE / sum_lanes(total))
        for j in range(0, n, 16):
            _put(at(to, j), n - j, _take(at(to, j), n - j, largest) * share)


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def softmax_vjp_rows(y, kept, dy, rows, n, out):
    """The gradient of softmax for each row: kept dy - y times their sum."""
    zero = splat(ZERO)
    for t in range(rows):
        p, k, d, to = address(y, t * n), address(kept, t * n), address(dy, t * n), address(out, t * n)
        total = zero
        for j in range(0, n, 16):
            total = fma(_take(at(k, j), n - j, zero), _take(at(d, j), n - j, zero), total)
        along = splat(sum_lanes(total))
        for j in range(0, n, 16):
            slope = _take(at(k, j), n - j, zero) * _take(at(d, j), n - j, zero)
            _put(at(to, j), n - j, slope - along * _take(at(p, j), n - j, zero))


@njit
def _take(row, count, other):
    """The next 16 numbers of a row; lanes beyond its end are those of `other`."""
    if count >= 16:
        return load(row)
    return load_part(row, count, other)


@njit
def _put(row, count, vector):
    """Write 16 numbers, or as many as are left."""
    if count >= 16:
        store(row, vector)
    else:
        store_part(row, vector, count)
