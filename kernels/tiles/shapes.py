"""The tile sizes of packed weights, buffers and compiled code on this CPU."""

from typing import Any

import numpy as np

from minembed.kernels.vectors.target import TARGET

TILE_ROWS, TILE_VECTORS = TARGET.tile
BYTE_ROWS, BFLOAT16_ROWS = TARGET.byte_rows, TARGET.bfloat16_rows  # at most TILE_ROWS
PANEL = 16 * TILE_VECTORS  # columns
TILE, DEEP = 16, 32  # of tile registers (AMX): rows; bfloat16 in one of its rows


def configuration() -> Any:
    """The configuration of the tile registers: palette 1, then eight tiles with 64 bytes per row (at byte 16), 16 rows
    (at byte 48).

    >>> configuration().tolist()[:2], configuration().view(np.uint16).tolist()[8:10]
    ([1, 0], [64, 64])
    """
    config = np.zeros(64, np.uint8)
    config[0], config[16:32].view(np.uint16)[:], config[48:56] = 1, 64, TILE
    return config


CONFIG = configuration()
