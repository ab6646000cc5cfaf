"""Register tiles and the packed weights they read, compiled, against float64 and whole numbers."""

import numpy as np
import pytest
from kernel_drivers import GUARD, lowered
from kernel_tiles import (
    tile_bfloat16,
    tile_bytes,
    tile_bytes_streaming,
    tile_floats,
    tile_floats_asking,
    tile_floats_narrow,
    tile_floats_streaming,
)

from minembed.kernels.encoder.packing import aligned, pack_table, pack_weight, panels
from minembed.kernels.tiles.shapes import BFLOAT16_ROWS, BYTE_ROWS, PANEL, TILE_ROWS
from minembed.transformer.quantization import QuantizedRows, group_size, quantize_rows, round_bfloat16, to_bfloat16

EPS = 6e-8  # half a unit in the last place of 1
SUM = 10 * EPS  # of a sum of K products, relative to their sizes: see test_kernel_gemm.py

DEPTHS = [1, 2, 7, 31, 384]


def normal(*shape, seed=17):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


# ---- tiles ----


def guarded(rows, columns, stride):
    """An empty C, `stride` apart, that begins 5 elements on."""
    return np.full(5 + (rows + 1) * stride, GUARD)


def unguarded(c, rows, columns, stride):
    """C, when nothing around it has been written."""
    table = c[5:].reshape(rows + 1, stride)
    assert (c[:5] == GUARD).all() and (table[:rows, columns:] == GUARD).all() and (table[rows] == GUARD).all()
    return table[:rows, :columns]


@pytest.mark.parametrize("K", DEPTHS)
@pytest.mark.parametrize(
    ("tile", "columns", "least"),
    [
        (tile_floats, PANEL, 1),
        (tile_floats_asking, PANEL, TILE_ROWS // 2),
        (tile_floats_narrow, 16, 1),
        (tile_floats_streaming, 16, 1),
    ],
    ids=["floats", "floats_asking", "floats_narrow", "floats_streaming"],
)
def test_float_tiles(tile, columns, least, K):
    a, b, bias = normal(TILE_ROWS, K + 3), normal(K, columns + 7, seed=18), normal(columns, seed=19)
    exact = a[:, :K].astype(np.float64) @ b[:, :columns] + bias
    size = np.abs(a[:, :K].astype(np.float64)) @ np.abs(b[:, :columns]) + np.abs(bias)
    whole = None
    for rows in range(TILE_ROWS, least - 1, -1):
        c = guarded(rows, columns, columns + 3)
        tile(rows, a.ravel(), K + 3, b.ravel(), columns + 7, K, bias, c, columns + 3)
        got = unguarded(c, rows, columns, columns + 3)
        assert (np.abs(got - exact[:rows]) <= SUM * size[:rows]).all()
        whole = got if whole is None else whole
        np.testing.assert_array_equal(got, whole[:rows])  # the same bits in any tile


def paired(b, stride):
    """Rows of B, two by two side by side as tile_bfloat16 reads them, `stride` words apart."""
    K, columns = b.shape
    out = np.zeros((K // 2, stride, 2), np.uint16)
    out[:, :columns] = b.reshape(K // 2, 2, columns).transpose(0, 2, 1)
    return out.ravel()


@pytest.mark.parametrize("K", [2, 6, 62, 384])
def test_bfloat16_tile(K):
    a, b, bias = normal(BFLOAT16_ROWS, K + 2), normal(K, PANEL, seed=18), normal(PANEL, seed=19)
    a, b = round_bfloat16(a), round_bfloat16(b)
    exact = a[:, :K].astype(np.float64) @ b + bias
    size = np.abs(a[:, :K].astype(np.float64)) @ np.abs(b) + np.abs(bias)
    words = paired(to_bfloat16(b), PANEL + 5)
    whole = None
    for rows in range(BFLOAT16_ROWS, 0, -1):
        c = guarded(rows, PANEL, PANEL + 3)
        tile_bfloat16(rows, to_bfloat16(a).ravel(), K + 2, words, 2 * (PANEL + 5), K // 2, bias, c, PANEL + 3)
        got = unguarded(c, rows, PANEL, PANEL + 3)
        assert (np.abs(got - exact[:rows]) <= SUM * size[:rows]).all()
        whole = got if whole is None else whole
        np.testing.assert_array_equal(got, whole[:rows])


def byte_case(name, K):
    """Levels of A (rows, K), of B (K, columns) and zero points: random ones, and the largest there are."""
    rng = np.random.default_rng(K)
    a, b = rng.integers(0, 256, (BYTE_ROWS, K)), rng.integers(-127, 128, (K, PANEL))
    zero = rng.integers(0, 256, BYTE_ROWS)
    if name != "random":
        a, zero = np.full_like(a, 255), np.zeros_like(zero)
        b = np.full_like(b, -127 if name == "lowest" else 127)
    if name == "far below":
        a, zero = np.zeros_like(a), np.full_like(zero, 255)
    return a.astype(np.uint8), b.astype(np.int8), zero.astype(np.int32)


@pytest.mark.parametrize("K", [4, 12, 68, 192])
@pytest.mark.parametrize("name", ["random", "lowest", "highest", "far below"])
@pytest.mark.parametrize(
    ("tile", "columns"), [(tile_bytes, PANEL), (tile_bytes_streaming, 16)], ids=["bytes", "bytes_streaming"]
)
def test_byte_tiles_are_exact(tile, columns, name, K):
    a, b, zero = byte_case(name, K)
    whole = (a.astype(np.int64) - zero[:, None]) @ b.astype(np.int64)
    assert np.abs(whole).max() < 2**23  # float32 holds it; so all that follows is exact
    words, sums = panels(b, PANEL, 4, K), b.sum(axis=0, dtype=np.int32)
    scale_a = np.exp2(np.arange(BYTE_ROWS)).astype(np.float32)
    scale_b = np.exp2(-np.arange(PANEL)).astype(np.float32)
    bias = np.zeros(PANEL, np.float32)
    strided = np.zeros((BYTE_ROWS, 3), np.float32)
    strided[:, 0] = scale_a
    zeros = np.full((BYTE_ROWS, 3), 77, np.int32)
    zeros[:, 0] = zero
    wide = np.full((BYTE_ROWS, K + 4), 200, np.uint8)
    wide[:, :K] = a
    for rows in range(1, BYTE_ROWS + 1):
        c = guarded(rows, columns, PANEL + 3)
        arguments = (c, PANEL + 3, strided.ravel(), zeros.ravel(), 3, scale_b, sums)
        tile(rows, wide.ravel(), K + 4, words, K // 4, True, bias, *arguments)
        exact = (whole[:rows] * scale_a[:rows, None].astype(np.float64) * scale_b)[:, :columns]
        np.testing.assert_array_equal(unguarded(c, rows, columns, PANEL + 3), exact)
        tile(rows, wide.ravel(), K + 4, words, K // 4, False, bias + 1, *arguments)
        np.testing.assert_array_equal(unguarded(c, rows, columns, PANEL + 3), 2 * exact)  # added; the bias is not


def test_a_byte_tile_begins_at_the_bias():
    a, b, zero = byte_case("random", 8)
    c, bias = guarded(2, PANEL, PANEL), normal(PANEL)
    none = np.zeros(BYTE_ROWS, np.float32), zero, 1, np.zeros(PANEL, np.float32), np.zeros(PANEL, np.int32)
    tile_bytes(2, a.ravel(), 8, panels(b, PANEL, 4, 8), 2, True, bias, c, PANEL, *none)
    np.testing.assert_array_equal(unguarded(c, 2, PANEL, PANEL), [bias, bias])


# ---- packing ----


@pytest.mark.parametrize("together", [1, 2, 4])
@pytest.mark.parametrize("columns", [16, 32])
@pytest.mark.parametrize(("K", "N"), [(1, 1), (7, 31), (37, 67), (384, 53)])
def test_panels_hold_every_weight_once(K, N, columns, together):
    weight = np.arange(1, K * N + 1).reshape(K, N)
    rows = -(-K // together) * together
    flat = panels(weight, columns, together, rows)
    split = flat.reshape(-1, rows // together, columns, together)  # [panel][K / together][column][together]
    for k in {0, K // 2, K - 1}:
        for n in {0, N // 2, N - 1}:
            assert split[n // columns, k // together, n % columns, k % together] == weight[k, n]
    back = split.transpose(1, 3, 0, 2).reshape(rows, -1)
    np.testing.assert_array_equal(back[:K, :N], weight)
    assert np.count_nonzero(flat) == K * N  # the rest is zeros


def test_packed_weights_of_every_type():
    weight, bias = normal(37, 67), normal(67)
    floats, *_ = pack_weight(lowered(weight, bias, "float32"), "float32", PANEL)
    np.testing.assert_array_equal(floats, panels(weight, PANEL, 1, 37))
    shorts, *_ = pack_weight(lowered(weight, bias, "bfloat16"), "bfloat16", PANEL)
    assert shorts.dtype == np.uint16
    np.testing.assert_array_equal(shorts, panels(to_bfloat16(weight), PANEL, 2, 38))
    p = lowered(normal(400, 67), bias, "int8")
    levels, scales, sums = pack_weight(p, "int8", PANEL)
    group, G = group_size(400), len(p.scales)
    assert (group, G) == (100, 4)
    np.testing.assert_array_equal(levels, panels(p.levels, PANEL, 4, 400))
    columns = -(-67 // PANEL) * PANEL
    assert scales.reshape(columns // PANEL, G, PANEL)[1, 3, 5] == p.scales[3, PANEL + 5]
    assert sums.reshape(columns // PANEL, G, PANEL)[1, 3, 5] == p.levels[300:, PANEL + 5].sum()


def test_tables_and_alignment():
    table = normal(7, 37)
    flat, scales = pack_table(table, "float32")
    assert not len(scales) and not flat.flags.writeable and np.shares_memory(flat, table)
    flat, _ = pack_table(table, "bfloat16")
    rows = flat.reshape(7, 48)  # whole vectors of 16
    np.testing.assert_array_equal(rows[:, :37], to_bfloat16(table))
    assert not rows[:, 37:].any()
    levels, row_scales = quantize_rows(table)
    flat, scales = pack_table(QuantizedRows(levels, row_scales), "int8")
    np.testing.assert_array_equal(flat, levels.ravel())
    np.testing.assert_array_equal(scales, row_scales)
    for size in (1, 17, 1009):
        made = aligned(size, np.int32)
        assert made.ctypes.data % 64 == 0 and len(made) == size and not made.any() and made.flags.writeable
