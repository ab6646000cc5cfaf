"""The pieces of work of an encoder on tiles as functions on arrays, in buffers that are filled with NaN before.

They are kept on disk like the kernels, in a folder whose name has a hash of this file.
"""

import hashlib
from pathlib import Path

import numpy as np
from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.heads import pattern_of
from minembed.kernels.encoder.tiled import softmax, tasks
from minembed.kernels.encoder.tiled.buffers import lay_out_own, lay_out_shared, stride_of
from minembed.kernels.encoder.tiled.norms import place_in
from minembed.kernels.encoder.tiled.plan import HEAD, HEADS, SIZE, WIDE, F
from minembed.kernels.encoder.tiled.tiled_encoder import Scratch
from minembed.kernels.tiles.amx import HARDWARE, begin, end, registers
from minembed.kernels.tiles.shapes import CONFIG
from minembed.kernels.vectors.simd import address, at, load, store_bfloat16

WIDEN, NARROW, OUTPUT, PROJECT, ATTEND = range(5)
SIDE, ONE = 32, (0,)  # one plane: bfloat16
HASH = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:8]


def kept(function):
    return on_disk(function, f"{'amx' if HARDWARE else 'emulated'}-tests-{HASH}")


@njit
def put(x, rows, first, width, stride, operand):
    """Some columns of a matrix as an operand, rounded."""
    for r in range(rows):
        to = place_in(operand, r, width, ONE)
        for c in range(0, width, SIDE):
            for half in range(0, SIDE, 16):
                store_bfloat16(at(to, c * 16 + half), load(at(x, r * stride + first + c + half)))


@njit
def take(operand, rows, width, out):
    """An operand as a matrix of words."""
    for r in range(rows):
        row = place_in(operand, r, width, ONE)
        for c in range(width):
            out[r * width + c] = row[c // SIDE * 512 + c % SIDE]


@kept
@njit(nogil=True, boundscheck=False, error_model="numpy")
def run_task(
    which, config, x, cu_seqlens, part, weights, scales, vectors, bias, rotary, patterns, plan, architecture, eps,
    floats, own, rows, out, shorts,
):  # fmt: skip
    tmm, model = registers(), (plan, architecture, eps, ONE)
    begin(tmm, address(config, 0))
    states, ax, context, h, y, _ = lay_out_shared(floats, rows, plan)
    work, buffers = (states, ax, context, h, y, states), lay_out_own(own, rows, plan)
    p, source, to, words = (
        (address(weights, 0), address(scales, 0), address(vectors, 0)),
        address(x, 0),
        address(out, 0),
        address(shorts, 0),
    )
    texts, stride = (address(cu_seqlens, 0), 0, len(cu_seqlens) - 1), stride_of(plan)
    pattern = pattern_of((address(patterns, 0), address(bias, 0), address(rotary, 0), plan[SIZE] // 2), 0)
    for r in range(rows):
        for c in range(plan[WIDE]):
            states[r * stride + c] = to[r * plan[WIDE] + c]
    if which == WIDEN:
        put(source, rows, 0, plan[WIDE], plan[WIDE], ax)
        tasks.widen(tmm, 0, part[1] // SIDE, rows, (0, part[0], part[1]), p, model, work, buffers)
        take(h, rows, part[1], words)
    elif which == NARROW:
        for column in range(0, plan[F], part[1]):
            width = min(part[1], plan[F] - column)
            put(source, rows, column, width, plan[F], h)
            tasks.narrow(tmm, 0, plan[WIDE] // SIDE, rows, (0, column, width), p, model, work, buffers)
    elif which == OUTPUT:
        across = plan[HEADS] * plan[HEAD]
        put(source, rows, 0, across, across, context)
        tasks.output(tmm, 0, plan[WIDE] // SIDE, rows, p, model, work, buffers)
    else:
        put(source, rows, 0, plan[WIDE], plan[WIDE], ax)
        if which == ATTEND:
            for head in range(plan[HEADS]):
                tasks.head(tmm, head, rows, texts, p, model, pattern, work, buffers)
            take(context, rows, plan[HEADS] * plan[HEAD], words)
        else:
            tasks.project(tmm, part[0], rows, texts, p, model, pattern, work, buffers)
            q, k, v = buffers[0]
            for j in range(rows * plan[HEAD]):
                words[3 * j], words[3 * j + 1], words[3 * j + 2] = q[j], k[j], v[j]
    for r in range(rows):
        for c in range(plan[WIDE]):
            to[r * plan[WIDE] + c] = states[r * stride + c]
    end(tmm)


def task(which, model, x, part=(0, 0), lengths=None, states=None):
    """What a task makes of an operand: the hidden states, or words as float32, in one row a token.

    part      which head; or of the hidden layer the first column, and how many
    states    what the task adds to
    """
    x = np.ascontiguousarray(x, np.float32)
    rows, plan, p = len(x), model.plan, model.packed
    room = Scratch.make(rows, plan)
    room.floats[:] = room.own[0][:] = np.nan
    out = np.zeros((rows, plan[WIDE]), np.float32)
    if states is not None:
        out[:, : states.shape[1]] = states
    width = {WIDEN: part[1], PROJECT: 3 * plan[HEAD], ATTEND: plan[HEADS] * plan[HEAD]}.get(which, 0)
    shorts = np.zeros(rows * width, np.uint16)
    cu_seqlens = np.cumsum([0, *(lengths or [rows])])
    run_task(
        which, CONFIG, np.append(x, np.zeros(64, np.float32)), cu_seqlens, tuple(map(int, part)), p.weights,
        p.scales, p.vectors, *model.patterns, plan, model.architecture, np.float32(model.config.layer_norm_eps),
        room.floats, room.own[0],
        rows, out.reshape(-1), shorts,
    )  # fmt: skip
    if not width:
        return out
    found = (shorts.astype(np.uint32) << 16).view(np.float32).reshape(rows, width)
    return found.reshape(rows, -1, 3).transpose(2, 0, 1) if which == PROJECT else found


@kept
@njit(nogil=True, boundscheck=False, error_model="numpy")
def run_softmax(scores, stride, rows, n, padded, weights, sums):
    softmax.softmax_rows(
        address(scores, 0), stride, rows, n, padded, address(weights, 0), stride, address(sums, 0), ONE
    )  # fmt: skip


def softmax_of(scores):
    """The attention weights of some rows, as float32, and their sums; nothing is written beyond whole steps of 32."""
    rows, n = scores.shape
    padded, blocks = -(-n // 32) * 32, -(-rows // 4) * 4
    wide = np.full((blocks, padded + 48), np.nan, np.float32)
    wide[:rows, :n] = scores
    weights, sums = np.full(wide.shape, 0x4711, np.uint16), np.full(blocks, np.nan, np.float32)
    run_softmax(wide.reshape(-1), padded + 48, rows, n, padded, weights.reshape(-1), sums)
    assert (weights[:rows, padded:] == 0x4711).all()
    found = (weights[:rows, :padded].astype(np.uint32) << 16).view(np.float32)
    sums = sums[:rows]
    assert not found[~np.isnan(sums), n:].any()  # what is beyond is multiplied by what lies there
    return found[:, :n], sums
