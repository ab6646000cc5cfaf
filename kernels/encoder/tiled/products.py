"""All rows of an operand times one panel of 32 columns: block by block, and in parts of K.

    for each part of K, of at most DEPTH:            24 KB of the panel, which stay in the first-level cache
        for each 32 rows:                            which are streamed
            a block's sums continue those of the part before

The goal says how a panel's blocks are finished (finish.py), and the distances from these 32 rows to the next:

    goal = (kind, bias, words, floats, stride, following, words_apart, floats_apart)

The result is the last block, which waits to be finished by the next product, or by finish.
"""

from numba import njit

from minembed.kernels.encoder.tiled.blocks import multiply_block
from minembed.kernels.encoder.tiled.finish import finish
from minembed.kernels.encoder.tiled.panels import as_bfloat16, rows_of
from minembed.kernels.encoder.tiled.plan import DEPTH, SIDE, SLOT
from minembed.kernels.vectors.simd import at, prefetch

LINE = 64  # bytes of a cache line


@njit
def multiply_panel(tmm, rows, a, width, panel, k, depth, ahead, begins, ends, room, c, apart, goal, before):
    """c = (c, unless it `begins`) + A B for `depth` rows of B from k on; if it `ends`, blocks are finished by the goal.

    `ahead` points to the next panel, which is prefetched meanwhile.  Sums of 32 rows are `apart` from those of the
    next; with 0, which is for K in one part, they alternate between two places.
    """
    kind, bias, words, floats, stride, following, words_apart, floats_apart = goal
    once = rows <= SIDE and panel[2] == 2  # nothing is used again, so nothing has to stay in the cache
    parts, turn, done = 1 if once else (depth + DEPTH - 1) // DEPTH, 0, 0
    for left in range(parts, 0, -1):
        part = depth - done if left == 1 else ((depth - done) // left + SIDE - 1) // SIDE * SIDE
        soon = ahead if left == 1 else rows_of(panel, k + done + part)
        b = as_bfloat16(panel, k + done, part, room, soon)
        for m in range(0, rows, SIDE):
            count, block = min(SIDE, rows - m), m // SIDE
            sums, x = at(c, block * apart + turn * SLOT), at(a, m * width + done * 16)
            if rows > SIDE and panel[2] == 2:  # few rows wait only for weights, which the CPU prefetches itself
                fetch(soon, part * SIDE * panel[2], m, rows)
            multiply_block(tmm, count, x, 16 * width, b, part // SIDE, begins and done == 0, sums, before)
            waits = count if ends and left == 1 else 0
            before = (
                kind, waits, sums, bias, at(words, block * words_apart), at(floats, block * floats_apart), stride,
                following,
            )  # fmt: skip
            if apart == 0:
                turn = 1 - turn
        done += part
    return before


@njit
def fetch(panel, length, m, rows):
    """Prefetch the share of the next `length` bytes that belongs to the 32 rows from m on."""
    blocks = (rows + SIDE - 1) // SIDE
    part = (length // LINE + blocks - 1) // blocks * LINE
    begin = m // SIDE * part
    for place in range(begin, min(length, begin + part), LINE):
        prefetch(at(panel, place))


@njit
def apart(depth):
    """The distance between the sums of 32 rows and the next: 0 if K is one part."""
    return 0 if depth <= DEPTH else SLOT


@njit
def nothing(c, vectors, words, floats):
    """A block without rows: nothing waits."""
    return 0, 0, c, vectors, words, floats, 0, 0


@njit
def finish_last(before):
    """Finish the block that waits."""
    finish(before, 0, before[1])
