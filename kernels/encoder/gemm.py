"""Linear layers on packed weights, in float32, bfloat16 and int8.  All of them compute

    for t in range(rows):
        for j in range(out):
            y[t, j] = bias[j]
            for k in range(K):
                y[t, j] += x[t, k] * weight[k, j]

tile by tile: some rows times one panel of columns, whose sums stay in registers while k runs, always in this order.

A weight (in, out) is packed once into panels of 16 or 32 columns, so that the tile reads it sequentially:

    float32    [panel][K][columns]
    bfloat16   [panel][K/2][columns][2]        two neighbours along K make one 32-bit word
    int8       [panel][K/4][columns][4]        four neighbours do

int8 sums are exact: activations are unsigned bytes with a scale and a zero point for every token and group of K,
weights are signed bytes with a scale for every column and group; bytes are multiplied and summed as integers, and one
multiplication per group turns the sum back into float32.  With groups of at most 192, an outlier does not make other
groups coarser (docs/kernels.md has the measurements).
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from minembed.kernels.encoder.activations import activate_tile
from minembed.kernels.encoder.elementwise import ONE, ZERO
from minembed.kernels.tiles.registers import count_tiles, tile_bfloat16, tile_bytes, tile_floats, tile_floats_asking
from minembed.kernels.tiles.shapes import PANEL, TILE_VECTORS
from minembed.kernels.vectors.simd import (
    at,
    fma,
    load,
    load_part,
    max_lanes,
    maximum,
    min_lanes,
    minimum,
    nearest,
    prefetch,
    splat,
    store_bfloat16,
    store_bytes,
    sum_lanes,
    to_int,
)

f32 = np.float32
LINE = 16  # elements: one cache line of 64 bytes, or less
ASKS = TILE_VECTORS == 2  # whether to prefetch: with AVX-512; on AVX2 it makes float32 3 % slower
MANY_BLOCKS = 8 if ASKS else 2  # of rows
LEVELS = f32(255.0)
TINY = f32(1e-30)


# Arguments of the functions below:
#   operand = (pointer, stride, scales, zero points)    rows of activations, encoded for this type of weights
#   p = (weights, scales, sums, vectors)                pointers to the parameters of a linear layer; its bias is next
#   buffers = (pointer, scales, zero points)            where to put an operand
#
# The type of the weights selects one of the three versions of each function.


@njit
def multiply(operand, rows, width, group, p, out_width, out, stride, activation):
    """out = activation(bias + operand weight).  Each panel of B is multiplied with all rows before the next one."""
    for panel in range((out_width + PANEL - 1) // PANEL):
        multiply_one_panel(operand, rows, width, group, p, panel, out, stride, activation)


@njit
def multiply_one_panel(operand, rows, width, group, p, panel, out, stride, activation):
    """The columns of one panel of multiply's result."""
    blocks = count_tiles(rows, p[0])
    i = 0
    for block in range(blocks):  # of nearly equal size: 15 rows are 7 and 8
        count = (rows - i) // (blocks - block)
        c = at(out, i * stride + panel * PANEL)
        multiply_panel(operand, i, count, width, group, p, panel, c, stride, panel + 1, block, blocks)
        if activation:
            activate_tile(c, stride, count, PANEL, activation, p[0])
        i += count


@njit
def multiply_activate_encode(operand, rows, width, group, p, out_width, out_group, activation, tile, buffers):
    """encode(activation(bias + operand weight)), in bands of out_group columns that stay in the first-level cache.

    out_group is a number of whole panels and divides out_width; tile has space for TILE_ROWS x out_group.
    """
    blocks = count_tiles(rows, p[0])
    span, stride = out_group // PANEL, operand_stride(out_width, out_group, p[0])
    for band in range(out_width // out_group):
        i = 0
        for block in range(blocks):
            count = (rows - i) // (blocks - block)
            for panel in range(span):
                c = at(tile, panel * PANEL)
                this = band * span + panel
                multiply_panel(operand, i, count, width, group, p, this, c, out_group, this + span, block, blocks)
            activate_tile(tile, out_group, count, out_group, activation, p[0])
            encode_band(tile, out_group, i, count, out_group, band * out_group, stride, out_group, p[0], buffers)
            i += count
    return buffers[0], stride, buffers[1], buffers[2]


@njit
def encode_rows(x, stride, rows, width, group, weight, buffers):
    """Turn float32 rows into the operand that goes with this type of weights."""
    to = operand_stride(width, group, weight)
    for r in range(rows):  # in order: the last vector of a row may overlap the next
        for column in range(0, width, group):
            here = at(x, r * stride + column)
            encode_band(here, stride, r, 1, min(group, width - column), column, to, group, weight, buffers)
    return buffers[0], to, buffers[1], buffers[2]


@njit
def fetch_part(weight, panel, width, group, block, blocks):
    """Prefetch a part of a panel; not with few blocks, which would prefetch too much at once and wait."""
    if blocks >= MANY_BLOCKS:
        length = depth(weight, width, group) * PANEL
        part = (length // LINE + blocks - 1) // blocks * LINE
        for element in range(block * part, min(length, (block + 1) * part), LINE):
            prefetch(at(weight, panel * length + element))


# --- float32: nothing to encode


@njit
def _panel_floats(operand, i, count, width, group, p, panel, c, stride, following, block, blocks):
    a, b, bias = at(operand[0], i * operand[1]), at(p[0], panel * width * PANEL), at(p[3], panel * PANEL)
    if ASKS and 1 < blocks <= MANY_BLOCKS and block < TILE_VECTORS:
        ask = at(
            b, (2 * PANEL + block * LINE) * width
        )  # half of the panel after next, since a second core may take the next
        tile_floats_asking(count, a, operand[1], b, PANEL, width, bias, c, stride, ask)
    else:
        tile_floats(count, a, operand[1], b, PANEL, width, bias, c, stride)
        if not ASKS:
            fetch_part(p[0], following, width, group, block, blocks)


# --- bfloat16


@njit
def _panel_bfloat16(operand, i, count, width, group, p, panel, c, stride):
    pairs = (width + 1) // 2
    b, bias = at(p[0], panel * pairs * 2 * PANEL), at(p[3], panel * PANEL)
    tile_bfloat16(count, at(operand[0], i * operand[1]), operand[1], b, 2 * PANEL, pairs, bias, c, stride)


@njit
def _band_bfloat16(x, stride, first, rows, width, column, to, group, weight, buffers):
    whole = width // 16 * 16
    for r in range(rows):
        row, out = at(x, r * stride), at(buffers[0], (first + r) * to + column)
        for k in range(0, whole, 16):
            store_bfloat16(at(out, k), load(at(row, k)))
        if whole < width:
            store_bfloat16(at(out, whole), load_part(at(row, whole), width - whole, splat(ZERO)))


# --- int8


@njit
def _panel_bytes(operand, i, count, width, group, p, panel, c, stride):
    a, step, scale_a, zero_a = operand
    groups = step // group
    b, bias = at(p[0], panel * step * PANEL), at(p[3], panel * PANEL)
    scale_b, sums_b = at(p[1], panel * groups * PANEL), at(p[2], panel * groups * PANEL)
    for g in range(groups):
        tile_bytes(
            count, at(a, i * step + g * group), step, at(b, g * group * PANEL), group // 4, g == 0, bias, c, stride,
            at(scale_a, i * groups + g), at(zero_a, i * groups + g), groups, at(scale_b, g * PANEL),
            at(sums_b, g * PANEL),
        )  # fmt: skip


@njit
def _encode_group(x, count, to, padded):
    """Bytes of one group of one row; returns the scale and the zero point.  NaN or infinity makes the scale NaN."""
    whole = count // 16 * 16
    rest = count - whole
    low = high = wrong = zero = splat(ZERO)
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
def _band_bytes(x, stride, first, rows, width, column, to, group, weight, buffers):
    """Encode a band, which is one group."""
    operand, scales, zero_points = buffers
    groups, g = to // group, column // group
    for r in range(rows):
        row = first + r
        scale, point = _encode_group(at(x, r * stride), width, at(operand, row * to + column), group)
        scales[row * groups + g] = scale
        zero_points[row * groups + g] = np.int32(point)


# --- selecting the version: once, when Numba compiles


def multiply_panel(operand, i, count, width, group, p, panel, c, stride, following, block, blocks):
    """Compute one tile: `count` rows from row i on (a block) times a panel; prefetches part of the following panel."""
    raise NotImplementedError


@overload(multiply_panel, inline="always")
def _choose_panel(operand, i, count, width, group, p, panel, c, stride, following, block, blocks):
    chosen = _panel_bfloat16 if p[0].dtype == types.uint16 else _panel_bytes

    def call(operand, i, count, width, group, p, panel, c, stride, following, block, blocks):
        chosen(operand, i, count, width, group, p, panel, c, stride)
        fetch_part(p[0], following, width, group, block, blocks)

    return _panel_floats.py_func if p[0].dtype == types.float32 else call


def encode_band(x, stride, first, rows, width, column, to, group, weight, buffers):
    """Encode some columns of some rows into an operand whose rows are `to` elements apart."""
    raise NotImplementedError


@overload(encode_band, inline="always")
def _choose_band(x, stride, first, rows, width, column, to, group, weight, buffers):
    chosen = {types.uint16: _band_bfloat16, types.int8: _band_bytes}[weight.dtype]

    def call(x, stride, first, rows, width, column, to, group, weight, buffers):
        chosen(x, stride, first, rows, width, column, to, group, weight, buffers)

    return call


def encode(x, stride, rows, width, group, weight, buffers):
    """Turn float32 rows into the operand that goes with this type of weights; float32 is one already."""
    raise NotImplementedError


@overload(encode, inline="always")
def _choose_encode(x, stride, rows, width, group, weight, buffers):
    if weight.dtype == types.float32:
        return lambda x, stride, rows, width, group, weight, buffers: (x, stride, buffers[1], buffers[2])

    def call(x, stride, rows, width, group, weight, buffers):
        return encode_rows(x, stride, rows, width, group, weight, buffers)

    return call


def operand_stride(width, group, weight):
    """The distance between rows of an operand: the depth of the packed weight, or a few more."""
    raise NotImplementedError


@overload(operand_stride, inline="always")
def _choose_stride(width, group, weight):
    if weight.dtype == types.int8:
        return lambda width, group, weight: (width + group - 1) // group * group
    return lambda width, group, weight: (width + 15) // 16 * 16


def depth(weight, width, group):
    """The number of rows of K in a packed weight of this type."""
    raise NotImplementedError


@overload(depth, inline="always")
def _choose_depth(weight, width, group):
    if weight.dtype == types.float32:
        return lambda weight, width, group: width
    if weight.dtype == types.uint16:
        return lambda weight, width, group: (width + 1) // 2 * 2
    return lambda weight, width, group: (width + group - 1) // group * group
