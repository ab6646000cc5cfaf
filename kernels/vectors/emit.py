"""Helpers that emit LLVM's vector IR, for vectors of 16 lanes.

simd.py builds Numba values on them, tiles/registers.py and tiles/dot.py build the register tiles.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from minembed.kernels.vectors.instruction_sets import LANES
from minembed.kernels.vectors.target import TARGET

F32, I32, I8, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(8), ir.IntType(64)
VF, VI = ir.VectorType(F32, LANES), ir.VectorType(I32, LANES)


class _BFloat16(ir.Type):  # llvmlite has no such type; LLVM does
    def __str__(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _BFloat16)

    def __hash__(self) -> int:
        return hash("bfloat")


def declare(builder: Any, name: str, result: Any, arguments: list[Any]) -> Any:
    """Find or declare an LLVM intrinsic."""
    return cgutils.get_or_insert_function(builder.module, ir.FunctionType(result, arguments), name)


def call(builder: Any, name: str, *args: Any, result: Any = None) -> Any:
    """Call an LLVM intrinsic; by default, the result has the type of the first argument."""
    function = declare(builder, name, result or args[0].type, [a.type for a in args])
    return builder.call(function, args)


def masked(builder: Any, name: str, a: Any, b: Any) -> Any:
    """Call an AVX-512 intrinsic that LLVM has only with a mask and a rounding mode: all lanes, default rounding."""
    lanes, usual = ir.Constant(ir.IntType(LANES), -1), ir.Constant(I32, 4)
    others = parts_of(builder, b) if isinstance(b.type, ir.VectorType) else [b] * (a.type.count // LANES)
    name = f"llvm.x86.avx512.mask.{name}.ps.512"
    pairs = zip(parts_of(builder, a), others, strict=True)
    return join(builder, [call(builder, name, x, y, x, lanes, usual) for x, y in pairs])


def of_floats(builder: Any, name: str, *args: Any) -> Any:
    """Call an LLVM intrinsic on vectors of floats, for any number of lanes."""
    return call(builder, f"llvm.{name}.v{args[0].type.count}f32", *args)


def parts_of(builder: Any, value: Any) -> list[Any]:
    """The vectors of 16 lanes that a longer one consists of."""
    if value.type.count == LANES:
        return [value]
    places = (range(low, low + LANES) for low in range(0, value.type.count, LANES))
    return [builder.shuffle_vector(value, value, ir.Constant(VI, list(part))) for part in places]


def join(builder: Any, parts: list[Any]) -> Any:
    """Concatenate vectors; their number is a power of two."""
    while len(parts) > 1:
        places = ir.Constant(ir.VectorType(I32, 2 * parts[0].type.count), list(range(2 * parts[0].type.count)))
        parts = [builder.shuffle_vector(a, b, places) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def broadcast(builder: Any, scalar: Any, lanes: int = LANES) -> Any:
    """Put one scalar in every lane."""
    vector = ir.VectorType(scalar.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(I32, 0))
    zeros = ir.Constant(ir.VectorType(I32, lanes), [0] * lanes)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


def move(builder: Any, pointer: Any, elements: Any) -> Any:
    """The pointer moved by a number of elements."""
    return builder.gep(pointer, [elements if isinstance(elements, ir.Value) else ir.Constant(I64, elements)])


def load_vector(builder: Any, pointer: Any, vector: Any = VF) -> Any:
    """Load 16 lanes from a pointer that need not be aligned."""
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=1)


def store_vector(builder: Any, pointer: Any, value: Any) -> None:
    """Store 16 lanes to a pointer that need not be aligned."""
    builder.store(value, builder.bitcast(pointer, value.type.as_pointer()), align=1)


def fold(builder: Any, value: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """Combine all lanes into one scalar, half with half: in a fixed order, so with fixed bits."""
    return builder.extract_element(fold_each(builder, value, combine), ir.Constant(I32, 0))


def fold_each(builder: Any, value: Any, combine: Callable[[Any, Any], Any]) -> Any:
    """The same for every 16 lanes, all of which get the result."""
    width, count = LANES // 2, value.type.count
    while width:
        places = [i // LANES * LANES + (i + width) % LANES for i in range(count)]
        value = combine(value, builder.shuffle_vector(value, value, ir.Constant(ir.VectorType(I32, count), places)))
        width //= 2
    return value


def first_mask(builder: Any, count: Any) -> Any:
    """A mask of the first `count` lanes."""
    lanes = ir.Constant(VI, list(range(LANES)))
    return builder.icmp_signed("<", lanes, broadcast(builder, builder.trunc(count, I32)))


def larger(builder: Any, a: Any, b: Any) -> Any:
    """The larger in each lane; b if either is NaN."""
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def smaller(builder: Any, a: Any, b: Any) -> Any:
    """The smaller in each lane; b if either is NaN."""
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def round_bfloat16(builder: Any, value: Any) -> Any:
    """Round 16 floats to bfloat16, ties to even, as 16-bit words."""
    words = ir.VectorType(ir.IntType(16), LANES)
    if TARGET.has_bfloat16:
        return builder.bitcast(builder.fptrunc(value, ir.VectorType(_BFloat16(), LANES)), words)
    # without the instruction LLVM would call a function of a runtime library that is not linked
    bits = builder.bitcast(value, VI)
    sixteen = broadcast(builder, ir.Constant(I32, 16))
    odd = builder.and_(builder.lshr(bits, sixteen), broadcast(builder, ir.Constant(I32, 1)))
    up = builder.add(builder.add(bits, broadcast(builder, ir.Constant(I32, 0x7FFF))), odd)
    nan = builder.fcmp_unordered("uno", value, value)
    kept = builder.select(nan, broadcast(builder, ir.Constant(I32, 0x7FC00000)), up)
    return builder.trunc(builder.lshr(kept, sixteen), words)
