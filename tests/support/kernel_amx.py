"""The operations on tiles of both kinds, the CPU's and the emulated ones, side by side in one process, on arrays."""

from types import SimpleNamespace

import numpy as np
import pytest
from numba import njit, types

from minembed.kernels.tiles import amx, shapes
from minembed.kernels.vectors.simd import address
from minembed.transformer.quantization import to_bfloat16

needs_tiles = pytest.mark.skipif(not amx.HARDWARE, reason="this CPU has no tiles, or this process may not use them")
KINDS = [pytest.param("hardware", marks=needs_tiles), "emulated"]
VALUES = {  # the types of what an operation takes beside tiles
    "begin": (None,),
    "load_tile": (None, types.int64),
    "stream_tile": (None, types.int64),
    "store_tile": (None, types.int64),
}
ROOM = 8 * 1024  # bytes that eight emulated tiles take


def operations(kind):
    """All operations of a kind, as Numba's functions."""
    emitted = amx.HARDWARE_OPERATIONS if kind == "hardware" else amx.EMULATED_OPERATIONS
    made = {name: amx.operation(emit, name, *VALUES.get(name, ())) for name, emit in emitted.items()}
    return SimpleNamespace(**made)


def functions(kind):
    """Compiled functions on arrays, whose products and copies are made by one kind of operations."""
    ops = operations(kind)
    begin, end, zero, load_tile, stream_tile = ops.begin, ops.end, ops.zero, ops.load_tile, ops.stream_tile
    store_tile, dot_bfloat16, config = ops.store_tile, ops.dot_bfloat16, shapes.CONFIG

    @njit
    def copy_run(config, room, x, stride, streamed, out, stride_out):
        tmm = address(room, 0)
        begin(tmm, address(config, 0))
        if streamed:
            stream_tile(tmm, 0, address(x, 0), stride), stream_tile(tmm, 7, address(x, 1), stride)
        else:
            load_tile(tmm, 0, address(x, 0), stride), load_tile(tmm, 7, address(x, 1), stride)
        zero(tmm, 3)
        store_tile(tmm, 0, address(out, 0), stride_out), store_tile(tmm, 3, address(out, 16), stride_out)
        store_tile(tmm, 7, address(out, 32), stride_out)
        end(tmm)

    @njit
    def dot_run(config, room, a, b, c, count):
        tmm = address(room, 0)
        begin(tmm, address(config, 0))
        for i in range(count):
            load_tile(tmm, 2, address(a, i * 512), 64), load_tile(tmm, 5, address(b, i * 512), 64)
            load_tile(tmm, 1, address(c, i * 256), 64)
            dot_bfloat16(tmm, 1, 2, 5)
            store_tile(tmm, 1, address(c, i * 256), 64)
        end(tmm)

    def copy(x, stride, streamed, stride_out):
        """Tiles 0 and 7 from x[0] and x[1] on, tile 3 of zeros; written side by side into rows of `stride_out`."""
        out = np.full((16, stride_out), -7, np.int32)
        copy_run(config, np.zeros(ROOM, np.uint8), x, 4 * stride, streamed, out.reshape(-1), 4 * stride_out)
        return out

    def dot(a, b, c):
        """c + a b of many tiles: (n, 16, 32) and (n, 32, 16) bfloat16 as words, (n, 16, 16) float32."""
        sums = np.array(c, np.float32).reshape(-1)
        pairs = b.reshape(-1, 16, 2, 16).swapaxes(2, 3)  # row k holds b[2k, j], b[2k + 1, j] of each column
        words = (np.ascontiguousarray(x).reshape(-1) for x in (a, pairs))
        dot_run(config, np.zeros(ROOM, np.uint8), *words, sums, len(a))
        return sums.reshape(c.shape)

    return SimpleNamespace(copy=copy, dot=dot)


def words(x):
    """Numbers as bfloat16, in words."""
    return to_bfloat16(np.asarray(x, np.float32))
