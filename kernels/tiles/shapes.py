"""Sizes in which packed weights, buffers and compiled code are counted, on this CPU."""

from typing import Any

import numpy as np

from minembed.kernels.vectors.target import TARGET

TILE_ROWS, TILE_VECTORS = TARGET.tile
BYTE_ROWS, BFLOAT16_ROWS = TARGET.byte_rows, TARGET.bfloat16_rows  # never more than TILE_ROWS
PANEL = 16 * TILE_VECTORS  # columns
TILE, DEEP = 16, 32  # of tile registers (AMX): rows; bfloat16 in one of its rows


def configuration() -> Any:
    """What begins the use of tile registers: palette 1, then eight tiles of 64 bytes a row (at byte 16), and 16 rows
    (at byte 48).

    >>> configuration().tolist()[:2], configuration().view(np.uint16).tolist()[8:10]
    ([1, 0], [64, 64])
    """
    config = np.zeros(64, np.uint8)
    config[0], config[16:32].view(np.uint16)[:], config[48:56] = 1, 64, TILE
    return config


CONFIG = configuration()
