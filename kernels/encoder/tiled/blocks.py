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
from minembed.kernels.encoder.tiled.plan import LINE, SIDE
from minembed.kernels.encoder.tiled.planes import STEP_A, STEP_B, step_a, step_b
from minembed.kernels.tiles.amx import dot_bfloat16, load_tile, store_tile, stream_tile, zero
from minembed.kernels.vectors.simd import at, prefetch


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
def left(tmm, two, x, y):
    """Load a plane of a step of A: 16 rows, or two times 16."""
    stream_tile(tmm, 4, x, 64)
    if two:
        stream_tile(tmm, 5, y, 64)


@njit
def right(tmm, w, again):
    """Load a plane of a step of B, which may be needed `again`."""
    if again:
        load_tile(tmm, 6, w, 128), load_tile(tmm, 7, at(w, 32), 128)
    else:
        stream_tile(tmm, 6, w, 128), stream_tile(tmm, 7, at(w, 32), 128)


@njit
def cross(tmm, two):
    """Multiply what is loaded."""
    dot_bfloat16(tmm, 0, 4, 6), dot_bfloat16(tmm, 1, 4, 7)
    if two:
        dot_bfloat16(tmm, 2, 5, 6), dot_bfloat16(tmm, 3, 5, 7)


@njit
def multiply_step(tmm, two, x, y, w, t, work, planes):
    """One step, the t-th of a block.  Three planes are six products, each of which shares an operand with the last."""
    if len(planes) == 1:
        left(tmm, two, x, y), right(tmm, w, two), cross(tmm, two)
        meanwhile(work, t, planes)
        return
    second, third = STEP_A, 2 * STEP_A
    left(tmm, two, at(x, third), at(y, third)), right(tmm, w, True), cross(tmm, two)
    left(tmm, two, at(x, second), at(y, second)), cross(tmm, two)
    meanwhile(work, 3 * t, planes)
    right(tmm, at(w, STEP_B), True), cross(tmm, two)
    left(tmm, two, x, y), cross(tmm, two)
    meanwhile(work, 3 * t + 1, planes)
    right(tmm, at(w, 2 * STEP_B), True), cross(tmm, two)
    right(tmm, w, True), cross(tmm, two)
    meanwhile(work, 3 * t + 2, planes)


@njit
def meanwhile(work, t, planes):
    """What else is done while tiles are multiplied: rows of the block before are finished, and lines prefetched."""
    before, pace, soon, lines = work
    waiting = before[1]
    finish(before, min(waiting, t * pace), min(waiting, (t + 1) * pace), planes)
    for line in range(t * lines, (t + 1) * lines):
        prefetch(at(soon, LINE * line))


@njit
def multiply_steps(tmm, rows, a, next_a, b, steps, before, soon, length, planes):
    """Add A B to the sums in tiles, finish the block before, and prefetch `length` bytes that are needed soon."""
    times = steps * len(planes)
    work = before, (before[1] + times - 1) // times, soon, (length // LINE + times - 1) // times
    if rows > 16:
        for k in range(steps):
            x, w = at(a, k * step_a(planes)), at(b, k * step_b(planes))
            multiply_step(tmm, True, x, at(x, next_a), w, k, work, planes)
    else:
        for k in range(steps):
            x, w = at(a, k * step_a(planes)), at(b, k * step_b(planes))
            multiply_step(tmm, False, x, x, w, k, work, planes)
