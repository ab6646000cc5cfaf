"""One layer of the encoder on tiles: attention, then feed-forward; each adds its output to its input.

The sum is normalised, or, with pre-norms, the input.  Arguments of the functions are described in tasks.py.
"""

from numba import njit

from minembed.kernels.encoder.architecture import ALL_ROWS, FIRST_ROWS, LAYER_NORM, NOTHING, POST_NORMS, PRE_NORM
from minembed.kernels.encoder.elementwise import add_row
from minembed.kernels.encoder.job import SHARED
from minembed.kernels.encoder.layer import copy_rows
from minembed.kernels.encoder.tiled.buffers import slice_of, stride_of
from minembed.kernels.encoder.tiled.norms import norm_row, place_in
from minembed.kernels.encoder.tiled.order import HEAD_PHASE, NARROW_PHASE, OUTPUT_PHASE, WIDEN_PHASE
from minembed.kernels.encoder.tiled.plan import HEAD, HEADS, NORM_A, NORM_B, POST_A, POST_B, SIDE, WIDE, D, F
from minembed.kernels.encoder.tiled.planes import STEP_A
from minembed.kernels.encoder.tiled.sharing import do_phase
from minembed.kernels.encoder.tiled.tasks import head, narrow, output, widen
from minembed.kernels.encoder.tiled.workspace import BAND
from minembed.kernels.vectors.simd import at


@njit
def transformer_layer(tmm, job, layer, texts, keep, p, model, pattern, work, own, bare):
    """The whole layer; a `bare` one has no norm before attention, the last one computes only the rows of `keep`."""
    plan, architecture, _, _ = model
    cu_seqlens, first, last = texts
    rows, kind = cu_seqlens[last] - cu_seqlens[first], architecture[PRE_NORM]
    if kind == 0:
        rows = self_attention(tmm, job, layer, texts, keep, rows, p, model, pattern, work, own)
        norm_rows(rows, at(p[2], plan[NORM_A]), LAYER_NORM, True, model, work)
        feed_forward(tmm, job, layer, rows, texts, p, model, pattern, work, own)
        norm_rows(rows, at(p[2], plan[NORM_B]), LAYER_NORM, True, model, work)
        return
    norm_rows(rows, at(p[2], plan[NORM_A]), NOTHING if bare else kind, False, model, work)
    rows = self_attention(tmm, job, layer, texts, keep, rows, p, model, pattern, work, own)
    add_sum(rows, at(p[2], plan[POST_A]), model, work)
    norm_rows(rows, at(p[2], plan[NORM_B]), kind, False, model, work)
    feed_forward(tmm, job, layer, rows, texts, p, model, pattern, work, own)
    add_sum(rows, at(p[2], plan[POST_B]), model, work)


@njit
def self_attention(tmm, job, layer, texts, keep, rows, p, model, pattern, work, own):
    """x += output(attention(ax)); returns the number of rows that `keep` leaves."""
    plan, architecture, _, planes = model
    if job[SHARED]:
        do_phase(tmm, job, HEAD_PHASE, layer, rows, texts, p, model, pattern, work, own)
    else:
        for h in range(plan[HEADS]):
            head(tmm, h, rows, texts, p, model, pattern, work, own)
    if keep != ALL_ROWS:
        rows = keep_rows(texts, keep, plan, work, planes)
    begin_sum(rows, plan, architecture, work)
    if job[SHARED]:
        do_phase(tmm, job, OUTPUT_PHASE, layer, rows, texts, p, model, pattern, work, own)
    else:
        output(tmm, 0, plan[WIDE] // SIDE, rows, p, model, work, own)
    return rows


@njit
def feed_forward(tmm, job, layer, rows, texts, p, model, pattern, work, own):
    """x += output(activation(intermediate(ax))), in bands of rows that stay in the second-level cache."""
    plan, architecture, _, _ = model
    begin_sum(rows, plan, architecture, work)
    if job[SHARED]:
        do_phase(tmm, job, WIDEN_PHASE, layer, rows, texts, p, model, pattern, work, own)
        do_phase(tmm, job, NARROW_PHASE, layer, rows, texts, p, model, pattern, work, own)
        return
    across, i = slice_of(plan), 0
    bands = (rows + BAND - 1) // BAND
    for left in range(bands, 0, -1):
        count = rows - i if left == 1 else ((rows - i) // left + SIDE - 1) // SIDE * SIDE
        for column in range(0, plan[F], across):
            part = i, column, min(across, plan[F] - column)
            widen(tmm, 0, part[2] // SIDE, count, part, p, model, work, own)
            narrow(tmm, 0, plan[WIDE] // SIDE, count, part, p, model, work, own)
        i += count


@njit
def norm_rows(rows, norm, kind, keep, model, work):
    """ax = norm(x), as an operand, and also x = norm(x) if `keep`."""
    plan, _, eps, planes = model
    x, ax, stride = work[0], work[1], stride_of(plan)
    for r in range(rows):
        to = place_in(ax, r, plan[WIDE], planes)
        norm_row(at(x, r * stride), plan[D], plan[WIDE], norm, kind, eps, keep, to, planes)


@njit
def begin_sum(rows, plan, architecture, work):
    """Prepare the array that blocks add to: x, or, with post-norms, zeros, which are normalised and then added to x."""
    if architecture[POST_NORMS]:
        for j in range(rows * stride_of(plan)):
            work[5][j] = 0


@njit
def add_sum(rows, norm, model, work):
    """x += norm(sum), if blocks have post-norms; ax is free then."""
    plan, architecture, eps, planes = model
    x, ax, to, stride = work[0], work[1], work[5], stride_of(plan)
    if architecture[POST_NORMS]:
        for r in range(rows):
            row = at(to, r * stride)
            norm_row(row, plan[D], plan[WIDE], norm, architecture[PRE_NORM], eps, True, ax, planes)
            add_row(at(x, r * stride), row, plan[WIDE])


@njit
def keep_rows(texts, keep, plan, work, planes):
    """Move the first, or last, row of each text to the front; returns the number of these rows."""
    cu_seqlens, first, last = texts
    x, context, stride, across = work[0], work[2], stride_of(plan), plan[HEADS] * plan[HEAD]
    for text in range(first, last):
        row, to = (
            (cu_seqlens[text] if keep == FIRST_ROWS else cu_seqlens[text + 1] - 1) - cu_seqlens[first],
            text - first,
        )
        copy_rows(at(x, row * stride), stride, at(x, to * stride), stride, 1, plan[D])
        source, target = place_in(context, row, across, planes), place_in(context, to, across, planes)
        copy_rows(source, STEP_A, target, STEP_A, across // SIDE * len(planes), SIDE)
    return last - first
