"""Linear layers on packed weights, in float32, bfloat16 and int8.

A weight (in, out) is packed once into panels of 16 or 32 columns, so that the tile reads it front to back:

    float32    [panel][K][columns]
    bfloat16   [panel][K/2][columns][2]        two neighbours of K make one 32-bit word
    int8       [panel][K/4][columns][4]        four do

int8 is exact in the middle: activations are unsigned bytes with a scale and a zero point for every token and group of
K, weights signed bytes with a scale for every column and group; bytes are multiplied and summed as whole numbers, and
one multiplication a group turns the sum back into float32.  Groups of at most 192 keep an outlier of one group from
coarsening the others (docs/int8.md has the measurements).
"""

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from minembed.kernels.elementwise import ONE, ZERO, gelu, gelu_coarse
from minembed.kernels.simd import (
    at,
    fma,
    load,
    load_part,
    max_lanes,
    maximum,
    min_lanes,
    minimum,
    nearest,
    splat,
    store,
    store_bfloat16,
    store_bytes,
    sum_lanes,
    to_int,
)
from minembed.kernels.tiles import PANEL, TILE_ROWS, tile_bfloat16, tile_bytes, tile_floats

f32 = np.float32
LEVELS = f32(255.0)
TINY = f32(1e-30)


# multiply and encode exist once a dtype; which one is meant follows from the type of the weights
def multiply(a, stride_a, quant, rows, width, group, weight, scales, sums, bias, out_width, out, stride, bend):  # type: ignore[no-untyped-def]
    """out = bias + a weight for `rows` rows of what encode made; then GELU where `bend`."""
    raise NotImplementedError


def encode(x, stride, rows, width, group, weight, operand, quant):  # type: ignore[no-untyped-def]
    """Turn float32 rows into what multiply takes beside this type of weights; returns a pointer and a stride."""
    raise NotImplementedError


@njit
def _bend(c, stride, rows, exact):  # type: ignore[no-untyped-def]
    """GELU on a tile that has just been written: it is in the first-level cache."""
    for r in range(rows):
        for column in range(0, PANEL, 16):
            here = at(c, r * stride + column)
            store(here, gelu(load(here)) if exact else gelu_coarse(load(here)))


@njit
def _multiply_floats(a, stride_a, quant, rows, width, group, weight, scales, sums, bias, out_width, out, stride, bend):  # type: ignore[no-untyped-def]
    blocks = (rows + TILE_ROWS - 1) // TILE_ROWS
    for panel in range((out_width + PANEL - 1) // PANEL):
        b, start = at(weight, panel * width * PANEL), at(bias, panel * PANEL)
        i = 0
        for block in range(blocks):  # of nearly equal size: 15 rows are 7 and 8
            count = (rows - i) // (blocks - block)
            c = at(out, i * stride + panel * PANEL)
            tile_floats(count, at(a, i * stride_a), stride_a, b, PANEL, width, start, c, stride)
            if bend:
                _bend(c, stride, count, True)
            i += count


@njit
def _multiply_bfloat16(
    a, stride_a, quant, rows, width, group, weight, scales, sums, bias, out_width, out, stride, bend
):  # type: ignore[no-untyped-def]
    blocks = (rows + TILE_ROWS - 1) // TILE_ROWS
    pairs = (width + 1) // 2
    for panel in range((out_width + PANEL - 1) // PANEL):
        b, start = at(weight, panel * pairs * 2 * PANEL), at(bias, panel * PANEL)
        i = 0
        for block in range(blocks):
            count = (rows - i) // (blocks - block)
            c = at(out, i * stride + panel * PANEL)
            tile_bfloat16(count, at(a, i * stride_a), stride_a, b, 2 * PANEL, pairs, start, c, stride)
            if bend:
                _bend(c, stride, count, False)
            i += count


@njit
def _multiply_bytes(a, stride_a, quant, rows, width, group, weight, scales, sums, bias, out_width, out, stride, bend):  # type: ignore[no-untyped-def]
    scale_a, zero_a = quant
    blocks = (rows + TILE_ROWS - 1) // TILE_ROWS
    groups = stride_a // group
    for panel in range((out_width + PANEL - 1) // PANEL):
        b, start = at(weight, panel * stride_a * PANEL), at(bias, panel * PANEL)
        scale_b, sums_b = at(scales, panel * groups * PANEL), at(sums, panel * groups * PANEL)
        i = 0
        for block in range(blocks):
            count = (rows - i) // (blocks - block)
            c = at(out, i * stride + panel * PANEL)
            for g in range(groups):
                tile_bytes(
                    count, at(a, i * stride_a + g * group), stride_a, at(b, g * group * PANEL), group // 4, g == 0, start,
                    c, stride, at(scale_a, i * groups + g), at(zero_a, i * groups + g), groups,
                    at(scale_b, g * PANEL), at(sums_b, g * PANEL),
                )  # fmt: skip
            if bend:
                _bend(c, stride, count, False)
            i += count


@njit
def _encode_floats(x, stride, rows, width, group, weight, operand, quant):  # type: ignore[no-untyped-def]
    return x, stride


@njit
def _encode_bfloat16(x, stride, rows, width, group, weight, operand, quant):  # type: ignore[no-untyped-def]
    whole = width // 16 * 16
    stride_a = (width + 15) // 16 * 16
    for r in range(rows):
        row, to = at(x, r * stride), at(operand, r * stride_a)
        for k in range(0, whole, 16):
            store_bfloat16(at(to, k), load(at(row, k)))
        if whole < width:
            store_bfloat16(at(to, whole), load_part(at(row, whole), width - whole, splat(ZERO)))
    return operand, stride_a


@njit
def _encode_group(x, count, to, padded):  # type: ignore[no-untyped-def]
    """Bytes of one group of one row; returns the scale and the zero point.  NaN or infinity makes the scale NaN."""
    whole = count // 16 * 16
    rest = count - whole
    zero = splat(ZERO)
    low, high, wrong = zero, zero, zero
    for k in range(0, whole, 16):
        v = load(at(x, k))
        low, high, wrong = minimum(v, low), maximum(v, high), fma(v, zero, wrong)
    if rest:
        v = load_part(at(x, whole), rest, zero)
        low, high, wrong = minimum(v, low), maximum(v, high), fma(v, zero, wrong)
    least = min_lanes(low)
    scale = (max_lanes(high) - least) / LEVELS + TINY
    inverse = ONE / scale
    point = f32(np.rint(-least * inverse))
    for k in range(0, whole, 16):
        q = fma(load(at(x, k)), splat(inverse), splat(point))
        store_bytes(at(to, k), to_int(nearest(maximum(zero, minimum(splat(LEVELS), q)))))
    if rest:
        q = fma(load_part(at(x, whole), rest, zero), splat(inverse), splat(point))
        store_bytes(at(to, whole), to_int(nearest(maximum(zero, minimum(splat(LEVELS), q)))))
    return scale + sum_lanes(wrong), point


@njit
def _encode_bytes(x, stride, rows, width, group, weight, operand, quant):  # type: ignore[no-untyped-def]
    scale_a, zero_a = quant
    groups = (width + group - 1) // group
    for r in range(rows):
        for g in range(groups):
            count = min(group, width - g * group)
            scale, point = _encode_group(
                at(x, r * stride + g * group), count, at(operand, (r * groups + g) * group), group
            )
            scale_a[r * groups + g] = scale
            zero_a[r * groups + g] = np.int32(point)
    return operand, groups * group


_KINDS: dict[Any, tuple[Any, Any]] = {
    types.float32: (_multiply_floats, _encode_floats),
    types.uint16: (_multiply_bfloat16, _encode_bfloat16),
    types.int8: (_multiply_bytes, _encode_bytes),
}


@overload(multiply)
def _choose_multiply(a, stride_a, quant, rows, width, group, weight, scales, sums, bias, out_width, out, stride, bend):  # type: ignore[no-untyped-def]
    chosen = _KINDS[weight.dtype][0]

    def call(a, stride_a, quant, rows, width, group, weight, scales, sums, bias, out_width, out, stride, bend):  # type: ignore[no-untyped-def]
        chosen(a, stride_a, quant, rows, width, group, weight, scales, sums, bias, out_width, out, stride, bend)

    return call


@overload(encode)
def _choose_encode(x, stride, rows, width, group, weight, operand, quant):  # type: ignore[no-untyped-def]
    chosen = _KINDS[weight.dtype][1]

    def call(x, stride, rows, width, group, weight, operand, quant):  # type: ignore[no-untyped-def]
        return chosen(x, stride, rows, width, group, weight, operand, quant)

    return call
