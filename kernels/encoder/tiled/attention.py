"""Attention on tiles: one head of one text, as kernels/encoder/attention.py does it on vectors.

    q, k, v     rows of HEAD numbers, one plane after the other: 16 rows of 32 columns are a tile of A as they are
    keys        transposed: [32 keys][step][plane][16 pairs of columns][32 keys][2]
    values      paired: [32 columns][step][plane][16 pairs of rows][32 columns][2]

For every 32 queries: scores = q keys, as float32 rows; softmax, as rows of planes, which are A of context = weights
values.
Values beyond a text's last key are multiplied by 0, so they must be finite: they are set to zero.
"""

from numba import njit

from minembed.kernels.encoder.attention import place_rows, turn_16x16
from minembed.kernels.encoder.elementwise import ONE, ZERO
from minembed.kernels.encoder.tiled.blocks import cross, right
from minembed.kernels.encoder.tiled.norms import place_in
from minembed.kernels.encoder.tiled.plan import SIDE
from minembed.kernels.encoder.tiled.planes import STEP_A, STEP_B, step_a, step_b, store_planes
from minembed.kernels.encoder.tiled.softmax import softmax_rows
from minembed.kernels.encoder.tiled.vectors import pair_last_row, pair_rows
from minembed.kernels.tiles.amx import load_tile, store_tile, zero
from minembed.kernels.vectors.simd import as_floats, at, load, splat, store_bfloat16


@njit
def turn_keys(k, n, head, keys, planes):
    """Rearrange keys by pairs of columns, 16 keys at a time."""
    steps, stride = head // SIDE, head * len(planes)
    for j in range(0, n, 16):
        for s in range(steps):
            to = at(keys, ((j // SIDE) * steps + s) * step_b(planes) + 2 * (j % SIDE))
            for plane in planes:
                source = as_floats(at(k, j * stride + plane * head + s * SIDE))
                turn_16x16(source, stride // 2, as_floats(at(to, plane * STEP_B)), SIDE)


@njit
def pair_values(v, n, head, padded, values, planes):
    """Rearrange values by pairs of rows, with zeros beyond the last."""
    stride = head * len(planes)
    for p in range(head // SIDE):
        for plane in planes:
            panel, row = at(values, p * padded * SIDE * len(planes) + plane * STEP_B), at(v, plane * head + p * SIDE)
            for j in range(0, n - 1, 2):
                pair_rows(at(row, j * stride), at(row, (j + 1) * stride), place_of(panel, j, planes))
            if n % 2:
                pair_last_row(at(row, (n - 1) * stride), place_of(panel, n - 1, planes))
            for j in range((n + 1) // 2 * 2, padded, 2):
                for c in range(0, 2 * SIDE, 16):
                    store_bfloat16(at(place_of(panel, j, planes), c), splat(ZERO))


@njit
def place_of(panel, j, planes):
    """The pointer to rows j and j + 1 of a plane of a panel of values; j is even."""
    return at(panel, j // SIDE * step_b(planes) + j % SIDE * SIDE)


@njit
def multiply(tmm, two, x, stride, apart, w, planes):
    """A step: 16 rows of x, or two times 16, `stride` elements from each other, with the planes `apart`."""
    for plane in planes:
        load_tile(tmm, 4, at(x, plane * apart), 2 * stride)
        if two:
            load_tile(tmm, 5, at(x, 16 * stride + plane * apart), 2 * stride)
        for other in range(len(planes) - plane):
            right(tmm, at(w, other * STEP_B), True), cross(tmm, two)


@njit
def clear(tmm):
    """Set the sums to 0."""
    zero(tmm, 0), zero(tmm, 1), zero(tmm, 2), zero(tmm, 3)


@njit
def write(tmm, two, c, stride):
    """Write the sums."""
    store_tile(tmm, 0, c, 4 * stride), store_tile(tmm, 1, at(c, 16), 4 * stride)
    if two:
        store_tile(tmm, 2, at(c, 16 * stride), 4 * stride), store_tile(tmm, 3, at(c, 16 * stride + 16), 4 * stride)


@njit
def score(tmm, q, head, two, keys, first, last, scores, stride, planes):
    """scores = q keys for up to 32 queries and the keys first...last-1, in whole blocks."""
    steps = head // SIDE
    for j in range(first, last, SIDE):
        clear(tmm)
        for s in range(steps):
            w = at(keys, ((j // SIDE) * steps + s) * step_b(planes))
            multiply(tmm, two, at(q, s * SIDE), head * len(planes), head, w, planes)
        write(tmm, two, at(scores, j - first), stride)


@njit
def mix(tmm, weights, stride, two, values, steps, c, planes):
    """c = weights values for up to 32 queries and 32 columns."""
    clear(tmm)
    for s in range(steps):
        w = at(values, s * step_b(planes))
        multiply(tmm, two, at(weights, s * SIDE), stride * len(planes), stride, w, planes)
    write(tmm, two, c, SIDE)


@njit
def attend(tmm, projected, n, head, context, row, wide, pattern, biased, room, planes):
    """One head of a text; context is an operand of `wide` columns; in it the text begins at `row`, the head at 0."""
    q, k, v = projected
    keys, values, scores, weights, sums, c = room
    padded = (n + SIDE - 1) // SIDE * SIDE
    stride, stride_w = padded + 16, padded + SIDE  # so that rows do not map to the same sets of the cache
    turn_keys(k, n, head, keys, planes)
    pair_values(v, n, head, padded, values, planes)
    _, back, ahead = pattern
    for i in range(0, n, SIDE):
        rows = min(SIDE, n - i)
        first, last = max(0, i - back) // SIDE * SIDE, min(n, i + rows + ahead)
        seen, two = last - first, rows > 16
        score(tmm, at(q, i * head * len(planes)), head, two, keys, first, last, scores, stride, planes)
        place_rows(scores, stride, i, rows, first, last, pattern, biased)
        up = (seen + SIDE - 1) // SIDE * SIDE
        softmax_rows(scores, stride, rows, seen, up, weights, stride_w, sums, planes)
        for p in range(head // SIDE):
            v_ = at(values, (p * padded + first) * SIDE * len(planes))
            mix(tmm, weights, stride_w, two, v_, up // SIDE, c, planes)
            for r in range(rows):
                factor = splat(ONE / sums[r])
                to = at(place_in(context, row + i + r, wide, planes), p * step_a(planes))
                low, high = load(at(c, r * SIDE)) * factor, load(at(c, r * SIDE + 16)) * factor
                store_planes(to, STEP_A, low, high, planes)
