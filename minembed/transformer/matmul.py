"""A matrix product whose rows have the same bits however many rows there are."""

from functools import cache

import numpy as np

from minembed.types import Array

# BLAS takes other paths, with other last bits, for products of few multiplications, for a single row, depending on the
# number of rows, for columns that do not fill its tiles, in some kernels for half the rows of a tile (`_row_slots`).
# Found on OpenBLAS; `minembed doctor` checks a machine.
SMALL_PRODUCT = 1_000_000
MIN_ROWS = 4
TILE_COLUMNS = 16
LONGEST_TILE = 24  # rows


def _matmul(x: Array, weight: Array) -> Array:  # (T, in), (in, out) -> (T, out)
    """x @ weight, where the bits of a row do not depend on its place."""
    slots, tile = _row_slots(weight.dtype)
    if slots == tile:
        return x @ weight
    tiles = -(-len(x) // slots)
    spread = np.zeros((tiles, tile, x.shape[1]), x.dtype)
    full = len(x) // slots
    spread[:full, :slots] = x[: full * slots].reshape(full, slots, x.shape[1])
    spread[full:, : len(x) - full * slots] = x[full * slots :]
    y = (spread.reshape(tiles * tile, -1) @ weight).reshape(tiles, tile, -1)
    return y[:, :slots].reshape(tiles * slots, -1)[: len(x)]


@cache
def _row_slots(dtype: np.dtype) -> tuple[int, int]:
    """How many rows of each tile of BLAS get the same bits, and how many rows a tile has.

    OpenBLAS's Haswell and Zen kernels sum the last six of twelve rows in another order: there only the first six are
    used, at half the speed.  Elsewhere all rows are alike.
    """
    rng = np.random.default_rng(0)
    row, weight = (rng.standard_normal(shape).astype(dtype) for shape in ((1, 384), (384, 4 * TILE_COLUMNS)))
    y = np.repeat(row, 4 * LONGEST_TILE, axis=0) @ weight
    alike = (y == y[0]).all(axis=1)
    if alike.all():
        return 1, 1
    for tile in range(2, LONGEST_TILE + 1):
        if len(alike) % tile == 0 and (alike.reshape(-1, tile) == alike[:tile]).all():
            return int(np.argmin(alike[:tile])), tile
    return 1, 1  # no order in it: `minembed doctor` tells
