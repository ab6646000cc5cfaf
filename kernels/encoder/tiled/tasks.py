"""The four kinds of task in a layer; each task can be done by either of two cores, with the same bits.

    head      queries, keys and values of one head, then its attention in every text    -> context
    output    some columns of attention's output, added to the hidden states            -> x
    widen     some columns of the feed-forward block's hidden layer                     -> h
    narrow    some columns of the feed-forward block's output, added                    -> x

Arguments:
    texts = (cu_seqlens, first, last)           the texts of this chunk
    p = (weights, scales, vectors)              pointers to this layer's parameters, laid out as in plan.py
    model = (plan, architecture, eps, planes)   planes as in planes.py
    work = (x, ax, context, h, y, to)           hidden states; operands; partial sums; where sums are added: x, or zeros
    own = (projected, columns, room, c, panel)  buffers that each core has separately

A panel of weights stays in the first-level cache while the rows of all texts are streamed.
"""

from numba import njit

from minembed.kernels.encoder.architecture import ACTIVATION, GATED, HEAD_NORMS
from minembed.kernels.encoder.heads import place_heads, reach_of
from minembed.kernels.encoder.tiled.attention import attend
from minembed.kernels.encoder.tiled.buffers import stride_of
from minembed.kernels.encoder.tiled.finish import ACTIVATE, ADD, GATE, KEEP, KINDS, ROUND
from minembed.kernels.encoder.tiled.panels import panel_of, rows_of
from minembed.kernels.encoder.tiled.plan import (
    B_DOWN,
    B_OUT,
    B_QKV,
    B_UP,
    GROUP_C,
    GROUP_D,
    GROUP_F,
    HEAD,
    HEADS,
    N_HEADS,
    S_DOWN,
    S_OUT,
    S_UP,
    SIDE,
    SIZE,
    SLOT,
    W_DOWN,
    W_OUT,
    W_UP,
    WIDE,
    F,
)
from minembed.kernels.encoder.tiled.planes import step_a, store_planes
from minembed.kernels.encoder.tiled.products import apart, finish_last, multiply_panel, nothing
from minembed.kernels.encoder.tiled.workspace import BAND
from minembed.kernels.vectors.simd import at, load


@njit
def head(tmm, h, rows, texts, p, model, pattern, work, own):
    """Attention of one head."""
    plan, planes = model[0], model[3]
    cu_seqlens, first, last = texts
    project(tmm, h, rows, texts, p, model, pattern, work, own)
    projected, room, size = own[0], own[2], plan[HEAD]
    q, k, v = projected
    context, seen, start = at(work[2], h * size // SIDE * step_a(planes)), reach_of(pattern, h), cu_seqlens[first]
    for text in range(first, last):
        row, n = cu_seqlens[text] - start, cu_seqlens[text + 1] - cu_seqlens[text]
        place = row * size * len(planes)
        of_text = at(q, place), at(k, place), at(v, place)
        attend(tmm, of_text, n, size, context, row, plan[HEADS] * size, seen, pattern[0] > 0, room, planes)


@njit
def project(tmm, h, rows, texts, p, model, pattern, work, own):
    """Queries, keys and values of a head, as operands; normalised and rotated first, if the architecture does so."""
    plan, architecture, _, planes = model
    x, ax, _, _, _, _ = work
    projected, columns, _, c, room = own
    wide, size = plan[WIDE], plan[HEAD]
    placed = architecture[HEAD_NORMS] != 0 or pattern[5] != 0 or len(planes) > 1
    before = nothing(c, p[2], ax, x)
    for part in range(3):
        to = projected[0] if part == 0 else projected[1] if part == 1 else projected[2]
        for column in range(0, size, SIDE):
            here = (3 * h + part) * size + column
            w, bias = panel_of(p, plan, 0, 0, wide, plan[GROUP_D], here // SIDE), at(p[2], plan[B_QKV] + here)
            if placed:
                out = at(columns, part * size + column)
                goal = (KEEP, bias, ax, out, 3 * size, 0, 0, SIDE * 3 * size)
            else:
                goal = (ROUND, bias, at(to, column), x, size, 0, SIDE * size, 0)
            soon, space = rows_of(w, wide), apart(wide, planes)
            before = multiply_panel(
                tmm, rows, ax, wide, w, 0, wide, soon, True, True, room, c, space, goal, before, planes
            )  # fmt: skip
    finish_last(before, planes)
    if placed:
        round_columns(rows, texts, p, model, pattern, own)


@njit
def round_columns(rows, texts, p, model, pattern, own):
    """Normalise and rotate a head's float32 columns, and write them as queries, keys and values."""
    plan, architecture, eps, planes = model
    (q, k, v), columns, _, _, _ = own
    size = plan[HEAD]
    norms, where = at(p[2], plan[N_HEADS]), (texts[0], texts[1], texts[2], 0)
    place_heads(columns, 3 * size, where, plan[SIZE], size, norms, architecture, pattern, eps)
    for r in range(rows):
        for j in range(0, size, SIDE):
            row, to = at(columns, 3 * r * size + j), r * size * len(planes) + j
            store_planes(at(q, to), size, load(row), load(at(row, 16)), planes)
            store_planes(at(k, to), size, load(at(row, size)), load(at(row, size + 16)), planes)
            store_planes(at(v, to), size, load(at(row, 2 * size)), load(at(row, 2 * size + 16)), planes)


@njit
def output_panels(tmm, first, last, rows, p, model, work, own, before):
    """to += bias + context W, for the panels first...last-1, the last block of which waits to be finished."""
    plan, planes = model[0], model[3]
    _, ax, context, _, _, to = work
    c, room, across, stride = own[3], own[4], plan[HEADS] * plan[HEAD], stride_of(plan)
    space = apart(across, planes)
    for panel in range(first, last):
        w = panel_of(p, plan, plan[W_OUT], plan[S_OUT], across, plan[GROUP_C], panel)
        goal = (ADD, at(p[2], plan[B_OUT] + panel * SIDE), ax, at(to, panel * SIDE), stride, 0, 0, SIDE * stride)
        soon = rows_of(w, across)
        before = multiply_panel(
            tmm, rows, context, across, w, 0, across, soon, True, True, room, c, space, goal, before, planes
        )  # fmt: skip
    return before


@njit
def output(tmm, first, last, rows, p, model, work, own):
    """The same for one call, finished."""
    before = nothing(own[3], p[2], work[1], work[0])
    finish_last(output_panels(tmm, first, last, rows, p, model, work, own, before), model[3])


@njit
def widen_panels(tmm, first, last, rows, part, p, model, work, own, before):
    """h = activation(bias + ax W) for the panels first...last-1 of a part; if gated, times their other half.

    part = (i, column, width): h contains `width` columns of the hidden layer from `column` on, for rows from i on.
    """
    plan, architecture, _, planes = model
    x, ax, _, h, _, _ = work
    i, column, width = part
    c, room, wide, gated = own[3], own[4], plan[WIDE], architecture[GATED] != 0
    deep = 16 * width * len(planes)  # from 16 rows of h to the next
    kind, a, space = architecture[ACTIVATION] * KINDS, at(ax, i * wide * len(planes)), apart(wide, planes)
    for panel in range(first, last):
        here, group = column + panel * SIDE, plan[GROUP_D]
        w, bias = panel_of(p, plan, plan[W_UP], plan[S_UP], wide, group, here // SIDE), at(p[2], plan[B_UP] + here)
        to, soon = at(h, panel * step_a(planes)), rows_of(w, wide)
        if gated:
            goal = (kind + GATE, bias, to, x, deep, plan[F], 2 * deep, 0)
            beside = panel_of(p, plan, plan[W_UP], plan[S_UP], wide, group, (here + plan[F]) // SIDE)
            then = rows_of(beside, 0)
            before = multiply_panel(
                tmm, rows, a, wide, w, 0, wide, then, True, False, room, c, 2 * SLOT, goal, before, planes
            )  # fmt: skip
            before = multiply_panel(
                tmm, rows, a, wide, beside, 0, wide, soon, True, True, room, at(c, SLOT), 2 * SLOT, goal, before, planes
            )
        else:
            goal = (kind + ACTIVATE, bias, to, x, deep, 0, 2 * deep, 0)
            before = multiply_panel(
                tmm, rows, a, wide, w, 0, wide, soon, True, True, room, c, space, goal, before, planes
            )  # fmt: skip
    return before


@njit
def widen(tmm, first, last, rows, part, p, model, work, own):
    """The same for one call, finished."""
    before = nothing(own[3], p[2], work[1], work[0])
    finish_last(widen_panels(tmm, first, last, rows, part, p, model, work, own, before), model[3])


@njit
def narrow_panels(tmm, first, last, rows, part, p, model, work, own, before):
    """to += bias + h W, for the panels first...last-1 and the part of K that is in h.

    Sums of earlier parts are kept in y; the last part adds to the hidden states.
    """
    plan, planes = model[0], model[3]
    _, ax, _, h, y, to = work
    i, column, width = part
    stride, hidden, blocks = stride_of(plan), plan[F], BAND // SIDE + 1
    begins, ends = column == 0, column + width == hidden
    whole = begins and ends
    space = apart(width, planes) if whole else SLOT
    for panel in range(first, last):
        w = panel_of(p, plan, plan[W_DOWN], plan[S_DOWN], hidden, plan[GROUP_F], panel)
        place = at(to, i * stride + panel * SIDE)
        goal = (ADD, at(p[2], plan[B_DOWN] + panel * SIDE), ax, place, stride, 0, 0, SIDE * stride)
        sums, soon = own[3] if whole else at(y, panel * blocks * SLOT), rows_of(w, hidden + column)
        before = multiply_panel(
            tmm, rows, h, width, w, column, width, soon, begins, ends, own[4], sums, space, goal, before, planes
        )  # fmt: skip
    return before


@njit
def narrow(tmm, first, last, rows, part, p, model, work, own):
    """The same for one call, finished."""
    before = nothing(own[3], p[2], work[1], work[0])
    finish_last(narrow_panels(tmm, first, last, rows, part, p, model, work, own, before), model[3])
