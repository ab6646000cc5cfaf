"""Finishing a block's sums: a bias, and then rounding, an activation, gating, or adding them to an array.

A block that waits is a tuple:

    (kind, rows, sums, bias, words, floats, stride, next)

    kind     one of those below; results are written to `words` (an operand, or rows of bfloat16) or `floats`
    rows     their number; 0 if nothing waits
    stride   from a row to the next, in elements
    next     from the 16th row to the 17th: operands are stored in blocks of 16 rows
"""

from numba import njit

from minembed.kernels.encoder.architecture import GELU
from minembed.kernels.encoder.tiled.plan import SIDE, SLOT
from minembed.kernels.encoder.tiled.planes import STEP_A, store_planes
from minembed.kernels.encoder.tiled.vectors import activate, gelu_of
from minembed.kernels.vectors.simd import at, load, store, store_bfloat16

ROUND, ACTIVATE, GATE, ADD, KEEP = 0, 1, 2, 3, 4
KINDS = 8  # more than there are: a kind is one of them, plus KINDS times the activation


@njit
def finish(before, start, stop, planes):
    """Finish rows start...stop-1 of a block."""
    kind, _, sums, bias, words, floats, stride, following = before
    if start >= stop:
        return
    low, high = load(bias), load(at(bias, 16))
    activation, kind = kind // KINDS, kind % KINDS
    if kind == ADD:
        for r in range(start, stop):
            c, to = at(sums, r * SIDE), at(floats, r * stride)
            store(to, load(to) + (load(c) + low))
            store(at(to, 16), load(at(to, 16)) + (load(at(c, 16)) + high))
    elif kind == ROUND:
        for r in range(start, stop):
            c, to = at(sums, r * SIDE), at(words, r * stride)
            store_bfloat16(to, load(c) + low), store_bfloat16(at(to, 16), load(at(c, 16)) + high)
    elif kind == KEEP:
        for r in range(start, stop):
            c, to = at(sums, r * SIDE), at(floats, r * stride)
            store(to, load(c) + low), store(at(to, 16), load(at(c, 16)) + high)
    elif kind == GATE:
        low_, high_ = load(at(bias, following)), load(at(bias, following + 16))
        for r in range(start, stop):
            c, to = at(sums, r * SIDE), at(words, (r >> 4) * stride + (r & 15) * SIDE)
            gate = at(c, -SLOT)  # the block before, which was kept
            first = activate(load(gate) + low, activation, planes) * (load(c) + low_)
            second = activate(load(at(gate, 16)) + high, activation, planes) * (load(at(c, 16)) + high_)
            store_planes(to, STEP_A, first, second, planes)
    elif activation == GELU:
        for r in range(start, stop):
            c, to = at(sums, r * SIDE), at(words, (r >> 4) * stride + (r & 15) * SIDE)
            store_planes(to, STEP_A, gelu_of(load(c) + low, planes), gelu_of(load(at(c, 16)) + high, planes), planes)
    else:
        for r in range(start, stop):
            c, to = at(sums, r * SIDE), at(words, (r >> 4) * stride + (r & 15) * SIDE)
            first = activate(load(c) + low, activation, planes)
            store_planes(to, STEP_A, first, activate(load(at(c, 16)) + high, activation, planes), planes)
