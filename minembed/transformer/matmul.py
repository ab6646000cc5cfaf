"""A matrix product whose rows have the same bits for any number of rows.

BLAS does not guarantee that.  OpenBLAS uses other code, with other last bits,

- for a product with few multiplications, and for a single row;
- for columns that do not fill its tiles;
- in its Haswell and Zen kernels, for the last six of every twelve rows.

`matmul` always uses the same code: it pads rows and columns, and if the rows of a tile differ, it uses only those that
are alike.  `minembed doctor` checks a machine.
"""

from functools import cache

import numpy as np

from minembed.types import Array

SMALL_PRODUCT = 1_000_000  # multiplications; from here on OpenBLAS does not use its code for small products
MIN_ROWS = 4
TILE_COLUMNS = 16
LONGEST_TILE = 24  # rows


def matmul(x: Array, weight: Array) -> Array:  # (T, in), (in, out) -> (T, out)
    """x @ weight, where the bits of a row do not depend on other rows, on their number or on its position.

    >>> x, weight = np.random.default_rng(0).standard_normal((100, 8)), np.ones((8, 5))
    >>> bool((matmul(x, weight)[70:71] == matmul(x[70:71], weight)).all())
    True
    """
    rows, out = max(MIN_ROWS, SMALL_PRODUCT // weight.size + 1), weight.shape[1]
    if len(x) < rows:
        return matmul(np.resize(x, (rows, x.shape[1])), weight)[: len(x)]
    if odd := out % TILE_COLUMNS:
        return _by_tiles(x, np.pad(weight, ((0, 0), (0, TILE_COLUMNS - odd))))[:, :out].copy()
    return _by_tiles(x, weight)


def _by_tiles(x: Array, weight: Array) -> Array:  # (T, in), (in, out) -> (T, out)
    """The product, from the rows of each tile that give the same bits."""
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


def scattered(size: int, start: int = 0) -> Array:
    """Numbers without a pattern between -1/2 and 1/2; importing NumPy's generators for some would take 6 ms.

    >>> scattered(3).round(2).tolist()
    [-0.5, 0.42, -0.44]
    """
    return (np.sin(np.arange(size) * 12.9898 + start) * 43758.5453) % 1 - 0.5


@cache
def _row_slots(dtype: np.dtype) -> tuple[int, int]:
    """How many rows of each tile of BLAS get the same bits, and how many rows a tile has; 1, 1 where all are alike.

    Of the twelve rows of a Haswell or Zen kernel only the first six are used, at half the speed.
    """
    row, weight = (
        scattered(384).astype(dtype)[None],
        scattered(384 * 4 * TILE_COLUMNS, 1).astype(dtype).reshape(384, -1),
    )
    y = np.repeat(row, 4 * LONGEST_TILE, axis=0) @ weight
    alike = (y == y[0]).all(axis=1)
    if alike.all():
        return 1, 1
    for tile in range(2, LONGEST_TILE + 1):
        if len(alike) % tile == 0 and (alike.reshape(-1, tile) == alike[:tile]).all():
            return int(np.argmin(alike[:tile])), tile
    return 1, 1  # no pattern found: `minembed doctor` shows it
