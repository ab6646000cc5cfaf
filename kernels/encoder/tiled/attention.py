"""Attention on tiles: one head of one text, as kernels/encoder/attention.py does it on vectors.

    q, k, v     (n, HEAD) bfloat16 each, row by row: 16 rows of 32 columns are a tile of A without rearranging
    keys        transposed: [32 keys][step][16 pairs of columns][32 keys][2]
    values      paired: [32 columns][n / 2][32 columns][2]

For every 32 queries: scores = q keys, as float32 rows; softmax, as bfloat16 rows, which are A of context = weights
values.
Values beyond a text's last key are multiplied by 0, so they must be finite: they are set to zero.
"""

from numba import njit

from minembed.kernels.encoder.attention import place_rows, turn_16x16
from minembed.kernels.encoder.elementwise import ONE, ZERO
from minembed.kernels.encoder.tiled.blocks import BLOCK
from minembed.kernels.encoder.tiled.plan import SIDE
from minembed.kernels.encoder.tiled.softmax import softmax_rows
from minembed.kernels.encoder.tiled.vectors import pair_last_row, pair_rows
from minembed.kernels.tiles.amx import dot_bfloat16, load_tile, store_tile, zero
from minembed.kernels.vectors.simd import as_floats, at, load, splat, store_bfloat16


@njit
def turn_keys(k, n, head, keys):
    """Rearrange keys by pairs of columns, 16 keys at a time."""
    steps = head // SIDE
    for j in range(0, n, 16):
        for s in range(steps):
            to = at(keys, ((j // SIDE) * steps + s) * BLOCK + 2 * (j % SIDE))
            turn_16x16(as_floats(at(k, j * head + s * SIDE)), head // 2, as_floats(to), SIDE)


@njit
def pair_values(v, n, head, padded, values):
    """Rearrange values by pairs of rows, with zeros beyond the last."""
    for p in range(head // SIDE):
        panel, row = at(values, p * padded * SIDE), at(v, p * SIDE)
        for j in range(0, n - 1, 2):
            pair_rows(at(row, j * head), at(row, (j + 1) * head), at(panel, j * SIDE))
        if n % 2:
            pair_last_row(at(row, (n - 1) * head), at(panel, (n - 1) * SIDE))
        for j in range((n + 1) // 2 * 2, padded, 2):
            for c in range(0, 2 * SIDE, 16):
                store_bfloat16(at(panel, j * SIDE + c), splat(ZERO))


@njit
def score(tmm, q, head, two, keys, first, last, scores, stride):
    """scores = q keys for up to 32 queries and the keys first...last-1, in whole blocks."""
    steps = head // SIDE
    for j in range(first, last, SIDE):
        zero(tmm, 0), zero(tmm, 1), zero(tmm, 2), zero(tmm, 3)
        for s in range(steps):
            w = at(keys, ((j // SIDE) * steps + s) * BLOCK)
            load_tile(tmm, 6, w, 128), load_tile(tmm, 7, at(w, 32), 128)
            load_tile(tmm, 4, at(q, s * SIDE), 2 * head)
            dot_bfloat16(tmm, 0, 4, 6), dot_bfloat16(tmm, 1, 4, 7)
            if two:
                load_tile(tmm, 5, at(q, 16 * head + s * SIDE), 2 * head)
                dot_bfloat16(tmm, 2, 5, 6), dot_bfloat16(tmm, 3, 5, 7)
        c = at(scores, j - first)
        store_tile(tmm, 0, c, 4 * stride), store_tile(tmm, 1, at(c, 16), 4 * stride)
        if two:
            store_tile(tmm, 2, at(c, 16 * stride), 4 * stride), store_tile(tmm, 3, at(c, 16 * stride + 16), 4 * stride)


@njit
def mix(tmm, weights, stride, two, values, steps, c):
    """c = weights values for up to 32 queries and 32 columns."""
    zero(tmm, 0), zero(tmm, 1), zero(tmm, 2), zero(tmm, 3)
    for s in range(steps):
        w, x = at(values, s * BLOCK), at(weights, s * SIDE)
        load_tile(tmm, 4, x, 2 * stride), load_tile(tmm, 6, w, 128), load_tile(tmm, 7, at(w, 32), 128)
        dot_bfloat16(tmm, 0, 4, 6), dot_bfloat16(tmm, 1, 4, 7)
        if two:
            load_tile(tmm, 5, at(x, 16 * stride), 2 * stride)
            dot_bfloat16(tmm, 2, 5, 6), dot_bfloat16(tmm, 3, 5, 7)
    store_tile(tmm, 0, c, 4 * SIDE), store_tile(tmm, 1, at(c, 16), 4 * SIDE)
    if two:
        store_tile(tmm, 2, at(c, 16 * SIDE), 4 * SIDE), store_tile(tmm, 3, at(c, 16 * SIDE + 16), 4 * SIDE)


@njit
def attend(tmm, projected, n, head, context, row, wide, pattern, biased, room):
    """One head of a text; context is an operand of `wide` columns; in it the text begins at `row`, the head at 0."""
    q, k, v = projected
    keys, values, scores, weights, sums, c = room
    padded = (n + SIDE - 1) // SIDE * SIDE
    stride, stride_w = padded + 16, padded + SIDE  # so that rows do not map to the same sets of the cache
    turn_keys(k, n, head, keys)
    pair_values(v, n, head, padded, values)
    _, back, ahead = pattern
    for i in range(0, n, SIDE):
        rows = min(SIDE, n - i)
        first, last = max(0, i - back) // SIDE * SIDE, min(n, i + rows + ahead)
        seen, two = last - first, rows > 16
        score(tmm, at(q, i * head), head, two, keys, first, last, scores, stride)
        place_rows(scores, stride, i, rows, first, last, pattern, biased)
        up = (seen + SIDE - 1) // SIDE * SIDE
        softmax_rows(scores, stride, rows, seen, up, weights, stride_w, sums)
        for p in range(head // SIDE):
            mix(tmm, weights, stride_w, two, at(values, (p * padded + first) * SIDE), up // SIDE, c)
            for r in range(rows):
                factor, place = splat(ONE / sums[r]), row + i + r
                to = at(context, place // 16 * 16 * wide + p * 512 + place % 16 * SIDE)
                store_bfloat16(to, load(at(c, r * SIDE)) * factor)
                store_bfloat16(at(to, 16), load(at(c, r * SIDE + 16)) * factor)
