"""Attention on packed texts: every token attends to the tokens of its own text.

One head at a time: `heads` (rows, 3K) has its queries, keys and values side by side, just computed by the linear layer
and small enough for the second-level cache.  For each text, with the register tiles of kernels/tiles:

    keys are transposed, 16 x 16 at a time in registers, to (K, N): so a row of scores is computed as vectors
    for every few rows of queries:  scores = q keys;  softmax;  context = scores values

`pattern` = (bias, back, ahead) is the effect of distance on a score: `bias` points to what is added at distance 0;
tokens attend to at most `back` tokens before and `ahead` tokens after them.  Whole tiles of scores beyond that are not
computed, other scores become -inf, whose exponential is at most 1e-38 of the largest: nothing, in float32.

Scores of a few rows never leave the first-level cache.  The division by the sum of the exponentials is done last, when
it is a division of K numbers instead of N.  1 / sqrt(K) is already in the query weights (packing.py).

If weights are bfloat16 or int8 and the CPU multiplies bfloat16, attention does so too, at twice the speed.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import signature
from numba.extending import intrinsic, overload

from minembed.kernels.encoder.elementwise import ONE, ZERO, scale_row
from minembed.kernels.encoder.softmax import softmax_rows, softmax_rows_bfloat16
from minembed.kernels.tiles.dot import TARGET
from minembed.kernels.tiles.registers import tile_bfloat16, tile_floats, tile_floats_narrow
from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.kernels.vectors.emit import I64, VI, load_vector, move, store_vector
from minembed.kernels.vectors.simd import (
    as_floats,
    as_shorts,
    at,
    load,
    pair_bfloat16,
    splat,
    store,
    store_bfloat16,
    store_words,
)

_floats = types.CPointer(types.float32)
LOWEST_SCORE = np.float32(-np.inf)


@intrinsic
def turn_16x16(typing_context, source, stride, target, target_stride):
    """target[c, r] = source[r, c] for 16 rows and columns: four rounds of swapping halves, quarters, ..."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source, stride, target, target_stride = args
        rows = [
            load_vector(builder, move(builder, source, builder.mul(stride, ir.Constant(I64, r)))) for r in range(16)
        ]
        for half in (8, 4, 2, 1):
            upper = ir.Constant(VI, [16 + lane - half if lane & half else lane for lane in range(16)])
            lower = ir.Constant(VI, [16 + lane if lane & half else lane + half for lane in range(16)])
            for r in range(16):
                if not r & half:
                    a, b = rows[r], rows[r + half]
                    rows[r], rows[r + half] = (builder.shuffle_vector(a, b, mask) for mask in (upper, lower))
        for r, row in enumerate(rows):
            store_vector(builder, move(builder, target, builder.mul(target_stride, ir.Constant(I64, r))), row)
        return context.get_dummy_value()

    return signature(types.void, _floats, types.int64, _floats, types.int64), generate


@njit
def reach(i, rows, n, pattern):
    """The first key (a multiple of 16) and the end of the keys that queries i to i + rows - 1 attend to."""
    _, back, ahead = pattern
    return max(0, i - back) // 16 * 16, min(n, i + rows + ahead)


@njit
def place_rows(scores, stride, i, rows, first, last, pattern, biased):
    """Add the biases by distance to the scores of queries i... and keys first...last-1, and mask what is too far."""
    bias, back, ahead = pattern
    for r in range(rows):
        row = at(scores, r * stride)
        if biased:
            for j in range(0, last - first, 16):
                store(at(row, j), load(at(row, j)) + load(at(bias, first + j - i - r)))
        for j in range(0, i + r - back - first):
            row[j] = LOWEST_SCORE
        for j in range(max(0, i + r + ahead + 1 - first), last - first):
            row[j] = LOWEST_SCORE


@njit
def attend_floats(qkv, stride, n, size, out, out_stride, pattern, biased, room):
    """One head of a text of n tokens, in float32; q, k, v of `size` lie side by side in rows of qkv.

    Writes up to a panel beyond the head's columns of `out`: the next head overwrites it.
    """
    keys, scores, sums, zeros, _, _, _ = room
    padded = (n + PANEL - 1) // PANEL * PANEL
    for j in range(0, n, 16):
        for c in range(0, size, 16):
            turn_16x16(at(qkv, j * stride + size + c), stride, at(keys, c * padded + j), padded)
    blocks = (n + TILE_ROWS - 1) // TILE_ROWS
    i = 0
    for block in range(blocks):
        rows = (n - i) // (blocks - block)
        q = at(qkv, i * stride)
        first, last = reach(i, rows, n, pattern)
        j = first
        while j < last:
            if last - j > 16:
                tile_floats(rows, q, stride, at(keys, j), padded, size, zeros, at(scores, j - first), padded)
                j += PANEL
            else:
                tile_floats_narrow(rows, q, stride, at(keys, j), padded, size, zeros, at(scores, j - first), padded)
                j += 16
        place_rows(scores, padded, i, rows, first, last, pattern, biased)
        softmax_rows(scores, padded, rows, last - first, sums)
        for c in range(0, size, PANEL):
            v, to = at(qkv, first * stride + 2 * size + c), at(out, i * out_stride + c)
            tile_floats(rows, scores, padded, v, stride, last - first, zeros, to, out_stride)
        for r in range(rows):
            scale_row(at(out, (i + r) * out_stride), size, ONE / sums[r])
        i += rows


@njit
def round_head(qkv, stride, n, size, padded, room):
    """The head in bfloat16: queries as they are, keys transposed by pairs of columns, values by pairs of rows."""
    keys, _, _, _, queries, values, weights = room
    wide = (size + 31) // 32 * 32
    pairs = as_floats(weights)  # the keys before they are transposed; 16 rows at a time
    for j in range(0, n, 16):
        for r in range(16):
            for c in range(0, size, 16):
                row = at(qkv, (j + r) * stride + c)
                store_bfloat16(at(queries, (j + r) * wide + c), load(row))
                store_bfloat16(at(weights, r * wide + c), load(at(row, size)))
        for c in range(0, wide // 2, 16):
            turn_16x16(at(pairs, c), wide // 2, at(keys, c * padded + j), padded)
    for j in range(0, n, 2):
        for c in range(0, size, 16):
            a = load(at(qkv, j * stride + 2 * size + c))
            b = load(at(qkv, (j + 1) * stride + 2 * size + c)) if j + 1 < n else splat(ZERO)
            store_words(at(values, j * wide + 2 * c), pair_bfloat16(a, b))


@njit
def attend_bfloat16(qkv, stride, n, size, out, out_stride, pattern, biased, room):
    """As attend_floats, with products of bfloat16 summed in float32; size is even."""
    keys, scores, sums, zeros, queries, values, weights = room
    padded = (n + PANEL - 1) // PANEL * PANEL
    wide = (size + 31) // 32 * 32
    round_head(qkv, stride, n, size, padded, room)
    blocks = (n + TILE_ROWS - 1) // TILE_ROWS
    i = 0
    for block in range(blocks):
        rows = (n - i) // (blocks - block)
        first, last = reach(i, rows, n, pattern)
        seen = last - first
        for j in range(0, seen, PANEL):
            k, q = as_shorts(at(keys, first + j)), at(queries, i * wide)
            tile_bfloat16(rows, q, wide, k, 2 * padded, size // 2, zeros, at(scores, j), padded)
        place_rows(scores, padded, i, rows, first, last, pattern, biased)
        softmax_rows_bfloat16(scores, padded, rows, seen, weights, padded, sums)
        for c in range(0, size, PANEL):
            v, to = at(values, first * wide + 2 * c), at(out, i * out_stride + c)
            tile_bfloat16(rows, weights, padded, v, 2 * wide, (seen + 1) // 2, zeros, to, out_stride)
        for r in range(rows):
            scale_row(at(out, (i + r) * out_stride), size, ONE / sums[r])
        i += rows


def attend(weight, qkv, stride, n, size, out, out_stride, pattern, biased, room):
    """One head of a text, in the precision that goes with this type of weights."""
    raise NotImplementedError


@overload(attend)
def _choose_attend(weight, qkv, stride, n, size, out, out_stride, pattern, biased, room):
    if weight.dtype == types.float32 or not TARGET.dot_bfloat16:
        return lambda weight, qkv, stride, n, size, out, out_stride, pattern, biased, room: attend_floats(
            qkv, stride, n, size, out, out_stride, pattern, biased, room
        )

    def call(weight, qkv, stride, n, size, out, out_stride, pattern, biased, room):
        if size % 2:
            attend_floats(qkv, stride, n, size, out, out_stride, pattern, biased, room)
        else:
            attend_bfloat16(qkv, stride, n, size, out, out_stride, pattern, biased, room)

    return call
