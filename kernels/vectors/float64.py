"""Vectors of 16 float64, for scores whose bits every tier must share: no product is fused with a sum."""

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import models, register_model

from minembed.kernels.vectors.emit import call, fold, load_vector
from minembed.kernels.vectors.simd import Vector, _operator, _simple, floats
from minembed.kernels.vectors.target import LANES

VD = ir.VectorType(ir.DoubleType(), LANES)


class Doubles(Vector):
    """Numba's type of 16 lanes of float64."""

    def __init__(self) -> None:
        super().__init__("float64")


doubles = Doubles()


@register_model(Doubles)
class _DoublesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Doubles) -> None:
        super().__init__(dmm, fe_type, VD)


for _function, _emit in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _operator(_function, doubles, _emit)


@_simple(doubles)
def no_doubles(builder: Any) -> Any:
    """Zeros."""
    return ir.Constant(VD, [0.0] * LANES)


@_simple(doubles, floats)
def widen(builder: Any, a: Any) -> Any:
    """16 float32 as float64."""
    return builder.fpext(a, VD)


@_simple(doubles, types.CPointer(types.float64))
def load_doubles(builder: Any, pointer: Any) -> Any:
    """16 float64."""
    return load_vector(builder, pointer, VD)


@_simple(doubles, doubles)
def absolute_doubles(builder: Any, a: Any) -> Any:
    """|a|."""
    return call(builder, "llvm.fabs.v16f64", a)


@_simple(types.float64, doubles)
def sum_doubles(builder: Any, a: Any) -> Any:
    """The sum of all lanes: the upper half added to the lower, until one is left."""
    return fold(builder, a, builder.fadd)
