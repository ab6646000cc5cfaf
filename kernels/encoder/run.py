"""The whole encoder in one call without the GIL: minembed/transformer/encoder.py, on the vector units.

Texts are taken some at a time (about CHUNK rows), through all layers: enough rows that streaming a layer's weights from
memory costs little, few enough that activations stay in the core's caches; the feed-forward block goes by FFN_ROWS for
the same reason.  Everything else is as in the file that
this one mirrors; read that first.
"""

from numba import njit, types
from numba.extending import overload

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.activations import gate_row
from minembed.kernels.encoder.architecture import (
    ACTIVATION,
    BARE,
    GATED,
    HEAD_NORMS,
    LAYER_NORM,
    NOTHING,
    POST_NORMS,
    PRE_NORM,
    RMS_NORM,
)
from minembed.kernels.encoder.attention import attend
from minembed.kernels.encoder.elementwise import add_norm_row, add_row, rms_row
from minembed.kernels.encoder.embeddings import embed
from minembed.kernels.encoder.gemm import depth, encode, multiply, multiply_activate_encode
from minembed.kernels.encoder.heads import pattern_of, place_heads, reach_of
from minembed.kernels.encoder.sharing import TEAM, multiply_together
from minembed.kernels.encoder.workspace import FFN_ROWS, lay_out, operand_elements, operand_scales, padded
from minembed.kernels.tiles.registers import PANEL
from minembed.kernels.vectors.simd import address, at

CHUNK = 512  # rows
ALL, FIRST, LAST = 0, 1, 2  # rows of each text


@njit(inline="always")
def self_attention(board, source, x, cu_seqlens, first, last, keep, p, shape, choices, pattern, work, buffers, eps, y):
    """y = output(attention(source)), head by head: the columns of one head, then every text's attention in it.

    Afterwards only the rows that `keep` names are needed, here and in x, to which y will be added.
    """
    D, heads, size, group, group_c = shape[0], shape[2], shape[6], shape[4], shape[7]
    _, qkv, context, _, _, room = work
    rows, stride, wide = cu_seqlens[last] - cu_seqlens[first], padded(D), padded(3 * size)
    C = heads * size
    columns, across = wide - PANEL, padded(C)
    operand = encode(source, stride, rows, D, group, p[0], buffers)
    norms = at(p[3], heads * columns)
    if board[TEAM]:  # all heads at once: more panels to share
        wide = heads * columns
        multiply_together(board, operand, rows, D, group, p, wide, qkv, wide, NOTHING)
    for h in range(heads):
        if not board[TEAM]:
            multiply(operand, rows, D, group, after(p, D, group, h * columns), columns, qkv, wide, NOTHING)
        head = at(qkv, h * columns if board[TEAM] else 0)
        place_heads(head, wide, cu_seqlens, first, last, size, norms, choices, pattern, eps)
        for text in range(first, last):
            row, n = cu_seqlens[text] - cu_seqlens[first], cu_seqlens[text + 1] - cu_seqlens[text]
            to, seen = at(context, row * across + h * size), reach_of(pattern, h)
            attend(p[0], at(head, row * wide), wide, n, size, to, across, seen, pattern[0] > 0, room)
    p = after(p, D, group, heads * columns)
    if choices[HEAD_NORMS]:
        p = p[0], p[1], p[2], at(p[3], 2 * size)
    if keep != ALL:
        rows = keep_rows(cu_seqlens, first, last, keep, x, stride, D)
        rows = keep_rows(cu_seqlens, first, last, keep, context, across, C)
    operand = encode(context, across, rows, C, group_c, p[0], buffers)
    product(board, operand, rows, C, group_c, p, D, y, stride, NOTHING)
    return after(p, C, group_c, stride - PANEL)


@njit
def product(board, operand, rows, width, group, p, out_width, out, stride, activation):
    """multiply, alone or together."""
    if board[TEAM]:
        multiply_together(board, operand, rows, width, group, p, out_width, out, stride, activation)
    else:
        multiply(operand, rows, width, group, p, out_width, out, stride, activation)


@njit(inline="always")
def feed_forward(board, source, rows, p, shape, choices, work, buffers, y):
    """y = output(gelu(intermediate(source))), by some rows at a time; source may be y."""
    D, F, group_d, group_f = shape[0], shape[1], shape[4], shape[5]
    stride, h = padded(D), work[4]
    wide = padded(2 * F if choices[GATED] else F)
    q = after(p, D, group_d, wide - PANEL)
    blocks = (rows + FFN_ROWS - 1) // FFN_ROWS
    i = 0
    for block in range(blocks):
        count = (rows - i) // (blocks - block)
        operand = encode(at(source, i * stride), stride, count, D, group_d, p[0], buffers[0])
        operand = intermediate(board, operand, count, D, group_d, p, F, group_f, choices, h, wide, buffers[1])
        product(board, operand, count, F, group_f, q, D, at(y, i * stride), stride, NOTHING)
        i += count
    return after(q, F, group_f, stride - PANEL)


def intermediate(board, operand, rows, D, group_d, p, F, group_f, choices, h, wide, buffers):
    """act(intermediate(x)), or act(its first half) times its second, as an operand."""
    raise NotImplementedError


@overload(intermediate)
def _choose_intermediate(board, operand, rows, D, group_d, p, F, group_f, choices, h, wide, buffers):
    def floats(board, operand, rows, D, group_d, p, F, group_f, choices, h, wide, buffers):
        widen(board, operand, rows, D, group_d, p, F, choices, h, wide)
        return h, wide, buffers[1], buffers[2]

    def rounded(board, operand, rows, D, group_d, p, F, group_f, choices, h, wide, buffers):
        if F % group_f == 0 and group_f % PANEL == 0 and not board[TEAM] and not choices[GATED]:
            return multiply_activate_encode(operand, rows, D, group_d, p, F, group_f, choices[ACTIVATION], h, buffers)
        widen(board, operand, rows, D, group_d, p, F, choices, h, wide)
        return encode(h, wide, rows, F, group_f, p[0], buffers)

    return floats if p[0].dtype == types.float32 else rounded


@njit
def widen(board, operand, rows, D, group_d, p, F, choices, h, wide):
    """The intermediate layer, activated; where gated, times what stands beside it."""
    if choices[GATED] == 0:
        product(board, operand, rows, D, group_d, p, F, h, wide, choices[ACTIVATION])
        return
    product(board, operand, rows, D, group_d, p, 2 * F, h, wide, NOTHING)
    for r in range(rows):
        gate_row(at(h, r * wide), F, choices[ACTIVATION], p[0])


@njit(inline="always")
def add_norm(y, x, rows, p, D, eps):
    """x = LayerNorm(y + x)."""
    weight, scale, total, vector = p
    stride = padded(D)
    for r in range(rows):
        add_norm_row(at(y, r * stride), at(x, r * stride), vector, at(vector, D), D, eps, at(x, r * stride))
    return weight, scale, total, at(vector, 2 * D)


@njit
def norm_first(x, rows, p, D, kind, zeros, eps, y):
    """y = norm(x), where norms come first."""
    weight, scale, total, vector = p
    stride = padded(D)
    for r in range(rows):
        row, out = at(x, r * stride), at(y, r * stride)
        if kind == RMS_NORM:
            rms_row(row, vector, D, eps, out)
        elif kind == LAYER_NORM:
            add_norm_row(row, zeros, vector, at(vector, D), D, eps, out)
        else:
            for j in range(D):
                out[j] = row[j]
    return weight, scale, total, at(vector, 2 * D)


@njit(inline="always")
def transformer_layer(
    board, cu_seqlens, first, last, keep, p, shape, choices, pattern, eps, zeros, work, buffers, bare
):
    """Attention, then feed-forward; each adds what it found to its input, and the sum is normalised.

    Where norms come first, what enters is normalised instead; a `bare` layer has no norm before attention.
    p points at the parameters that come next; so does what is returned.
    """
    everything = cu_seqlens[last] - cu_seqlens[first]
    rows, D = everything if keep == ALL else last - first, shape[0]
    x, _, _, y, _, _ = work
    kind, a, b = choices[PRE_NORM], buffers[0], buffers
    if kind == 0:
        p = self_attention(board, x, x, cu_seqlens, first, last, keep, p, shape, choices, pattern, work, a, eps, y)
        p = add_norm(y, x, rows, p, D, eps)
        p = feed_forward(board, x, rows, p, shape, choices, work, b, y)
        return add_norm(y, x, rows, p, D, eps)
    p = norm_first(x, everything, p, D, NOTHING if bare else kind, zeros, eps, y)
    p = self_attention(board, y, x, cu_seqlens, first, last, keep, p, shape, choices, pattern, work, a, eps, y)
    p = norm_behind(y, rows, p, D, choices, zeros, eps)
    add_rows(x, y, rows, D)
    p = norm_first(x, rows, p, D, kind, zeros, eps, y)
    p = feed_forward(board, y, rows, p, shape, choices, work, b, y)
    p = norm_behind(y, rows, p, D, choices, zeros, eps)
    add_rows(x, y, rows, D)
    return p


@njit
def norm_behind(y, rows, p, D, choices, zeros, eps):
    """y = norm(y), where blocks have post-norms."""
    return norm_first(y, rows, p, D, choices[PRE_NORM], zeros, eps, y) if choices[POST_NORMS] else p


@njit
def add_rows(x, y, rows, D):
    """x += y."""
    for r in range(rows):
        add_row(at(x, r * padded(D)), at(y, r * padded(D)), D)


@njit
def keep_rows(cu_seqlens, first, last, keep, x, stride, width):
    """Move the first, or last, row of each text to the front; returns how many rows these are."""
    for text in range(first, last):
        row = (cu_seqlens[text] if keep == FIRST else cu_seqlens[text + 1] - 1) - cu_seqlens[first]
        copy_rows(at(x, row * stride), stride, at(x, (text - first) * stride), stride, 1, width)
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
    ids, kinds, places, cu_seqlens, weights, scales, sums, vectors, word, word_scales, position, token_type, norm,
    zeros, bias, rotary, sees, shape, choices, eps, embedded, begin, end, keep, board, floats, zero_points, operand,
    rows, out,
):  # fmt: skip
    """Hidden states of packed texts after layers begin..end-1, from the tokens or, where `embedded`, from `out`.

    With keep, which the last layer heeds, only those of each text's first or last token: pooling needs no others.
    """
    D = shape[0]
    stride = padded(D)
    work, scale_a = lay_out(floats, rows, shape, choices[GATED], zeros)
    widest, scaled = operand_elements(rows, shape), operand_scales(rows, shape)
    operand_, zeros_ = address(operand, 0), address(zero_points, 0)
    buffers = (
        (operand_, scale_a, zeros_), (at(operand_, widest), at(scale_a, scaled), at(zeros_, scaled))
    )  # fmt: skip
    x = work[0]
    ids_, kinds_, cu, to = address(ids, 0), address(kinds, 0), address(cu_seqlens, 0), address(out, 0)
    sees_, half = address(sees, 0), shape[6] // 2
    first, texts = 0, len(cu_seqlens) - 1
    while first < texts:
        last = chunk_end(cu, first, texts, rows)
        count, start = cu[last] - cu[first], cu[first]
        if embedded:
            copy_rows(at(to, start * D), D, x, stride, count, D)
        else:
            embed(
                ids_, kinds_, address(places, 0), start, count, address(word, 0), address(word_scales, 0),
                address(position, 0), address(token_type, 0), address(norm, 0), D, eps, x, stride,
            )  # fmt: skip
        p = (address(weights, 0), address(scales, 0), address(sums, 0), address(vectors, 0))
        for layer in range(end):
            if layer >= begin:
                wanted = keep if layer == end - 1 else ALL
                pattern = pattern_of(sees_, layer, address(bias, 0), address(rotary, 0), half)
                bare = layer == 0 and choices[BARE] != 0
                p = transformer_layer(
                    address(board, 0), cu, first, last, wanted, p, shape, choices, pattern, eps, address(zeros, 0),
                    work, buffers, bare,
                )  # fmt: skip
            else:
                p = skip_layer(p, shape, choices)
        if keep != ALL:
            count, start = last - first, first
        copy_rows(x, stride, at(to, start * D), D, count, D)
        first = last


@njit
def copy_rows(source, stride, target, target_stride, rows, width):
    """Copy rows that lie `stride` apart to where they lie `target_stride` apart."""
    for r in range(rows):
        for j in range(width):
            target[r * target_stride + j] = source[r * stride + j]


@njit
def skip_layer(p, shape, choices):
    """Where the next layer's parameters begin."""
    D, F, heads, _, group_d, group_f, size, group_c = shape
    d = padded(D) - PANEL
    p = after(p, D, group_d, heads * (padded(3 * size) - PANEL))
    p = after(p, heads * size, group_c, d)
    p = after(p, D, group_d, padded(2 * F if choices[GATED] else F) - PANEL)
    weight, scale, total, vector = after(p, F, group_f, d)
    norms = 4 * D + (2 * size if choices[HEAD_NORMS] else 0) + (4 * D if choices[POST_NORMS] else 0)
    return weight, scale, total, at(vector, norms)
