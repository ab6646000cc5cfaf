"""Tile registers: matrices of 16 rows of 64 bytes, multiplied by one instruction (Intel's AMX).

    tmm = registers()                     a handle
    begin(tmm, address(CONFIG, 0))        once per call: from here on there are eight tiles, 0 to 7
    zero(tmm, 0)                          tile 0 = 0
    load_tile(tmm, 4, p, 64)              tile 4 = 16 rows of 64 bytes, with this stride in bytes
    load_tile(tmm, 6, q, 128)
    stream_tile(tmm, 5, p, 64)            the same, without keeping it in the first-level cache
    dot_bfloat16(tmm, 0, 4, 6)            tile 0 += tile 4 times tile 6
    store_tile(tmm, 0, c, 128)            16 rows of 16 float32, with this stride in bytes
    end(tmm)                              once per call, before it returns

Of dot_bfloat16's operands, tile 4 holds 16 rows of A with 32 bfloat16 each, tile 6 16 rows of B, row k with the pairs
B[2k, j], B[2k + 1, j] for its 16 columns j: as in packed panels.  Tile numbers are compile-time constants, and
allocated by hand: LLVM keeps the order of these operations, as if they touched all memory, and saves no tile around
calls.

The system must allow a process to use tiles, or the first of these instructions ends it (permission.py); so this module
is imported only when tiles are about to be used, and then asks for permission.  Without tiles the same operations are
emulated, bit for bit, with the tiles in 8 KB of the stack: slowly, but so that tests of everything built on them run
anywhere.

Denormal numbers (below 2^-126) become 0 with their sign: as inputs, and after each product and each sum, which round to
the nearest, ties to even.  Infinities and NaN behave as in any sum; which NaN results is not specified.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, TDPBF16PS.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.templates import signature
from numba.extending import intrinsic

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.tiles.permission import tiles_usable
from minembed.kernels.tiles.shapes import TILE
from minembed.kernels.vectors.emit import (
    F32,
    I8,
    I64,
    VF,
    VI,
    broadcast,
    call,
    declare,
    load_vector,
    move,
    store_vector,
)

HARDWARE: bool = tiles_usable()
NUMBERS = {
    "begin": 0,
    "end": 0,
    "zero": 1,
    "load_tile": 1,
    "stream_tile": 1,
    "store_tile": 1,
    "dot_bfloat16": 3,
}  # of tiles named
INSTRUCTIONS = (
    "ldtilecfg",
    "tilerelease",
    "tilezero",
    "tileloadd64",
    "tileloaddt164",
    "tilestored64",
    "tdpbf16ps",
)  # in that order
SMALLEST, UP = 2.0**-126, 2.0**64  # the smallest number that is not denormal
BYTE_POINTER = I8.as_pointer()
Emit = Callable[..., None]


def on_tiles(dispatcher: Any) -> Any:
    """Store the machine code of a function on tiles on disk, apart from that of processes that may not use them."""
    return on_disk(dispatcher, "amx" if HARDWARE else "emulated")


# --- by the CPU


def _instruction(name: str) -> Emit:
    def emit(builder: Any, tmm: Any, *args: Any) -> None:
        values = [ir.Constant(I8, a) if isinstance(a, int) else a for a in args]
        values = [builder.bitcast(v, BYTE_POINTER) if isinstance(v.type, ir.PointerType) else v for v in values]
        builder.call(declare(builder, f"llvm.x86.{name}", ir.VoidType(), [v.type for v in values]), values)

    return emit


# --- by vectors


def _emulated(builder: Any, name: str, define: Callable[..., None], *args: Any) -> None:
    """Call a function that is emitted once per module: LLVM would take long to compile inlined copies."""
    kind = ir.FunctionType(ir.VoidType(), [value.type for value in args])
    function = cgutils.get_or_insert_function(builder.module, kind, f"minembed_emulated_{name}")
    if not function.blocks:
        function.linkage = "internal"
        function.attributes.add("noinline")
        inside = ir.IRBuilder(function.append_basic_block())
        define(inside, *function.args)
        inside.ret_void()
    builder.call(function, args)


def _tile(builder: Any, tmm: Any, tile: int) -> Any:
    return move(builder, tmm, 1024 * tile)


def _row(builder: Any, tile: Any, stride: Any, r: Any, kind: Any = VI) -> Any:
    """A pointer to a row; the stride is in bytes."""
    return builder.bitcast(move(builder, tile, builder.mul(stride, r)), kind.as_pointer())


def _nothing(builder: Any, tmm: Any, *_: Any) -> None:
    pass


def _zero(builder: Any, tmm: Any, tile: int) -> None:
    cgutils.memset(builder, _tile(builder, tmm, tile), ir.Constant(I64, 1024), 0)


def _load(builder: Any, tmm: Any, tile: int, pointer: Any, stride: Any) -> None:
    source = builder.bitcast(pointer, BYTE_POINTER)
    _emulated(builder, "copy", _define_copy, source, stride, _tile(builder, tmm, tile), ir.Constant(I64, 64))


def _store(builder: Any, tmm: Any, tile: int, pointer: Any, stride: Any) -> None:
    target = builder.bitcast(pointer, BYTE_POINTER)
    _emulated(builder, "copy", _define_copy, _tile(builder, tmm, tile), ir.Constant(I64, 64), target, stride)


def _dot(builder: Any, tmm: Any, c: int, a: int, b: int) -> None:
    _emulated(builder, "dot", _define_dot, *(_tile(builder, tmm, tile) for tile in (c, a, b)))


def _define_copy(builder: Any, source: Any, stride: Any, target: Any, target_stride: Any) -> None:
    with cgutils.for_range(builder, ir.Constant(I64, TILE)) as loop:
        row = load_vector(builder, _row(builder, source, stride, loop.index), VI)
        store_vector(builder, _row(builder, target, target_stride, loop.index), row)


def _define_dot(builder: Any, c: Any, a: Any, b: Any) -> None:
    """Even k and odd k are summed separately, from 0, with fused multiply-adds; then added together; then to C."""
    of_b = builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(VF, 2 * TILE)), VF.as_pointer())
    of_a = builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(VF, 2)), F32.as_pointer())  # of a row
    apart = ir.Constant(I64, 64)
    for k in range(TILE):
        _split(builder, _row(builder, b, apart, ir.Constant(I64, k)), move(builder, of_b, 2 * k))
    with cgutils.for_range(builder, ir.Constant(I64, TILE)) as loop:
        _split(builder, _row(builder, a, apart, loop.index), of_a)
        even = odd = ir.Constant(VF, [0.0] * TILE)
        for k in range(TILE):
            first, second = (broadcast(builder, builder.load(move(builder, of_a, k + n))) for n in (0, TILE))
            even = _fused(builder, first, load_vector(builder, move(builder, of_b, 2 * k)), even)
            odd = _fused(builder, second, load_vector(builder, move(builder, of_b, 2 * k + 1)), odd)
        out = _row(builder, c, apart, loop.index, VF)
        before, total = load_vector(builder, out), _without_denormals(builder, builder.fadd(even, odd))
        total = builder.fadd(_without_denormals(builder, before), total)
        store_vector(builder, out, _without_denormals(builder, total))


def _split(builder: Any, pairs: Any, to: Any) -> None:
    """Write the first numbers of 16 pairs, then the second."""
    sixteen, upper = ir.Constant(VI, [16] * TILE), ir.Constant(VI, [-65536] * TILE)
    both, to = load_vector(builder, pairs, VI), builder.bitcast(to, VF.as_pointer())
    for n, half in enumerate((builder.shl(both, sixteen), builder.and_(both, upper))):
        store_vector(builder, move(builder, to, n), _without_denormals(builder, builder.bitcast(half, VF)))


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a b + c, rounded once.  A denormal result is detected on values scaled by 2^64, which cannot underflow."""
    up = ir.Constant(VF, [UP] * TILE)
    above = call(builder, "llvm.fma.v16f32", builder.fmul(a, up), b, builder.fmul(c, up))
    return _without_denormals(builder, call(builder, "llvm.fma.v16f32", a, b, c), above, SMALLEST * UP)


def _without_denormals(builder: Any, value: Any, judged: Any = None, least: float = SMALLEST) -> Any:
    """Replace numbers below `least` by 0 with their sign; NaN stays."""
    size = call(builder, "llvm.fabs.v16f32", value if judged is None else judged)
    sign = builder.and_(builder.bitcast(value, VI), ir.Constant(VI, [-(1 << 31)] * TILE))
    small = builder.fcmp_ordered("<", size, ir.Constant(VF, [least] * TILE))
    return builder.select(small, builder.bitcast(sign, VF), value)


HARDWARE_OPERATIONS: dict[str, Emit] = dict(zip(NUMBERS, map(_instruction, INSTRUCTIONS), strict=True))
EMULATED_OPERATIONS: dict[str, Emit] = dict(
    zip(NUMBERS, (_nothing, _nothing, _zero, _load, _load, _store, _dot), strict=True)
)
OPERATIONS = HARDWARE_OPERATIONS if HARDWARE else EMULATED_OPERATIONS


# --- as functions of Numba


def operation(emit: Emit, name: str, *kinds: Any) -> Any:
    """An intrinsic name(tmm, numbers of tiles..., values...); a value of kind None may have any type."""
    tiles = NUMBERS[name]
    names = ", ".join(f"a{i}" for i in range(tiles + len(kinds)))

    def build(typing_context: Any, tmm: Any, *args: Any) -> Any:
        numbers = [a.literal_value for a in args[:tiles]]
        wanted = [a if kind is None else kind for a, kind in zip(args[tiles:], kinds, strict=True)]

        def generate(context: Any, builder: Any, sig: Any, values: Any) -> Any:
            emit(builder, values[0], *numbers, *values[1 + tiles :])
            return context.get_dummy_value()

        return signature(types.void, tmm, *args[:tiles], *wanted), generate

    scope: dict[str, Any] = {"build": build}
    exec(f"def {name}(typing_context, tmm, {names}): return build(typing_context, tmm, {names})", scope)
    return intrinsic(prefer_literal=True)(scope[name])


@intrinsic
def registers(typing_context):
    """A handle to the tiles: 8 KB of the stack if they are emulated; otherwise a dummy that takes no memory."""

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        if HARDWARE:
            return ir.Constant(BYTE_POINTER, None)
        return builder.bitcast(cgutils.alloca_once(builder, ir.ArrayType(VI, 128)), BYTE_POINTER)

    return types.CPointer(types.uint8)(), generate


begin = operation(OPERATIONS["begin"], "begin", None)
end = operation(OPERATIONS["end"], "end")
zero = operation(OPERATIONS["zero"], "zero")
load_tile = operation(OPERATIONS["load_tile"], "load_tile", None, types.int64)
stream_tile = operation(OPERATIONS["stream_tile"], "stream_tile", None, types.int64)
store_tile = operation(OPERATIONS["store_tile"], "store_tile", None, types.int64)
dot_bfloat16 = operation(OPERATIONS["dot_bfloat16"], "dot_bfloat16")
