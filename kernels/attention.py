"""Attention on packed texts: every token looks at the tokens of its own text.

For one head of one text, with the register tiles of tiles.py:

    keys are turned, 16 x 16 at a time in registers, to (K, N): so a row of scores comes out as vectors
    for every few rows of queries:  scores = q keys;  softmax;  context = scores values

Queries and values are read in place from the (T, 3D) array; scores of a few rows never leave the first-level cache.
The division by the sum of the exponentials waits until it is a division of K numbers instead of N.
1 / sqrt(K) is in the query weights already (gemm.py).
"""

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import signature
from numba.extending import intrinsic

from minembed.kernels.elementwise import ONE, scale_row, softmax_row
from minembed.kernels.simd import I64, VI, at, load_vector, move, store_vector
from minembed.kernels.tiles import PANEL, TILE_ROWS, tile_floats, tile_floats_narrow

_floats = types.CPointer(types.float32)


@intrinsic
def turn_16x16(typing_context, source, stride, target, target_stride):  # type: ignore[no-untyped-def]
    """target[c, r] = source[r, c] for 16 rows and columns: four rounds of swapping halves, quarters, ..."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source, stride, target, target_stride = args
        rows = [load_vector(builder, move(builder, source, builder.mul(stride, ir.Constant(I64, r)))) for r in range(16)]
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
def attend_head(q, k, v, stride, n, head_size, out, out_stride, keys, scores, sums, zeros):  # type: ignore[no-untyped-def]
    """One head of a text of n tokens: q, k, v (n, head_size) lie `stride` apart, out `out_stride`.

    keys: room for (head_size + 15) x padded floats, scores: TILE_ROWS x padded, sums: TILE_ROWS; padded is n rounded up
    to whole panels.  Writes up to a panel beyond the head's columns: the next head overwrites it.
    """
    padded = (n + PANEL - 1) // PANEL * PANEL
    for j in range(0, n, 16):
        for c in range(0, head_size, 16):
            turn_16x16(at(k, j * stride + c), stride, at(keys, c * padded + j), padded)
    blocks = (n + TILE_ROWS - 1) // TILE_ROWS
    i = 0
    for block in range(blocks):
        rows = (n - i) // (blocks - block)
        query = at(q, i * stride)
        j = 0
        while j < n:
            if n - j > 16:
                tile_floats(rows, query, stride, at(keys, j), padded, head_size, zeros, at(scores, j), padded)
                j += PANEL
            else:
                tile_floats_narrow(rows, query, stride, at(keys, j), padded, head_size, zeros, at(scores, j), padded)
                j += 16
        for r in range(rows):
            sums[r] = softmax_row(at(scores, r * padded), n)
        for c in range(0, head_size, PANEL):
            tile_floats(rows, scores, padded, at(v, c), stride, n, zeros, at(out, i * out_stride + c), out_stride)
        for r in range(rows):
            scale_row(at(out, (i + r) * out_stride), head_size, ONE / sums[r])
        i += rows


@njit
def attend_texts(qkv, stride, cu_seqlens, first, last, width, heads, out, out_stride, keys, scores, sums, zeros):  # type: ignore[no-untyped-def]
    """All heads of the texts first..last-1; row 0 of qkv and of out is the first token of text `first`."""
    head_size = width // heads
    for text in range(first, last):
        row = cu_seqlens[text] - cu_seqlens[first]
        n = cu_seqlens[text + 1] - cu_seqlens[text]
        rows = at(qkv, row * stride)
        for h in range(heads):
            q = at(rows, h * head_size)
            to = at(out, row * out_stride + h * head_size)
            attend_head(q, at(q, width), at(q, 2 * width), stride, n, head_size, to, out_stride, keys, scores, sums, zeros)
