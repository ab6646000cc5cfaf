"""One step of a tile: 16 lanes of A times B, added to an accumulator, in the fastest way that the CPU has.

A is broadcast, so all its lanes are equal; B is a vector of a panel.  A lane is one float32, two bfloat16 or four
bytes, neighbours along K, which are multiplied and summed within the lane.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir

from minembed.kernels.vectors.emit import I8, I32, VF, broadcast, call
from minembed.kernels.vectors.target import TARGET


def multiply_floats(builder: Any, accumulator: Any, a: Any, b: Any) -> Any:
    """accumulator + a * b."""
    return call(builder, "llvm.fmuladd.v16f32", a, b, accumulator)


def multiply_bfloat16(builder: Any, accumulator: Any, a: Any, b: Any) -> Any:
    """Two neighbours of K at once: lane j gets a0 * b0[j] + a1 * b1[j]."""
    if TARGET.dot_bfloat16:
        return call(builder, "llvm.x86.avx512bf16.dpbf16ps.512", accumulator, a, b, result=VF)
    for shift in (True, False):  # a bfloat16 is the upper half of a float32
        halves = []
        for pair in (a, b):
            if shift:
                bits = builder.shl(pair, broadcast(builder, ir.Constant(I32, 16)))
            else:
                bits = builder.and_(pair, broadcast(builder, ir.Constant(I32, -65536)))
            halves.append(builder.bitcast(bits, VF))
        accumulator = call(builder, "llvm.fmuladd.v16f32", *halves, accumulator)
    return accumulator


def _in_parts(builder: Any, lanes: int, multiply: Callable[..., Any], *vectors: Any) -> Any:
    """Apply a multiplication to fewer lanes at a time, if the CPU cannot do it for 16."""
    parts = []
    for low in range(0, 16, lanes):
        mask = ir.Constant(ir.VectorType(I32, lanes), list(range(low, low + lanes)))
        parts.append(multiply(*(builder.shuffle_vector(v, v, mask) for v in vectors)))
    while len(parts) > 1:
        joined = ir.Constant(ir.VectorType(I32, 2 * lanes), list(range(2 * lanes)))
        parts = [builder.shuffle_vector(x, y, joined) for x, y in zip(parts[::2], parts[1::2], strict=True)]
        lanes *= 2
    return parts[0]


def multiply_bytes(builder: Any, accumulator: Any, a: Any, b: Any) -> Any:
    """Four neighbours of K at once: unsigned bytes of A times signed bytes of B, summed into int32, exactly."""
    if TARGET.dot_bytes == "vnni512":
        return call(builder, "llvm.x86.avx512.vpdpbusd.512", accumulator, a, b)
    if TARGET.dot_bytes == "vnni256":
        dot = partial(call, builder, "llvm.x86.avx512.vpdpbusd.256")
        return _in_parts(builder, 8, dot, accumulator, a, b)
    if TARGET.dot_bytes == "pmaddwd":
        if "avx512bw" in TARGET.features:
            return _dot_by_words(builder, accumulator, a, b)
        return _in_parts(builder, 8, partial(_dot_by_words, builder), accumulator, a, b)
    if TARGET.dot_bytes == "sdot":
        return _in_parts(builder, 4, partial(_dot_signed, builder), accumulator, a, b)
    for byte in range(4):
        left = broadcast(builder, ir.Constant(I32, 24 - 8 * byte))
        down = broadcast(builder, ir.Constant(I32, 24))
        unsigned, signed = builder.lshr(builder.shl(a, left), down), builder.ashr(builder.shl(b, left), down)
        accumulator = builder.add(accumulator, builder.mul(unsigned, signed))
    return accumulator


def _dot_by_words(builder: Any, accumulator: Any, a: Any, b: Any) -> Any:
    """AVX2 and AVX-512: even and odd bytes, widened to 16 bits, multiplied and summed in pairs without overflow."""
    lanes = accumulator.type.count
    words = ir.VectorType(ir.IntType(16), 2 * lanes)
    a, b = builder.bitcast(a, words), builder.bitcast(b, words)
    eight, low_byte = (broadcast(builder, ir.Constant(ir.IntType(16), n), 2 * lanes) for n in (8, 255))
    product = "llvm.x86.avx512.pmaddw.d.512" if lanes == 16 else "llvm.x86.avx2.pmadd.wd"
    even = builder.and_(a, low_byte), builder.ashr(builder.shl(b, eight), eight)
    odd = builder.lshr(a, eight), builder.ashr(b, eight)
    for pair in (even, odd):
        products = call(builder, product, *pair, result=accumulator.type)
        accumulator = builder.add(accumulator, products)
    return accumulator


def _dot_signed(builder: Any, accumulator: Any, a: Any, b: Any) -> Any:
    """NEON: both must be signed, so 128 is subtracted from A; minus_zero_point accounts for that."""
    quads = ir.VectorType(I8, 16)
    a = builder.xor(builder.bitcast(a, quads), broadcast(builder, ir.Constant(I8, 0x80)))
    dot = "llvm.aarch64.neon.sdot.v4i32.v16i8"
    return call(builder, dot, accumulator, a, builder.bitcast(b, quads), result=accumulator.type)


def minus_zero_point(builder: Any, zero: Any) -> Any:
    """The negated zero point of A as used by multiply_bytes."""
    minus = builder.neg(zero)
    return builder.add(minus, ir.Constant(I32, 128)) if TARGET.dot_bytes == "sdot" else minus
