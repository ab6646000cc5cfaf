"""The whole encoder in one call without the GIL: minembed/encoder.py, on the vector units.

Texts are taken a few at a time (about CHUNK rows), through all layers, so that activations stay in the core's
second-level cache; the feed-forward block goes by FFN_ROWS for the same reason.  Everything else is as in the file that
this one mirrors; read that first.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload, register_jitable

from minembed.kernels.attention import attend_texts
from minembed.kernels.cached import on_disk
from minembed.kernels.elementwise import add_norm_row
from minembed.kernels.gemm import encode, multiply
from minembed.kernels.simd import address, at, load, load_bfloat16, store
from minembed.kernels.tiles import PANEL, TILE_ROWS

CHUNK = 224  # rows
FFN_ROWS = 112
SLACK = 16  # rows that may be read, or columns written, beyond the end


@njit
def read_floats(table, scales, row, width, out):  # type: ignore[no-untyped-def]
    """Row of a float32 table."""
    for j in range(width):
        out[j] = table[row * width + j]


@njit
def read_bfloat16(table, scales, row, width, out):  # type: ignore[no-untyped-def]
    """Row of a bfloat16 table, whose rows are padded to whole vectors."""
    stride = (width + 15) // 16 * 16
    for j in range(0, width, 16):
        store(at(out, j), load_bfloat16(at(table, row * stride + j)))


@njit
def read_bytes(table, scales, row, width, out):  # type: ignore[no-untyped-def]
    """Row of an int8 table, whose rows have a scale each."""
    scale = scales[row]
    for j in range(width):
        out[j] = np.float32(table[row * width + j]) * scale


def read_row(table, scales, row, width, out):  # type: ignore[no-untyped-def]
    """Write a row of a table as float32, by the type of the table."""
    raise NotImplementedError


@overload(read_row)
def _choose_read_row(table, scales, row, width, out):  # type: ignore[no-untyped-def]
    chosen = {types.float32: read_floats, types.uint16: read_bfloat16, types.int8: read_bytes}[table.dtype]

    def call(table, scales, row, width, out):  # type: ignore[no-untyped-def]
        chosen(table, scales, row, width, out)

    return call


@register_jitable
def padded(width):  # type: ignore[no-untyped-def]
    """The stride of a row: whole panels, and room for a panel more."""
    return (width + PANEL - 1) // PANEL * PANEL + PANEL


@njit
def embed(ids, kinds, cu_seqlens, first, last, word, word_scales, position, token_type, norm, width, eps, x, stride):  # type: ignore[no-untyped-def]
    """What the token is, where it stands, which segment: three rows, added and normalised."""
    row = 0
    for text in range(first, last):
        for place in range(cu_seqlens[text + 1] - cu_seqlens[text]):
            token = cu_seqlens[text] + place
            here = at(x, row * stride)
            read_row(word, word_scales, ids[token], width, here)
            for j in range(width):
                here[j] += position[place * width + j]
            add_norm_row(here, at(token_type, kinds[token] * width), norm, at(norm, width), width, eps, here)
            row += 1


@njit
def feed_forward(x, stride, rows, D, F, groups, w1, s1, z1, b1, w2, s2, z2, b2, y, h, operand, quant):  # type: ignore[no-untyped-def]
    """y = output(gelu(intermediate(x))), by some rows at a time."""
    wide = padded(F)
    blocks = (rows + FFN_ROWS - 1) // FFN_ROWS
    i = 0
    for block in range(blocks):
        count = (rows - i) // (blocks - block)
        a, step = encode(at(x, i * stride), stride, count, D, groups[0], w1, operand, quant)
        multiply(a, step, quant, count, D, groups[0], w1, s1, z1, b1, F, h, wide, True)
        a, step = encode(h, wide, count, F, groups[1], w2, operand, quant)
        multiply(a, step, quant, count, F, groups[1], w2, s2, z2, b2, D, at(y, i * stride), stride, False)
        i += count


@njit
def add_norm(y, x, stride, rows, weight, D, eps):  # type: ignore[no-untyped-def]
    """x = LayerNorm(y + x)."""
    for r in range(rows):
        add_norm_row(at(y, r * stride), at(x, r * stride), weight, at(weight, D), D, eps, at(x, r * stride))


@njit
def transformer_layer(x, cu_seqlens, first, last, p, shape, eps, work, operand, quant, zeros):  # type: ignore[no-untyped-def]
    """Attention, then feed-forward; each adds what it found to its input, and the sum is normalised."""
    D, F, heads, _, group_d, group_f = shape
    weight, scale, total, vector = p
    rows = cu_seqlens[last] - cu_seqlens[first]
    stride, stride3 = padded(D), padded(3 * D)
    qkv, context, y, h, keys, scores, sums = work
    kd, kf = depth(weight, D, group_d), depth(weight, F, group_f)
    gd, gf = kd // group_d, kf // group_f
    d, d3, f = stride - PANEL, stride3 - PANEL, padded(F) - PANEL  # widths in whole panels

    a, step = encode(x, stride, rows, D, group_d, weight, operand, quant)
    multiply(a, step, quant, rows, D, group_d, weight, scale, total, vector, 3 * D, qkv, stride3, False)
    weight, scale, total, vector = at(weight, kd * d3), at(scale, gd * d3), at(total, gd * d3), at(vector, d3)
    attend_texts(qkv, stride3, cu_seqlens, first, last, D, heads, context, stride, keys, scores, sums, zeros)
    a, step = encode(context, stride, rows, D, group_d, weight, operand, quant)
    multiply(a, step, quant, rows, D, group_d, weight, scale, total, vector, D, y, stride, False)
    weight, scale, total, vector = at(weight, kd * d), at(scale, gd * d), at(total, gd * d), at(vector, d)
    add_norm(y, x, stride, rows, vector, D, eps)
    vector = at(vector, 2 * D)

    w2, s2, z2, b2 = at(weight, kd * f), at(scale, gd * f), at(total, gd * f), at(vector, f)
    feed_forward(
        x, stride, rows, D, F, (group_d, group_f), weight, scale, total, vector, w2, s2, z2, b2, y, h, operand, quant
    )
    vector = at(b2, d)
    add_norm(y, x, stride, rows, vector, D, eps)
    return at(w2, kf * d), at(s2, gf * d), at(z2, gf * d), at(vector, 2 * D)


def depth(weight, width, group):  # type: ignore[no-untyped-def]
    """How many rows of K a packed weight of this type has."""
    raise NotImplementedError


@overload(depth)
def _choose_depth(weight, width, group):  # type: ignore[no-untyped-def]
    if weight.dtype == types.float32:
        return lambda weight, width, group: width
    if weight.dtype == types.uint16:
        return lambda weight, width, group: (width + 1) // 2 * 2
    return lambda weight, width, group: (width + group - 1) // group * group


@register_jitable
def room(rows, longest, shape):  # type: ignore[no-untyped-def]
    """How many floats the work on so many rows needs, part by part: x, qkv, context, y, h, keys, scores, sums, scales."""
    D, F, heads, _, group_d, group_f = shape
    texts = (longest + PANEL - 1) // PANEL * PANEL
    groups = max((D + group_d - 1) // group_d, (F + group_f - 1) // group_f)
    all_rows = rows + SLACK
    return (
        all_rows * padded(D), all_rows * padded(3 * D), all_rows * padded(D), all_rows * padded(D),
        min(all_rows, FFN_ROWS + SLACK) * padded(F), (D // heads + 15) * texts, TILE_ROWS * texts, TILE_ROWS,
        all_rows * groups,
    )  # fmt: skip


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def run(  # type: ignore[no-untyped-def]
    ids, kinds, cu_seqlens, weights, scales, sums, vectors, word, word_scales, position, token_type, norm, zeros, shape,
    eps, embedded, begin, end, floats, zero_points, operand, rows, out,
):  # fmt: skip
    """Hidden states of packed texts after layers begin..end-1, from the tokens or, where `embedded`, from `out`."""
    D, F, heads, layers, group_d, group_f = shape
    stride = padded(D)
    parts = room(rows, rows, shape)
    work = address(floats, 0)
    x, qkv = work, at(work, parts[0])
    context = at(qkv, parts[1])
    y = at(context, parts[2])
    h = at(y, parts[3])
    keys = at(h, parts[4])
    scores = at(keys, parts[5])
    totals = at(scores, parts[6])
    quant = (at(totals, parts[7]), address(zero_points, 0))
    ids_, kinds_, cu, to = address(ids, 0), address(kinds, 0), address(cu_seqlens, 0), address(out, 0)
    none = address(zeros, 0)
    first, texts = 0, len(cu_seqlens) - 1
    while first < texts:
        last = first + 1
        while last < texts and cu[last + 1] - cu[first] <= rows and cu[last + 1] - cu[first] <= CHUNK:
            last += 1
        count, start = cu[last] - cu[first], cu[first]
        if embedded:
            for r in range(count):
                for j in range(D):
                    x[r * stride + j] = to[(start + r) * D + j]
        else:
            embed(
                ids_, kinds_, cu, first, last, address(word, 0), address(word_scales, 0), address(position, 0),
                address(token_type, 0), address(norm, 0), D, eps, x, stride,
            )  # fmt: skip
        p = (address(weights, 0), address(scales, 0), address(sums, 0), address(vectors, 0))
        for layer in range(end):
            if layer >= begin:
                p = transformer_layer(
                    x, cu, first, last, p, shape, eps, (qkv, context, y, h, keys, scores, totals),
                    address(operand, 0), quant, none,
                )  # fmt: skip
            else:
                p = skip(p, shape)
        for r in range(count):
            for j in range(D):
                to[(start + r) * D + j] = x[r * stride + j]
        first = last


@njit
def skip(p, shape):  # type: ignore[no-untyped-def]
    """Where the next layer's parameters begin."""
    D, F, _, _, group_d, group_f = shape
    weight, scale, total, vector = p
    kd, kf = depth(weight, D, group_d), depth(weight, F, group_f)
    gd, gf = kd // group_d, kf // group_f
    d, d3, f = padded(D) - PANEL, padded(3 * D) - PANEL, padded(F) - PANEL
    scaled = gd * (d3 + d + f) + gf * d
    return (
        at(weight, kd * (d3 + d + f) + kf * d), at(scale, scaled), at(total, scaled), at(vector, d3 + d + f + d + 4 * D)
    )  # fmt: skip
