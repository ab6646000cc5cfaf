"""The register tiles as functions on arrays; C begins 5 elements on, so that a tile need not be aligned."""

from numba import njit

from minembed.kernels.tiles import registers as tiles
from minembed.kernels.vectors.simd import address


@njit
def tile_floats(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c):
    tiles.tile_floats(
        rows, address(a, 0), stride_a, address(b, 0), stride_b, steps, address(bias, 0), address(c, 5), stride_c
    )


@njit
def tile_floats_asking(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c):
    tiles.tile_floats_asking(
        rows, address(a, 0), stride_a, address(b, 0), stride_b, steps, address(bias, 0), address(c, 5), stride_c,
        address(b, 0),
    )  # fmt: skip


@njit
def tile_floats_narrow(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c):
    tiles.tile_floats_narrow(
        rows, address(a, 0), stride_a, address(b, 0), stride_b, steps, address(bias, 0), address(c, 5), stride_c
    )


@njit
def tile_floats_streaming(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c):
    tiles.tile_floats_streaming(
        rows, address(a, 0), stride_a, address(b, 0), stride_b, steps, address(bias, 0), address(c, 5), stride_c
    )


@njit
def tile_bfloat16(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c):
    tiles.tile_bfloat16(
        rows, address(a, 0), stride_a, address(b, 0), stride_b, steps, address(bias, 0), address(c, 5), stride_c
    )


@njit
def tile_bytes(rows, a, stride_a, b, steps, first, bias, c, stride_c, scale_a, zero_a, stride_q, scale_b, sums_b):
    tiles.tile_bytes(
        rows, address(a, 0), stride_a, address(b, 0), steps, first, address(bias, 0), address(c, 5), stride_c,
        address(scale_a, 0), address(zero_a, 0), stride_q, address(scale_b, 0), address(sums_b, 0),
    )  # fmt: skip


@njit
def tile_bytes_streaming(
    rows, a, stride_a, b, steps, first, bias, c, stride_c, scale_a, zero_a, stride_q, scale_b, sums_b
):
    tiles.tile_bytes_streaming(
        rows, address(a, 0), stride_a, address(b, 0), steps, first, address(bias, 0), address(c, 5), stride_c,
        address(scale_a, 0), address(zero_a, 0), stride_q, address(scale_b, 0), address(sums_b, 0),
    )  # fmt: skip
