"""Powers of two of vectors, with AVX-512's instructions if there are, and the parts of computing 2^t."""

from typing import Any

from llvmlite import ir

from minembed.kernels.vectors.emit import F32, I32, broadcast, larger, masked, of_floats, smaller
from minembed.kernels.vectors.target import TARGET
from minembed.kernels.vectors.vector import emitted, floats

LARGEST = 3e38


@emitted(floats, floats, floats)
def times_power(builder: Any, a: Any, n: Any) -> Any:
    """a 2^n for integers n with -127 < n < 128."""
    if "avx512f" in TARGET.features:
        return masked(builder, "scalef", a, n)
    return builder.fmul(a, _power(builder, builder.fptosi(n, ir.VectorType(I32, n.type.count))))


@emitted(floats, floats)
def fraction(builder: Any, a: Any) -> Any:
    """a - floor(a); 0 for infinity; NaN stays NaN."""
    if {"avx512f", "avx512dq"} <= TARGET.features:
        return masked(builder, "reduce", a, ir.Constant(I32, 1))  # 1: down
    a = _between(builder, -LARGEST, LARGEST, a)
    return builder.fsub(a, of_floats(builder, "floor", a))


@emitted(floats, floats, floats)
def scale_by_power(builder: Any, a: Any, t: Any) -> Any:
    """a 2^floor(t) for a from 1 to 2, rounded once; also for infinite t; NaN for NaN."""
    if "avx512f" in TARGET.features:
        return masked(builder, "scalef", a, t)
    n = of_floats(builder, "floor", _between(builder, -252.0, 254.0, t))
    half = of_floats(builder, "floor", builder.fmul(n, broadcast(builder, ir.Constant(F32, 0.5), t.type.count)))
    for part in (half, builder.fsub(n, half)):
        a = builder.fmul(a, _power(builder, builder.fptosi(part, ir.VectorType(I32, t.type.count))))
    nan = builder.fcmp_unordered("uno", t, t)
    return builder.select(nan, t, a)


def _between(builder: Any, low: Any, high: Any, a: Any) -> Any:
    """a clipped to [low, high]; NaN stays NaN."""
    low, high = (broadcast(builder, ir.Constant(F32, end), a.type.count) for end in (low, high))
    return larger(builder, low, smaller(builder, high, a))


def _power(builder: Any, n: Any) -> Any:
    count = n.type.count
    biased = builder.add(n, broadcast(builder, ir.Constant(I32, 127), count))
    shifted = builder.shl(biased, broadcast(builder, ir.Constant(I32, 23), count))
    return builder.bitcast(shifted, ir.VectorType(F32, count))
