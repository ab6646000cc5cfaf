"""The activation of a feed-forward block, on rows that have just been written, and gating."""

from numba import njit, types
from numba.extending import overload

from minembed.kernels.encoder.architecture import GELU, GELU_TANH, SILU
from minembed.kernels.encoder.elementwise import ZERO, gelu, gelu_coarse, gelu_short, gelu_tanh, sigmoid
from minembed.kernels.tiles.dot import TARGET
from minembed.kernels.vectors.fours import load_square, store_square
from minembed.kernels.vectors.simd import at, load, maximum, splat, store

ROWS_IN_PAIRS = "avx512f" in TARGET.features  # a panel has 32 columns then


@njit
def activate_tile(c, stride, rows, width, activation, weight):
    """Activate a tile that has just been written, while it is in the first-level cache."""
    if activation == GELU:  # a separate loop for most models, without branches
        gelu_rows(c, stride, rows, width, weight)
        return
    for r in range(rows):
        row = at(c, r * stride)
        for column in range(0, width, 16):
            store(at(row, column), activate_vector(load(at(row, column)), activation, weight))


@njit
def gelu_rows(c, stride, rows, width, weight):
    """GELU of rows; of two at once, four vectors in all, if there are enough registers."""
    paired = rows // 2 * 2 if ROWS_IN_PAIRS else 0
    for r in range(0, paired, 2):
        for column in range(0, width, 32):
            where = at(c, r * stride + column)
            store_square(where, stride, gelu_vector(load_square(where, stride), weight))
    for r in range(paired, rows):
        for column in range(0, width, 16):
            where = at(c, r * stride + column)
            store(where, gelu_vector(load(where), weight))


@njit
def gate_row(row, width, activation, weight):
    """Multiply the activated first half of a row by its second half, in place."""
    for column in range(0, width, 16):
        v = activate_vector(load(at(row, column)), activation, weight)
        store(at(row, column), v * load(at(row, width + column)))


@njit
def activate_vector(v, activation, weight):
    """Apply the activation with this number to a vector."""
    if activation == GELU:
        return gelu_vector(v, weight)
    if activation == SILU:
        return v * sigmoid(v)
    if activation == GELU_TANH:
        return gelu_tanh(v)
    return maximum(splat(ZERO), v)


def gelu_vector(v, weight):
    """GELU, with an accuracy that suits this type of weights."""
    raise NotImplementedError


@overload(gelu_vector, inline="always")
def _choose_gelu(v, weight):
    if weight.dtype == types.float32:
        return lambda v, weight: gelu(v)
    if weight.dtype == types.uint16:
        return lambda v, weight: gelu_short(v)
    return lambda v, weight: gelu_coarse(v)
