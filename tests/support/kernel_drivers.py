"""Small compiled functions that hand NumPy arrays to the vector kernels, which take pointers."""

import numpy as np
from numba import njit

from minembed.kernels.encoder import gemm
from minembed.kernels.encoder.architecture import GELU
from minembed.kernels.encoder.packing import pack_weight
from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.kernels.vectors import simd
from minembed.kernels.vectors.simd import address, load, splat, store
from minembed.transformer.params import Linear
from minembed.transformer.quantization import QuantizedLinear, group_size, quantize_weight, round_bfloat16

GUARD = np.float32(-12345.5)  # what lies around a result, and must still be there afterwards
OPERANDS = {"float32": np.uint8, "bfloat16": np.uint16, "int8": np.uint8}  # in float32 nothing is written


def mapped(function):
    """Turn a kernel on vectors of 16 into a function on arrays of any shape."""

    @njit
    def run(x, out):  # type: ignore[no-untyped-def]
        for i in range(0, len(x), 16):
            store(address(out, i), function(load(address(x, i))))

    def call(x):
        x = np.asarray(x, np.float32)
        flat = np.resize(x.ravel(), -(-x.size // 16) * 16)
        out = np.empty_like(flat)
        run(flat, out)
        return out[: x.size].reshape(x.shape)

    return call


@njit
def _multiply(x, stride, rows, width, group, weight, scales, sums, bias, out_width, out, out_stride, activation, room):
    operand, scale_a, zero_points = room
    buffers = (address(operand, 0), address(scale_a, 0), address(zero_points, 0))
    operand = gemm.encode(address(x, 0), stride, rows, width, group, address(weight, 0), buffers)
    p = (address(weight, 0), address(scales, 0), address(sums, 0), address(bias, 0))
    gemm.multiply(operand, rows, width, group, p, out_width, address(out, 0), out_stride, int(activation))


@njit
def _encode(x, stride, rows, width, group, weight, room):
    operand, scale_a, zero_points = room
    buffers = (address(operand, 0), address(scale_a, 0), address(zero_points, 0))
    gemm.encode(address(x, 0), stride, rows, width, group, address(weight, 0), buffers)


@njit
def _multiply_activate_encode(
    x, stride, rows, width, group, weight, scales, sums, bias, out_width, out_group, tile, room, made
):
    operand, scale_a, zero_points = room
    buffers = (address(operand, 0), address(scale_a, 0), address(zero_points, 0))
    operand = gemm.encode(address(x, 0), stride, rows, width, group, address(weight, 0), buffers)
    p = (address(weight, 0), address(scales, 0), address(sums, 0), address(bias, 0))
    to = (address(made[0], 0), address(made[1], 0), address(made[2], 0))
    gemm.multiply_activate_encode(operand, rows, width, group, p, out_width, out_group, GELU, address(tile, 0), to)


@njit
def copied_part(x, start, count, out):
    v = simd.load_part(address(x, start), count, splat(np.float32(-7.0)))
    store(address(out, 0), v)
    store(address(out, 16), simd.first_lanes(v, count))
    simd.store_part(address(out, 32 + 1), v, count)


def lowered(weight, bias, dtype):
    """A linear layer in a compute type, as minembed.transformer.quantization.lower makes it."""
    if dtype == "int8":
        return QuantizedLinear(*quantize_weight(weight), bias)
    return Linear(round_bfloat16(weight) if dtype == "bfloat16" else weight, bias)


def packed(p, dtype):
    """The arrays of one linear layer in the kernels' layout: weight, scales, sums, bias."""
    one = np.zeros(1, np.float32), np.zeros(1, np.int32)
    parts = pack_weight(p, dtype, PANEL)
    scales, sums = parts[1:] if dtype == "int8" else one
    return parts[0], scales, sums, np.pad(p.bias, (0, -len(p.bias) % PANEL))


def room_for(rows, width, dtype):
    """Where an operand is put, filled with what must not matter."""
    size = (rows + 16) * (width + 144)
    fill = {"float32": 0, "bfloat16": 0x7FC0, "int8": 255}[dtype]
    operand = np.full(size, fill, OPERANDS[dtype])
    return operand, np.full((rows + 16) * (width + 1), np.nan, np.float32), np.full(size, 99, np.int32)


def multiply(x, p, dtype, activation=False):
    """x times a linear layer by the kernels, then GELU where `activation`; what lies around the result is checked."""
    rows, width = x.shape
    out_width = len(p.bias)
    columns = -(-out_width // PANEL) * PANEL
    out = np.full((rows + 1, columns + 7), GUARD)
    wide = np.full((rows, width + 5), np.nan, np.float32)  # rows of x that are not side by side
    wide[:, :width] = x
    wide = np.concatenate([wide.ravel(), np.full(32, np.nan, np.float32)])
    weight, scales, sums, bias = packed(p, dtype)
    _multiply(
        wide, width + 5, rows, width, group_size(width), weight, scales, sums, bias, out_width, out.reshape(-1),
        columns + 7, activation, room_for(rows, width, dtype),
    )  # fmt: skip
    assert (out[:, columns:] == GUARD).all() and (out[rows] == GUARD).all(), "written beyond the result"
    return out[:rows, :out_width].copy()


def split_operand(room, rows, width, dtype):
    """What an encoded operand says: (rows, width) elements, and for int8 the (rows, groups) scales and zero points."""
    operand, scales, zero_points = room
    if dtype == "bfloat16":
        return operand[: rows * (stride := -(-width // 16) * 16)].reshape(rows, stride)[:, :width], None, None
    groups = -(-width // group_size(width))
    stride = groups * group_size(width)
    levels = operand[: rows * stride].reshape(rows, stride)[:, :width]
    return levels, scales[: rows * groups].reshape(rows, groups), zero_points[: rows * groups].reshape(rows, groups)


def encode(x, dtype):
    """The operand of some rows."""
    rows, width = x.shape
    room = room_for(rows, width, dtype)
    weight = np.zeros(1, {"bfloat16": np.uint16, "int8": np.int8}[dtype])
    padded = np.concatenate([x.ravel(), np.full(32, np.nan, np.float32)])
    _encode(padded, width, rows, width, group_size(width), weight, room)
    return split_operand(room, rows, width, dtype)


def multiply_activate_encode(x, p, dtype):
    """The operand of gelu(x times a linear layer)."""
    rows, width = x.shape
    out_width = len(p.bias)
    made = room_for(rows, out_width, dtype)
    padded = np.concatenate([x.ravel(), np.full(32, np.nan, np.float32)])
    tile = np.full(TILE_ROWS * group_size(out_width) + 16, np.nan, np.float32)
    _multiply_activate_encode(
        padded, width, rows, width, group_size(width), *packed(p, dtype), out_width, group_size(out_width), tile,
        room_for(rows, width, dtype), made,
    )  # fmt: skip
    return split_operand(made, rows, out_width, dtype)
