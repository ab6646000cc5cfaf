"""The whole encoder in one call without the GIL: minembed/encoder.py, on the vector units.

Texts are taken some at a time (about CHUNK rows), through all layers: enough rows that streaming a layer's weights from
memory costs little, few enough that activations stay in the core's caches; the feed-forward block goes by FFN_ROWS for
the same reason.  Everything else is as in the file that
this one mirrors; read that first.
"""

import numpy as np
from numba import njit, types
from numba.extending import overload

from minembed.kernels.attention import attend
from minembed.kernels.cached import on_disk
from minembed.kernels.elementwise import add_norm_row
from minembed.kernels.gemm import depth, encode, multiply, multiply_bend_encode
from minembed.kernels.simd import address, at, load_bfloat16, store
from minembed.kernels.team import TEAM, multiply_together
from minembed.kernels.tiles import PANEL
from minembed.kernels.workspace import FFN_ROWS, lay_out, operand_elements, operand_scales, padded

CHUNK = 512  # rows
ALL, FIRST, LAST = 0, 1, 2  # rows of each text


@njit
def read_floats(table, scales, row, width, out):
    """Row of a float32 table."""
    for j in range(width):
        out[j] = table[row * width + j]


@njit
def read_bfloat16(table, scales, row, width, out):
    """Row of a bfloat16 table, whose rows are padded to whole vectors."""
    stride = (width + 15) // 16 * 16
    for j in range(0, width, 16):
        store(at(out, j), load_bfloat16(at(table, row * stride + j)))


@njit
def read_bytes(table, scales, row, width, out):
    """Row of an int8 table, whose rows have a scale each."""
    scale = scales[row]
    for j in range(width):
        out[j] = np.float32(table[row * width + j]) * scale


def read_row(table, scales, row, width, out):
    """Write a row of a table as float32, by the type of the table."""
    raise NotImplementedError


@overload(read_row)
def _choose_read_row(table, scales, row, width, out):
    chosen = {types.float32: read_floats, types.uint16: read_bfloat16, types.int8: read_bytes}[table.dtype]

    def call(table, scales, row, width, out):
        chosen(table, scales, row, width, out)

    return call


@njit(inline="always")
def embed(ids, kinds, cu_seqlens, first, last, word, word_scales, position, token_type, norm, width, eps, x, stride):
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


@njit(inline="always")
def self_attention(board, x, cu_seqlens, first, last, keep, p, shape, work, buffers, y):
    """y = output(attention(x)), head by head: the columns of one head, then every text's attention in it.

    Afterwards only the rows that `keep` names are needed, here and in x.
    """
    D, _, heads, _, group, _ = shape
    _, qkv, context, _, _, room = work
    rows, stride, size = cu_seqlens[last] - cu_seqlens[first], padded(D), D // heads
    wide = padded(3 * size)
    columns = wide - PANEL
    operand = encode(x, stride, rows, D, group, p[0], buffers)
    if board[TEAM]:  # all heads at once: more panels to share
        wide = heads * columns
        multiply_together(board, operand, rows, D, group, p, wide, qkv, wide, False)
    for h in range(heads):
        if not board[TEAM]:
            multiply(operand, rows, D, group, after(p, D, group, h * columns), columns, qkv, wide, False)
        begin = h * columns if board[TEAM] else 0
        for text in range(first, last):
            row, n = cu_seqlens[text] - cu_seqlens[first], cu_seqlens[text + 1] - cu_seqlens[text]
            to = at(context, row * stride + h * size)
            attend(p[0], at(qkv, row * wide + begin), wide, n, size, to, stride, room)
    p = after(p, D, group, heads * columns)
    if keep != ALL:
        rows = keep_rows(cu_seqlens, first, last, keep, x, stride, D)
        rows = keep_rows(cu_seqlens, first, last, keep, context, stride, D)
    operand = encode(context, stride, rows, D, group, p[0], buffers)
    product(board, operand, rows, D, group, p, D, y, stride, False)
    return after(p, D, group, stride - PANEL)


@njit
def product(board, operand, rows, width, group, p, out_width, out, stride, bend):
    """multiply, alone or together."""
    if board[TEAM]:
        multiply_together(board, operand, rows, width, group, p, out_width, out, stride, bend)
    else:
        multiply(operand, rows, width, group, p, out_width, out, stride, bend)


@njit(inline="always")
def feed_forward(board, x, rows, p, shape, work, buffers, y):
    """y = output(gelu(intermediate(x))), by some rows at a time."""
    D, F, _, _, group_d, group_f = shape
    stride, h = padded(D), work[4]
    q = after(p, D, group_d, padded(F) - PANEL)
    blocks = (rows + FFN_ROWS - 1) // FFN_ROWS
    i = 0
    for block in range(blocks):
        count = (rows - i) // (blocks - block)
        operand = encode(at(x, i * stride), stride, count, D, group_d, p[0], buffers[0])
        operand = intermediate(board, operand, count, D, group_d, p, F, group_f, h, padded(F), buffers[1])
        product(board, operand, count, F, group_f, q, D, at(y, i * stride), stride, False)
        i += count
    return after(q, F, group_f, stride - PANEL)


def intermediate(board, operand, rows, D, group_d, p, F, group_f, h, wide, buffers):
    """gelu(intermediate(x)) as an operand."""
    raise NotImplementedError


@overload(intermediate)
def _choose_intermediate(board, operand, rows, D, group_d, p, F, group_f, h, wide, buffers):
    def floats(board, operand, rows, D, group_d, p, F, group_f, h, wide, buffers):
        product(board, operand, rows, D, group_d, p, F, h, wide, True)
        return h, wide, buffers[1], buffers[2]

    def rounded(board, operand, rows, D, group_d, p, F, group_f, h, wide, buffers):
        if F % group_f == 0 and group_f % PANEL == 0 and not board[TEAM]:
            return multiply_bend_encode(operand, rows, D, group_d, p, F, group_f, h, buffers)
        product(board, operand, rows, D, group_d, p, F, h, wide, True)
        return encode(h, wide, rows, F, group_f, p[0], buffers)

    return floats if p[0].dtype == types.float32 else rounded


@njit(inline="always")
def add_norm(y, x, rows, p, D, eps):
    """x = LayerNorm(y + x)."""
    weight, scale, total, vector = p
    stride = padded(D)
    for r in range(rows):
        add_norm_row(at(y, r * stride), at(x, r * stride), vector, at(vector, D), D, eps, at(x, r * stride))
    return weight, scale, total, at(vector, 2 * D)


@njit(inline="always")
def transformer_layer(board, cu_seqlens, first, last, keep, p, shape, eps, work, buffers):
    """Attention, then feed-forward; each adds what it found to its input, and the sum is normalised.

    p points at the parameters that come next; so does what is returned.
    """
    rows, D = cu_seqlens[last] - cu_seqlens[first] if keep == ALL else last - first, shape[0]
    x, _, _, y, _, _ = work
    p = self_attention(board, x, cu_seqlens, first, last, keep, p, shape, work, buffers[0], y)
    p = add_norm(y, x, rows, p, D, eps)
    p = feed_forward(board, x, rows, p, shape, work, buffers, y)
    return add_norm(y, x, rows, p, D, eps)


@njit
def keep_rows(cu_seqlens, first, last, keep, x, stride, width):
    """Move the first, or last, row of each text to the front; returns how many rows these are."""
    for text in range(first, last):
        row = (cu_seqlens[text] if keep == FIRST else cu_seqlens[text + 1] - 1) - cu_seqlens[first]
        source, target = at(x, row * stride), at(x, (text - first) * stride)
        for j in range(width):
            target[j] = source[j]
    return last - first


@njit
def after(p, width, group, columns):
    """Where the parameters after a linear layer begin: its weight has `columns`, whole panels, for `width` inputs."""
    weight, scale, total, vector = p
    K = depth(weight, width, group)
    scaled = columns * (K // group)
    return at(weight, columns * K), at(scale, scaled), at(total, scaled), at(vector, columns)


@njit
def chunk_end(cu, first, texts, rows):
    """Which text begins the next chunk: chunks of like size, near CHUNK rows and not beyond `rows`."""
    left = cu[texts] - cu[first]
    parts = (left + CHUNK - 1) // CHUNK
    fair = (left + parts - 1) // parts
    last = first + 1
    while last < texts:
        more = cu[last + 1] - cu[first]
        if more > rows or more - fair > fair - (cu[last] - cu[first]):
            break
        last += 1
    return last


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def run(
    ids, kinds, cu_seqlens, weights, scales, sums, vectors, word, word_scales, position, token_type, norm, zeros, shape,
    eps, embedded, begin, end, keep, board, floats, zero_points, operand, rows, out,
):  # fmt: skip
    """Hidden states of packed texts after layers begin..end-1, from the tokens or, where `embedded`, from `out`.

    With keep, which the last layer heeds, only those of each text's first or last token: pooling needs no others.
    """
    D = shape[0]
    stride = padded(D)
    work, scale_a = lay_out(floats, rows, shape, zeros)
    widest, scaled = operand_elements(rows, shape), operand_scales(rows, shape)
    operand_, zeros_ = address(operand, 0), address(zero_points, 0)
    buffers = (
        (operand_, scale_a, zeros_), (at(operand_, widest), at(scale_a, scaled), at(zeros_, scaled))
    )  # fmt: skip
    x = work[0]
    ids_, kinds_, cu, to = address(ids, 0), address(kinds, 0), address(cu_seqlens, 0), address(out, 0)
    first, texts = 0, len(cu_seqlens) - 1
    while first < texts:
        last = chunk_end(cu, first, texts, rows)
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
                wanted = keep if layer == end - 1 else ALL
                p = transformer_layer(address(board, 0), cu, first, last, wanted, p, shape, eps, work, buffers)
            else:
                p = skip_layer(p, shape)
        if keep != ALL:
            count, start = last - first, first
        for r in range(count):
            for j in range(D):
                to[(start + r) * D + j] = x[r * stride + j]
        first = last


@njit
def skip_layer(p, shape):
    """Where the next layer's parameters begin."""
    D, F, heads, _, group_d, group_f = shape
    d = padded(D) - PANEL
    p = after(p, D, group_d, heads * (padded(3 * (D // heads)) - PANEL))
    weight, scale, total, vector = after(p, D, group_d, d)
    p = after((weight, scale, total, at(vector, 2 * D)), D, group_d, padded(F) - PANEL)
    weight, scale, total, vector = after(p, F, group_f, d)
    return weight, scale, total, at(vector, 2 * D)
