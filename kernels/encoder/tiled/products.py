"""All rows of an operand times one panel of 32 columns: block by block, and of K some at a time.

    for each part of K, of at most DEPTH:            24 KB of the panel, which stay in the first-level cache
        for each 32 rows:                            which stream by
            a block's sums go on from where the part before left them

The goal says what becomes of a panel's blocks, as finish.py has it, and how far the next 32 rows are from these:

    goal = (kind, bias, words, floats, stride, following, words_apart, floats_apart)

What is returned is the last block, which waits to be finished by whatever product comes next, or by finish.
"""

from numba import njit

from minembed.kernels.encoder.tiled.blocks import multiply_block
from minembed.kernels.encoder.tiled.finish import finish
from minembed.kernels.encoder.tiled.panels import as_bfloat16, rows_of
from minembed.kernels.encoder.tiled.plan import DEPTH, SIDE, SLOT
from minembed.kernels.vectors.simd import at, prefetch

LINE = 64  # bytes of a line of the cache


@njit
def multiply_panel(tmm, rows, a, width, panel, k, depth, ahead, begins, ends, room, c, apart, goal, before):
    """c = (c, unless it `begins`) + A B for `depth` rows of B from k on; if it `ends`, the goal is what waits then.

    `ahead` is where the panel is that comes next, which is asked for meanwhile.  Sums lie `apart` from 32 rows to the
    next; with 0 they take turns in two places, where K is one part.
    """
    kind, bias, words, floats, stride, following, words_apart, floats_apart = goal
    parts, turn, done = (depth + DEPTH - 1) // DEPTH, 0, 0
    for left in range(parts, 0, -1):
        part = depth - done if left == 1 else ((depth - done) // left + SIDE - 1) // SIDE * SIDE
        soon = ahead if left == 1 else rows_of(panel, k + done + part)
        b = as_bfloat16(panel, k + done, part, room, soon)
        for m in range(0, rows, SIDE):
            count, block = min(SIDE, rows - m), m // SIDE
            sums, x = at(c, block * apart + turn * SLOT), at(a, m * width + done * 16)
            if rows > SIDE and panel[2] == 2:  # few rows wait for weights alone, which the CPU sees stream by
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
    """Ask for the part of what is needed next, of `length` bytes, that goes with the 32 rows from m on."""
    blocks = (rows + SIDE - 1) // SIDE
    part = (length // LINE + blocks - 1) // blocks * LINE
    begin = m // SIDE * part
    for place in range(begin, min(length, begin + part), LINE):
        prefetch(at(panel, place))


@njit
def apart(depth):
    """How far apart the sums of 32 rows and the next have to be: nothing, if K is one part."""
    return 0 if depth <= DEPTH else SLOT


@njit
def nothing(c, vectors, words, floats):
    """No block waits."""
    return 0, 0, c, vectors, words, floats, 0, 0


@njit
def finish_last(before):
    """Finish what waits."""
    finish(before, 0, before[1])
