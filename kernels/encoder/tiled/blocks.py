"""One block of a product: 32 rows times 32 columns in four tiles, while the block before it is finished.

    for each step of 32 k:   C00 += A0 B0    C01 += A0 B1    C10 += A1 B0    C11 += A1 B1      4 loads, 4 products

    A   rows of activations in bfloat16, [row / 16][step][16][32]: a step of 16 rows is contiguous
    B   a panel of 32 columns, [K / 2][32][2]: a step is two tiles side by side, 128 bytes from row to row
    C   32 x 32 float32

The tile unit and the vector unit can work in parallel: so a block's results wait, as `before`, until the next block
runs, and are finished (bias, activation, rounding, sums) a few rows at each of its steps.

Rows beyond the last are multiplied, so their memory must exist, but never finished: a row's bits do not depend on the
number of rows.  Up to 16 rows take one row of tiles.
"""

from numba import njit

from minembed.kernels.encoder.tiled.finish import finish
from minembed.kernels.encoder.tiled.plan import SIDE
from minembed.kernels.tiles.amx import dot_bfloat16, load_tile, store_tile, stream_tile, zero
from minembed.kernels.vectors.simd import at

BLOCK = SIDE * SIDE
STEP_A, STEP_B = 16 * 32, 32 * 32  # elements from a step of 16 rows of A to the next, and from one of a panel


@njit
def begin_block(tmm, first, rows, c):
    """Initialise the sums: with 0, or, for later parts of K, with the sums of the part before."""
    if first:
        zero(tmm, 0), zero(tmm, 1), zero(tmm, 2), zero(tmm, 3)
        return
    stream_tile(tmm, 0, c, 4 * SIDE), stream_tile(tmm, 1, at(c, 16), 4 * SIDE)
    if rows > 16:
        stream_tile(tmm, 2, at(c, 16 * SIDE), 4 * SIDE), stream_tile(tmm, 3, at(c, 16 * SIDE + 16), 4 * SIDE)


@njit
def end_block(tmm, rows, c):
    """Write the sums."""
    store_tile(tmm, 0, c, 4 * SIDE), store_tile(tmm, 1, at(c, 16), 4 * SIDE)
    if rows > 16:
        store_tile(tmm, 2, at(c, 16 * SIDE), 4 * SIDE), store_tile(tmm, 3, at(c, 16 * SIDE + 16), 4 * SIDE)


@njit
def multiply_block(tmm, rows, a, next_a, b, steps, first, c, before):
    """c = (c, unless it is the first part of K) + A B, and finish the block before."""
    begin_block(tmm, first, rows, c)
    waiting, done = before[1], 0
    pace = (waiting + steps - 1) // steps
    if rows > 16:
        for k in range(steps):
            x, w = at(a, k * STEP_A), at(b, k * STEP_B)
            stream_tile(tmm, 4, x, 64), load_tile(tmm, 6, w, 128), load_tile(tmm, 7, at(w, 32), 128)
            dot_bfloat16(tmm, 0, 4, 6), dot_bfloat16(tmm, 1, 4, 7)
            stream_tile(tmm, 5, at(x, next_a), 64)
            dot_bfloat16(tmm, 2, 5, 6), dot_bfloat16(tmm, 3, 5, 7)
            until = min(waiting, done + pace)
            finish(before, done, until)
            done = until
    else:
        for k in range(steps):
            x, w = at(a, k * STEP_A), at(b, k * STEP_B)
            stream_tile(tmm, 4, x, 64), load_tile(tmm, 6, w, 128), load_tile(tmm, 7, at(w, 32), 128)
            dot_bfloat16(tmm, 0, 4, 6), dot_bfloat16(tmm, 1, 4, 7)
            until = min(waiting, done + pace)  # all at once, it would keep the next loads from beginning
            finish(before, done, until)
            done = until
    end_block(tmm, rows, c)
