"""Vectors of 16 lanes as values of Numba: a kernel reads like the formula, and compiles to vector instructions.

    x = load(p)                              16 floats from a pointer
    y = fma(x, splat(scale), y)              one instruction on AVX-512, two on AVX2, four on NEON
    store(q, maximum(y, splat(zero)))

Why: Numba's loop vectoriser leaves float maxima, table look-ups and mixed types scalar, and has no vector exp.  Each
function here becomes a few lines of LLVM's vector IR, which it compiles to CPU instructions.  Pointers are Numba's
CPointer: `address(array, i)` makes one, `at(p, n)` moves it by n elements, `p[n]` reads a scalar.  Nothing is checked.
The same in plain NumPy, to step through, is minembed/transformer/encoder.py and minembed/transformer/ops.py.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minembed.kernels.vectors.emit import (
    F32,
    I8,
    I32,
    I64,
    VF,
    VI,
    broadcast,
    call,
    declare,
    first_mask,
    fold,
    larger,
    load_vector,
    move,
    of_floats,
    round_bfloat16,
    smaller,
    store_vector,
)
from minembed.kernels.vectors.instruction_sets import LANES
from minembed.kernels.vectors.vector import emitted, floats, ints

_pointer = types.CPointer(types.float32)
_bytes, _shorts = types.CPointer(types.uint8), types.CPointer(types.uint16)


@intrinsic
def address(typing_context: Any, array: Any, index: Any) -> Any:
    """The address of element `index` of a contiguous array."""
    sig = types.CPointer(array.dtype)(array, types.int64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return move(builder, data, args[1])

    return sig, generate


@emitted(None, None, types.int64)
def at(builder: Any, pointer: Any, n: Any) -> Any:
    """The pointer moved by n elements."""
    return move(builder, pointer, n)


@emitted(floats, _pointer)
def load(builder: Any, pointer: Any) -> Any:
    """Load 16 floats."""
    return load_vector(builder, pointer)


@emitted(types.void, _pointer, floats)
def store(builder: Any, pointer: Any, value: Any) -> None:
    """Write 16 floats."""
    store_vector(builder, pointer, value)


@emitted(floats, _pointer, types.int64, floats)
def load_part(builder: Any, pointer: Any, count: Any, other: Any) -> Any:
    """Load the first `count` floats; the other lanes are those of `other`; nothing beyond is read."""
    where = builder.bitcast(pointer, VF.as_pointer())
    mask = first_mask(builder, count)
    function = declare(
        builder, "llvm.masked.load.v16f32.p0", VF, [VF.as_pointer(), I32, ir.VectorType(ir.IntType(1), LANES), VF]
    )
    return builder.call(function, [where, ir.Constant(I32, 4), mask, other])


@emitted(types.void, _pointer, floats, types.int64)
def store_part(builder: Any, pointer: Any, value: Any, count: Any) -> None:
    """Write the first `count` lanes."""
    where = builder.bitcast(pointer, VF.as_pointer())
    mask = first_mask(builder, count)
    function = declare(
        builder,
        "llvm.masked.store.v16f32.p0",
        ir.VoidType(),
        [VF, VF.as_pointer(), I32, ir.VectorType(ir.IntType(1), LANES)],
    )
    builder.call(function, [value, where, ir.Constant(I32, 4), mask])


@emitted(floats, floats, types.int64)
def first_lanes(builder: Any, value: Any, count: Any) -> Any:
    """The first `count` lanes, and zeros in the others."""
    return builder.select(first_mask(builder, count), value, ir.Constant(VF, [0.0] * LANES))


@emitted(floats, types.float32)
def splat(builder: Any, scalar: Any) -> Any:
    """The same number in every lane."""
    return broadcast(builder, scalar)


@emitted(floats, floats, floats, floats)
def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once if the CPU can."""
    return of_floats(builder, "fmuladd", a, b, c)


@emitted(floats, floats, floats)
def maximum(builder: Any, a: Any, b: Any) -> Any:
    """The larger in each lane; b if either is NaN, so pass what may be NaN as b."""
    return larger(builder, a, b)


@emitted(floats, floats, floats)
def minimum(builder: Any, a: Any, b: Any) -> Any:
    """The smaller in each lane; b if either is NaN."""
    return smaller(builder, a, b)


@emitted(floats, floats)
def negative(builder: Any, a: Any) -> Any:
    """-a."""
    return builder.fneg(a)


@emitted(floats, floats)
def absolute(builder: Any, a: Any) -> Any:
    """|a|."""
    return of_floats(builder, "fabs", a)


@emitted(floats, floats)
def square_root(builder: Any, a: Any) -> Any:
    """The square root, rounded correctly."""
    return of_floats(builder, "sqrt", a)


@emitted(floats, floats)
def nearest(builder: Any, a: Any) -> Any:
    """The nearest whole number, ties to even."""
    return of_floats(builder, "rint", a)


@emitted(ints, floats)
def to_int(builder: Any, a: Any) -> Any:
    """Convert integers to int32; the result is undefined for numbers that do not fit."""
    return builder.fptosi(a, ir.VectorType(I32, a.type.count))


@emitted(types.float32, floats)
def sum_lanes(builder: Any, a: Any) -> Any:
    """The sum of all lanes, in a fixed order."""
    return fold(builder, a, builder.fadd)


@emitted(types.float32, floats)
def max_lanes(builder: Any, a: Any) -> Any:
    """The largest lane."""
    return fold(builder, a, lambda x, y: larger(builder, x, y))


@emitted(types.float32, floats)
def min_lanes(builder: Any, a: Any) -> Any:
    """The smallest lane."""
    return fold(builder, a, lambda x, y: smaller(builder, x, y))


@emitted(types.int64, floats, floats)
def reached(builder: Any, a: Any, b: Any) -> Any:
    """A bit for each lane, set if a is at least b."""
    lanes = builder.bitcast(builder.fcmp_ordered(">=", a, b), ir.IntType(LANES))
    return builder.zext(lanes, I64)


@emitted(floats, floats, floats, floats)
def where_reached(builder: Any, a: Any, b: Any, other: Any) -> Any:
    """a in lanes where a is at least b, `other` in the rest."""
    return builder.select(builder.fcmp_ordered(">=", a, b), a, other)


@emitted(types.int64, types.int64)
def count_bits(builder: Any, bits: Any) -> Any:
    """The number of bits that are set."""
    return call(builder, "llvm.ctpop.i64", bits)


@emitted(types.int64, types.int64)
def first_bit(builder: Any, bits: Any) -> Any:
    """The index of the lowest bit that is set."""
    return call(builder, "llvm.cttz.i64", bits, ir.Constant(ir.IntType(1), 0))


@emitted(types.void, _bytes, ints)
def store_bytes(builder: Any, pointer: Any, value: Any) -> None:
    """Write the lowest byte of each lane."""
    store_vector(builder, pointer, builder.trunc(value, ir.VectorType(I8, LANES)))


@emitted(types.void, _shorts, floats)
def store_bfloat16(builder: Any, pointer: Any, value: Any) -> None:
    """Write 16 floats as bfloat16, rounded to nearest even."""
    store_vector(builder, pointer, round_bfloat16(builder, value))


@emitted(floats, types.CPointer(types.int8))
def load_signed_bytes(builder: Any, pointer: Any) -> Any:
    """Load 16 int8 as floats."""
    return builder.sitofp(builder.sext(load_vector(builder, pointer, ir.VectorType(I8, LANES)), VI), VF)


@emitted(floats, _shorts)
def load_bfloat16(builder: Any, pointer: Any) -> Any:
    """Load 16 bfloat16 as floats: they are the upper halves."""
    halves = builder.zext(load_vector(builder, pointer, ir.VectorType(ir.IntType(16), LANES)), VI)
    return builder.bitcast(builder.shl(halves, broadcast(builder, ir.Constant(I32, 16))), VF)


@emitted(ints, floats, floats)
def pair_bfloat16(builder: Any, a: Any, b: Any) -> Any:
    """Two floats of a lane as one word: a, rounded to bfloat16, in the lower half, b in the upper."""
    low, high = (builder.zext(round_bfloat16(builder, x), VI) for x in (a, b))
    return builder.or_(low, builder.shl(high, broadcast(builder, ir.Constant(I32, 16))))


@emitted(types.void, _shorts, ints)
def store_words(builder: Any, pointer: Any, value: Any) -> None:
    """Write 16 words, which are pairs of bfloat16."""
    store_vector(builder, pointer, value)


@emitted(_pointer, _shorts)
def as_floats(builder: Any, pointer: Any) -> Any:
    """The same address as a pointer to floats, to move pairs of bfloat16."""
    return builder.bitcast(pointer, F32.as_pointer())


@emitted(_shorts, _pointer)
def as_shorts(builder: Any, pointer: Any) -> Any:
    """The same address as a pointer to bfloat16 again."""
    return builder.bitcast(pointer, ir.IntType(16).as_pointer())


@emitted(_shorts, types.CPointer(types.int8))
def as_words(builder: Any, pointer: Any) -> Any:
    """The same address as a pointer to two-byte words."""
    return builder.bitcast(pointer, ir.IntType(16).as_pointer())


@emitted(_pointer, types.CPointer(types.int8))
def as_numbers(builder: Any, pointer: Any) -> Any:
    """The same address as a pointer to floats."""
    return builder.bitcast(pointer, F32.as_pointer())


@emitted(types.void, None)
def prefetch(builder: Any, pointer: Any) -> None:
    """Prefetch the cache line at an address to the second-level cache."""
    where = builder.bitcast(pointer, I8.as_pointer())
    function = declare(builder, "llvm.prefetch.p0", ir.VoidType(), [where.type, I32, I32, I32])
    builder.call(function, [where, *(ir.Constant(I32, n) for n in (0, 2, 1))])  # read, keep in L2, data
