"""Activations as exact as their results are stored, and rows of bfloat16 arranged in pairs."""

from typing import Any

from llvmlite import ir
from numba import njit, types

from minembed.kernels.encoder.architecture import GELU, GELU_TANH, SILU
from minembed.kernels.encoder.elementwise import ZERO, gelu, gelu_short, gelu_tanh, sigmoid
from minembed.kernels.vectors.emit import I32, load_vector, move, store_vector
from minembed.kernels.vectors.simd import maximum, splat
from minembed.kernels.vectors.vector import emitted

_shorts, ROW = types.CPointer(types.uint16), ir.VectorType(ir.IntType(16), 32)


@njit
def gelu_of(v, planes):
    """GELU, for results in these planes."""
    return gelu_short(v) if len(planes) == 1 else gelu(v)


@njit
def activate(v, activation, planes):
    """Apply the activation with this number to a vector."""
    if activation == GELU:
        return gelu_of(v, planes)
    if activation == SILU:
        return v * sigmoid(v)
    if activation == GELU_TANH:
        return gelu_tanh(v)
    return maximum(splat(ZERO), v)


def _pair(builder: Any, a: Any, b: Any, to: Any) -> None:
    """Interleave two rows of 32 words: write a0 b0 a1 b1 ..."""
    for half in range(2):
        lanes = [place for k in range(16 * half, 16 * half + 16) for place in (k, 32 + k)]
        mask = ir.Constant(ir.VectorType(I32, 32), lanes)
        store_vector(builder, move(builder, to, 32 * half), builder.shuffle_vector(a, b, mask))


@emitted(types.void, _shorts, _shorts, _shorts)
def pair_rows(builder: Any, first: Any, second: Any, to: Any) -> None:
    """Write 32 pairs of the words of `first` and `second` with the same index."""
    _pair(builder, load_vector(builder, first, ROW), load_vector(builder, second, ROW), to)


@emitted(types.void, _shorts, _shorts)
def pair_last_row(builder: Any, first: Any, to: Any) -> None:
    """The same with zeros for the second row, which is not read."""
    _pair(builder, load_vector(builder, first, ROW), ir.Constant(ROW, [0] * 32), to)
