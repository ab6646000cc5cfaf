"""Vectors of 16 float64, for scores with the same bits in every tier: products are never fused with sums."""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from minembed.kernels.vectors.emit import call, fold, load_vector
from minembed.kernels.vectors.instruction_sets import LANES
from minembed.kernels.vectors.vector import Vector, arithmetic, emitted, floats

VD = ir.VectorType(ir.DoubleType(), LANES)


class Float64(Vector):
    """Numba's type of 16 lanes of float64."""

    def __init__(self) -> None:
        super().__init__("float64")


float64 = Float64()


@register_model(Float64)
class _Float64Model(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Float64) -> None:
        super().__init__(dmm, fe_type, VD)


for _function, _emit in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    arithmetic(_function, float64, _emit)


@emitted(float64)
def zeros_float64(builder: Any) -> Any:
    """Zeros."""
    return ir.Constant(VD, [0.0] * LANES)


@emitted(float64, floats)
def widen(builder: Any, a: Any) -> Any:
    """16 float32 as float64."""
    return builder.fpext(a, VD)


@emitted(float64, types.CPointer(types.float64))
def load_float64(builder: Any, pointer: Any) -> Any:
    """16 float64."""
    return load_vector(builder, pointer, VD)


@emitted(float64, float64)
def absolute_float64(builder: Any, a: Any) -> Any:
    """|a|."""
    return call(builder, "llvm.fabs.v16f64", a)


@emitted(types.float64, float64)
def sum_float64(builder: Any, a: Any) -> Any:
    """The sum of all lanes: the upper half added to the lower, until one is left."""
    return fold(builder, a, builder.fadd)
