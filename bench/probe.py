"""The peak of one core: multiply-adds per second on data that stays in the first-level cache.

The register tile of each precision runs again and again on one panel; its best number of rows counts. Two operations
(a multiplication and an addition) a multiply-add, so billions a second: GF/s, or Gop/s for whole numbers.
"""

import time
from collections.abc import Callable

import numpy as np
from numba import njit

from minembed.kernels.tiles.registers import tile_bfloat16, tile_bytes, tile_floats
from minembed.kernels.tiles.shapes import BFLOAT16_ROWS, BYTE_ROWS, PANEL, TILE_ROWS
from minembed.kernels.vectors.simd import address

DEPTHS = {"float32": 192, "bfloat16": 384, "int8": 768}  # of the panel: 24 kB, half the first-level cache
SECONDS = 0.02  # of one timing


@njit(nogil=True)
def repeat_floats(repeats, rows, depth, a, b, zeros, c, quant):
    for _ in range(repeats):
        tile_floats(rows, address(a, 0), depth, address(b, 0), PANEL, depth, address(zeros, 0), address(c, 0), PANEL)


@njit(nogil=True)
def repeat_bfloat16(repeats, rows, depth, a, b, zeros, c, quant):
    for _ in range(repeats):
        tile_bfloat16(
            rows, address(a, 0), depth, address(b, 0), 2 * PANEL, depth // 2, address(zeros, 0), address(c, 0), PANEL
        )


@njit(nogil=True)
def repeat_bytes(repeats, rows, depth, a, b, zeros, c, quant):
    scale, zero = quant
    for _ in range(repeats):
        tile_bytes(
            rows, address(a, 0), depth, address(b, 0), depth // 4, True, address(zeros, 0), address(c, 0), PANEL,
            address(scale, 0), address(zero, 0), 1, address(scale, 0), address(zero, 0),
        )  # fmt: skip


LOOPS = {
    "float32": (repeat_floats, TILE_ROWS, np.float32, np.float32),
    "bfloat16": (repeat_bfloat16, BFLOAT16_ROWS, np.uint16, np.uint16),
    "int8": (repeat_bytes, BYTE_ROWS, np.uint8, np.int8),
}


def best_seconds(function: Callable, *arguments, times: int = 7) -> float:
    """The best of several timings, after one that compiles and warms up."""
    function(*arguments)
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        function(*arguments)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def numbers(kind: type, count: int) -> np.ndarray:
    """Random numbers, as real ones would be: constants cost less power, and may run at a higher clock."""
    rng = np.random.default_rng(count)
    if kind in (np.uint8, np.int8):
        return rng.integers(0, 256, count, np.uint8).view(kind)
    floats = rng.standard_normal(count, np.float32)
    return (floats.view(np.uint32) >> 16).astype(np.uint16) if kind is np.uint16 else floats


def rates(dtype: str) -> dict[int, float]:
    """Billions of operations a second on one core, by the rows of the tile."""
    (loop, most, kind_a, kind_b), depth = LOOPS[dtype], DEPTHS[dtype]
    a, b = numbers(kind_a, depth * (TILE_ROWS + 2)), numbers(kind_b, depth * PANEL)
    zeros, c = np.zeros(2 * PANEL, np.float32), np.zeros((TILE_ROWS + 2) * PANEL, np.float32)
    quant = np.ones(2 * PANEL, np.float32), np.zeros(2 * PANEL, np.int32)
    found = {}
    for rows in range(1, most + 1):
        once = 2 * rows * PANEL * depth
        repeats = max(1, round(SECONDS * 1e11 / once))
        found[rows] = round(repeats * once / best_seconds(loop, repeats, rows, depth, a, b, zeros, c, quant) / 1e9, 1)
    return found


def peaks() -> dict[str, dict]:
    """The peak of each precision, and its rates by rows."""
    found = {dtype: rates(dtype) for dtype in DEPTHS}
    return {dtype: {"peak": max(by_rows.values()), "by_rows": by_rows} for dtype, by_rows in found.items()}
