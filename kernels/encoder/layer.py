"""One layer of the encoder: attention, then feed-forward, and the norms of the architecture.

Arguments of the functions:
    job                                    for sharing products with a second core: sharing.py
    texts = (cu_seqlens, first, last, keep)    the texts of this chunk, and which rows of each are kept
    p = (weights, scales, sums, vectors)       pointers to the parameters that come next
    model = (shape, architecture, eps)         architecture.py
    work, buffers                              buffers.py, gemm.py
"""

from numba import njit, types
from numba.extending import overload

from minembed.kernels.encoder.activations import gate_row
from minembed.kernels.encoder.architecture import (
    ACTIVATION,
    ALL_ROWS,
    FIRST_ROWS,
    GATED,
    HEAD_NORMS,
    LAYER_NORM,
    NOTHING,
    POST_NORMS,
    PRE_NORM,
    RMS_NORM,
)
from minembed.kernels.encoder.attention import attend
from minembed.kernels.encoder.buffers import padded
from minembed.kernels.encoder.elementwise import add_norm_row, add_row, rms_row
from minembed.kernels.encoder.gemm import depth, encode, multiply, multiply_activate_encode
from minembed.kernels.encoder.heads import place_heads, reach_of
from minembed.kernels.encoder.job import SHARED
from minembed.kernels.encoder.sharing import multiply_shared
from minembed.kernels.encoder.workspace import FFN_ROWS
from minembed.kernels.tiles.shapes import PANEL
from minembed.kernels.vectors.simd import at


@njit
def after(p, width, group, columns):
    """Pointers behind the parameters of a linear layer of `width` inputs and `columns` outputs (whole panels)."""
    weight, scale, total, vector = p
    K = depth(weight, width, group)
    scaled = columns * (K // group)
    return at(weight, columns * K), at(scale, scaled), at(total, scaled), at(vector, columns)


@njit
def copy_rows(source, stride, target, target_stride, rows, width):
    """Copy rows that are `stride` elements apart to rows that are `target_stride` apart."""
    for r in range(rows):
        for j in range(width):
            target[r * target_stride + j] = source[r * stride + j]


@njit(inline="always")
def self_attention(job, source, x, texts, p, model, pattern, work, buffers, y):
    """y = output(attention(source)), head by head: first the columns of a head, then its attention for every text.

    Afterwards only the rows that `keep` names are needed, here and in x, to which y will be added.
    """
    cu_seqlens, first, last, keep = texts
    shape, architecture, eps = model
    D, heads, size, group, group_c = shape[0], shape[2], shape[6], shape[4], shape[7]
    _, qkv, context, _, _, room = work
    rows, stride, wide = cu_seqlens[last] - cu_seqlens[first], padded(D), padded(3 * size)
    C = heads * size
    columns, across = wide - PANEL, padded(C)
    operand = encode(source, stride, rows, D, group, p[0], buffers)
    norms = at(p[3], heads * columns)
    if job[SHARED]:  # all heads at once: more panels to share
        wide = heads * columns
        multiply_shared(job, operand, rows, D, group, p, wide, qkv, wide, NOTHING)
    for h in range(heads):
        if not job[SHARED]:
            multiply(operand, rows, D, group, after(p, D, group, h * columns), columns, qkv, wide, NOTHING)
        head = at(qkv, h * columns if job[SHARED] else 0)
        place_heads(head, wide, texts, size, size, norms, architecture, pattern, eps)
        for text in range(first, last):
            row, n = cu_seqlens[text] - cu_seqlens[first], cu_seqlens[text + 1] - cu_seqlens[text]
            to, seen = at(context, row * across + h * size), reach_of(pattern, h)
            attend(p[0], at(head, row * wide), wide, n, size, to, across, seen, pattern[0] > 0, room)
    p = after(p, D, group, heads * columns)
    if architecture[HEAD_NORMS]:
        p = p[0], p[1], p[2], at(p[3], 2 * size)
    if keep != ALL_ROWS:
        rows = keep_rows(texts, x, stride, D)
        rows = keep_rows(texts, context, across, C)
    operand = encode(context, across, rows, C, group_c, p[0], buffers)
    product(job, operand, rows, C, group_c, p, D, y, stride, NOTHING)
    return after(p, C, group_c, stride - PANEL)


@njit
def product(job, operand, rows, width, group, p, out_width, out, stride, activation):
    """Run multiply on one core, or shared by two."""
    if job[SHARED]:
        multiply_shared(job, operand, rows, width, group, p, out_width, out, stride, activation)
    else:
        multiply(operand, rows, width, group, p, out_width, out, stride, activation)


@njit(inline="always")
def feed_forward(job, source, rows, p, model, work, buffers, y):
    """y = output(gelu(intermediate(source))), some rows at a time; source may be y."""
    shape, architecture, _ = model
    D, F, group_d, group_f = shape[0], shape[1], shape[4], shape[5]
    stride, h = padded(D), work[4]
    wide = padded(2 * F if architecture[GATED] else F)
    q = after(p, D, group_d, wide - PANEL)
    blocks = (rows + FFN_ROWS - 1) // FFN_ROWS
    i = 0
    for block in range(blocks):
        count = (rows - i) // (blocks - block)
        operand = encode(at(source, i * stride), stride, count, D, group_d, p[0], buffers[0])
        operand = intermediate(job, operand, count, D, group_d, p, F, group_f, architecture, h, wide, buffers[1])
        product(job, operand, count, F, group_f, q, D, at(y, i * stride), stride, NOTHING)
        i += count
    return after(q, F, group_f, stride - PANEL)


def intermediate(job, operand, rows, D, group_d, p, F, group_f, architecture, h, wide, buffers):
    """act(intermediate(x)), or act(its first half) times its second, as an operand."""
    raise NotImplementedError


@overload(intermediate)
def _choose_intermediate(job, operand, rows, D, group_d, p, F, group_f, architecture, h, wide, buffers):
    def floats(job, operand, rows, D, group_d, p, F, group_f, architecture, h, wide, buffers):
        widen(job, operand, rows, D, group_d, p, F, architecture, h, wide)
        return h, wide, buffers[1], buffers[2]

    def rounded(job, operand, rows, D, group_d, p, F, group_f, architecture, h, wide, buffers):
        if F % group_f == 0 and group_f % PANEL == 0 and not job[SHARED] and not architecture[GATED]:
            activation = architecture[ACTIVATION]
            return multiply_activate_encode(operand, rows, D, group_d, p, F, group_f, activation, h, buffers)
        widen(job, operand, rows, D, group_d, p, F, architecture, h, wide)
        return encode(h, wide, rows, F, group_f, p[0], buffers)

    return floats if p[0].dtype == types.float32 else rounded


@njit
def widen(job, operand, rows, D, group_d, p, F, architecture, h, wide):
    """The activated intermediate layer; if gated, times its second half."""
    if architecture[GATED] == 0:
        product(job, operand, rows, D, group_d, p, F, h, wide, architecture[ACTIVATION])
        return
    product(job, operand, rows, D, group_d, p, 2 * F, h, wide, NOTHING)
    for r in range(rows):
        gate_row(at(h, r * wide), F, architecture[ACTIVATION], p[0])


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
    """y = norm(x), for architectures with the norm before the block."""
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
def transformer_layer(job, texts, p, model, pattern, zeros, work, buffers, bare):
    """Attention, then feed-forward; each adds its output to its input, and the sum is normalised.

    With pre-norms, the input of each block is normalised instead; a `bare` layer has no norm before attention.
    p points to the parameters of this layer, the result to those after it.
    """
    cu_seqlens, first, last, keep = texts
    shape, architecture, eps = model
    everything = cu_seqlens[last] - cu_seqlens[first]
    rows, D = everything if keep == ALL_ROWS else last - first, shape[0]
    x, _, _, y, _, _ = work
    kind = architecture[PRE_NORM]
    if kind == 0:
        p = self_attention(job, x, x, texts, p, model, pattern, work, buffers[0], y)
        p = add_norm(y, x, rows, p, D, eps)
        p = feed_forward(job, x, rows, p, model, work, buffers, y)
        return add_norm(y, x, rows, p, D, eps)
    p = norm_first(x, everything, p, D, NOTHING if bare else kind, zeros, eps, y)
    p = self_attention(job, y, x, texts, p, model, pattern, work, buffers[0], y)
    p = post_norm(y, rows, p, D, architecture, zeros, eps)
    add_rows(x, y, rows, D)
    p = norm_first(x, rows, p, D, kind, zeros, eps, y)
    p = feed_forward(job, y, rows, p, model, work, buffers, y)
    p = post_norm(y, rows, p, D, architecture, zeros, eps)
    add_rows(x, y, rows, D)
    return p


@njit
def post_norm(y, rows, p, D, architecture, zeros, eps):
    """y = norm(y), if blocks have post-norms."""
    return norm_first(y, rows, p, D, architecture[PRE_NORM], zeros, eps, y) if architecture[POST_NORMS] else p


@njit
def add_rows(x, y, rows, D):
    """x += y."""
    for r in range(rows):
        add_row(at(x, r * padded(D)), at(y, r * padded(D)), D)


@njit
def keep_rows(texts, x, stride, width):
    """Move the first, or last, row of each text to the front; returns the number of these rows."""
    cu_seqlens, first, last, keep = texts
    for text in range(first, last):
        row = (cu_seqlens[text] if keep == FIRST_ROWS else cu_seqlens[text + 1] - 1) - cu_seqlens[first]
        copy_rows(at(x, row * stride), stride, at(x, (text - first) * stride), stride, 1, width)
    return last - first
