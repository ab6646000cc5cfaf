"""Finishing a block's sums: a bias, and then rounding, an activation, gating, or adding them to an array.

A block that waits is a tuple:

    (kind, rows, sums, bias, words, floats, stride, next)

    kind     one of those below; results are written to `words` (bfloat16) or `floats`
    rows     their number; 0 if nothing waits
    stride   from a row to the next, in elements
    next     from the 16th row to the 17th: operands are stored in blocks of 16 rows
"""

from numba import njit

from minembed.kernels.encoder.architecture import GELU
from minembed.kernels.encoder.elementwise import gelu_short
from minembed.kernels.encoder.tiled.plan import SIDE, SLOT
from minembed.kernels.encoder.tiled.vectors import activate_short
from minembed.kernels.vectors.simd import at, load, store, store_bfloat16

ROUND, ACTIVATE, GATE, ADD, KEEP = 0, 1, 2, 3, 4
KINDS = 8  # more than there are: a kind is one of them, plus KINDS times the activation


@njit
def finish(before, start, stop):
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
            store_bfloat16(to, activate_short(load(gate) + low, activation) * (load(c) + low_))
            gate, c = at(gate, 16), at(c, 16)
            store_bfloat16(at(to, 16), activate_short(load(gate) + high, activation) * (load(c) + high_))
    elif activation == GELU:
        for r in range(start, stop):
            c, to = at(sums, r * SIDE), at(words, (r >> 4) * stride + (r & 15) * SIDE)
            (
                store_bfloat16(to, gelu_short(load(c) + low)),
                store_bfloat16(at(to, 16), gelu_short(load(at(c, 16)) + high)),
            )
    else:
        for r in range(start, stop):
            c, to = at(sums, r * SIDE), at(words, (r >> 4) * stride + (r & 15) * SIDE)
            store_bfloat16(to, activate_short(load(c) + low, activation))
            store_bfloat16(at(to, 16), activate_short(load(at(c, 16)) + high, activation))
