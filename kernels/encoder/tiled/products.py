"""All rows of an operand times one panel of 32 columns: block by block, and in parts of K.

    for each part of K, of at most depth_of(planes):    24 KB of the panel, which stay in the first-level cache
        for each 32 rows:                               which are streamed
            a block's sums continue those of the part before

Up to 32 rows are one block, whose sums stay in tiles until K ends.

The goal says how a panel's blocks are finished (finish.py), and the distances from these 32 rows to the next:

    goal = (kind, bias, words, floats, stride, following, words_apart, floats_apart)

The result is the last block, which waits to be finished by the next product, or by finish.
"""

from numba import njit

from minembed.kernels.encoder.tiled.blocks import begin_block, end_block, multiply_steps
from minembed.kernels.encoder.tiled.finish import finish
from minembed.kernels.encoder.tiled.panels import as_operand, rows_of
from minembed.kernels.encoder.tiled.plan import LINE, SIDE, SLOT
from minembed.kernels.encoder.tiled.planes import depth_of
from minembed.kernels.vectors.simd import at, prefetch


@njit
def multiply_panel(tmm, rows, a, width, panel, k, depth, ahead, begins, ends, room, c, apart, goal, before, planes):
    """c = (c, unless it `begins`) + A B for `depth` rows of B from k on; if it `ends`, blocks are finished by the goal.

    `ahead` points to the next panel, which is prefetched meanwhile, a share with each block.  Sums of 32 rows are
    `apart` from those of the next; with 0, which is for K in one part, they alternate between two places.
    """
    kind, bias, words, floats, stride, following, words_apart, floats_apart = goal
    deepest, few = depth_of(planes), rows <= SIDE
    once = few and panel[2] == 2  # nothing is used again, so nothing has to stay in the cache
    parts, turn, done = 1 if once else (depth + deepest - 1) // deepest, 0, 0
    next_a = 16 * width * len(planes)
    for left in range(parts, 0, -1):
        part = depth - done if left == 1 else ((depth - done) // left + SIDE - 1) // SIDE * SIDE
        soon = ahead if left == 1 else rows_of(panel, k + done + part)
        length = part * SIDE * panel[2]
        b = as_operand(panel, k + done, part, room, soon, planes)
        half = length // 2 if len(planes) > 1 else 0  # which as_operand has prefetched
        later, rest = at(soon, half), length - half if panel[2] != 1 else 0
        for m in range(0, rows, SIDE):
            count, block = min(SIDE, rows - m), m // SIDE
            sums, x = at(c, block * apart + turn * SLOT), at(a, (m * width + done * 16) * len(planes))
            start, share = share_of(rest, m, rows)
            if len(planes) == 1 and not few:  # for few rows, the CPU prefetches by itself
                fetch(at(later, start), share)
            if not few or done == 0:
                begin_block(tmm, begins and done == 0, count, sums)
            meanwhile = share if len(planes) > 1 else 0
            multiply_steps(tmm, count, x, next_a, b, part // SIDE, before, at(later, start), meanwhile, planes)
            if not few or left == 1:
                end_block(tmm, count, sums)
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
def share_of(length, m, rows):
    """The share of `length` bytes that is prefetched with the 32 rows from m on: where it begins, and its length."""
    blocks = (rows + SIDE - 1) // SIDE
    share = (length // LINE + blocks - 1) // blocks * LINE
    start = m // SIDE * share
    return start, max(0, min(length - start, share))


@njit
def fetch(pointer, length):
    """Prefetch this many bytes."""
    for place in range(0, length, LINE):
        prefetch(at(pointer, place))


@njit
def apart(depth, planes):
    """The distance between the sums of 32 rows and the next: 0 if K is one part."""
    return 0 if depth <= depth_of(planes) else SLOT


@njit
def nothing(c, vectors, words, floats):
    """A block without rows: nothing waits."""
    return 0, 0, c, vectors, words, floats, 0, 0


@njit
def finish_last(before, planes):
    """Finish the block that waits."""
    finish(before, 0, before[1], planes)
