"""Numbers on tiles in one or three planes: a float32 is exactly the sum of three bfloat16.

    x = a + b + c      a is x rounded to 8 bits, b is x - a rounded to 8 bits, c is the rest, which has at most 8

A product of two such sums takes six products of planes.  The other three (b c, c b, c c) are left out: together they
are 2^-26 of the product on average, 2^-21 at most, and have either sign.  A tile sums 32 products before it adds them
to the sums of float32, so a row's sum is rounded less often than by multiply-adds of float32, and is closer to the
exact one.

`planes` is (0,) for bfloat16 and int8, and (0, 1, 2) for float32.  Its length is part of its type, so the compiler
makes separate code for both.  In an operand, the planes of a step of 32 columns follow each other:

    A   [row / 16][step][plane][16][32]
    B   [step][plane][16 pairs of rows][32][2]

Source: G. Henry, P. T. P. Tang, A. Heinecke, "Leveraging the bfloat16 Artificial Intelligence Datatype For
Higher-Precision Computations", ARITH 2019.
"""

from typing import Any

from llvmlite import ir
from numba import njit, types

from minembed.kernels.encoder.tiled.plan import DEPTH, SIDE
from minembed.kernels.vectors.emit import I32, VF, VI, broadcast, store_vector
from minembed.kernels.vectors.simd import at, store_bfloat16
from minembed.kernels.vectors.vector import emitted, floats

STEP_A, STEP_B = 16 * SIDE, SIDE * SIDE  # elements of one plane of a step
_shorts, HALVES = types.CPointer(types.uint16), ir.VectorType(ir.IntType(16), 32)


@njit
def step_a(planes):
    """Elements from a step of 16 rows of A to the next."""
    return STEP_A * len(planes)


@njit
def step_b(planes):
    """Elements from a step of a panel to the next."""
    return STEP_B * len(planes)


@njit
def depth_of(planes):
    """Rows of K that a product takes at a time: 24 KB of a panel, which stay in the first-level cache."""
    return DEPTH // len(planes)


@emitted(floats, floats)
def cut(builder: Any, a: Any) -> Any:
    """A float32 cut to the bits of a bfloat16."""
    bits = builder.and_(builder.bitcast(a, VI), broadcast(builder, ir.Constant(I32, -0x10000)))
    return builder.bitcast(bits, VF)


@emitted(floats, floats)
def top(builder: Any, a: Any) -> Any:
    """A float32 rounded to the nearest that is also a bfloat16, halfway cases away from 0; beyond 3.39e38, infinity."""
    bits = builder.add(builder.bitcast(a, VI), broadcast(builder, ir.Constant(I32, 0x8000)))
    return builder.bitcast(builder.and_(bits, broadcast(builder, ir.Constant(I32, -0x10000))), VF)


@emitted(types.void, _shorts, floats, floats)
def store_tops(builder: Any, pointer: Any, low: Any, high: Any) -> None:
    """Write the upper halves of 32 numbers, one after the other."""
    halves = (builder.bitcast(v, HALVES) for v in (low, high))
    lanes = ir.Constant(ir.VectorType(I32, 32), [2 * lane + 1 for lane in range(32)])
    store_vector(builder, pointer, builder.shuffle_vector(*halves, lanes))


@emitted(types.void, _shorts, floats, floats)
def store_pairs(builder: Any, pointer: Any, even: Any, odd: Any) -> None:
    """Write the upper halves of 16 pairs of numbers."""
    low = builder.lshr(builder.bitcast(even, VI), broadcast(builder, ir.Constant(I32, 16)))
    high = builder.and_(builder.bitcast(odd, VI), broadcast(builder, ir.Constant(I32, -0x10000)))
    store_vector(builder, pointer, builder.or_(low, high))


@njit
def store_planes(to, apart, low, high, planes):
    """Write 32 numbers, with the planes `apart` elements from each other."""
    if len(planes) == 1:
        store_bfloat16(to, low), store_bfloat16(at(to, 16), high)
        return
    a, b = top(low), top(high)
    store_tops(to, a, b)
    low, high = low - a, high - b
    a, b = top(low), top(high)
    store_tops(at(to, apart), a, b)
    store_tops(at(to, 2 * apart), low - a, high - b)


@njit
def store_pairs_planes(to, even, odd):
    """Write 16 pairs of numbers to the three planes of a step of B.

    They are cut, not rounded, which is cheaper: what is left out of a product then still has any sign, since the planes
    of A are rounded.
    """
    a, b = cut(even), cut(odd)
    store_pairs(to, a, b)
    even, odd = even - a, odd - b
    a, b = cut(even), cut(odd)
    store_pairs(at(to, STEP_B), a, b)
    store_pairs(at(to, 2 * STEP_B), even - a, odd - b)
