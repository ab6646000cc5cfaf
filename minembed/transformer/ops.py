"""The mathematics of a transformer, in plain NumPy.

T tokens of all texts end to end, D width, F width of the feed-forward block.  Attention is in attention.py.
float32 in, float32 out; float64 in, float64 out.  Row i of a result depends only on row i of the input, not on the
number of rows (matmul.py makes sure of that), so vectors are bit-identical in any batch.
"""

import math
from collections.abc import Callable

import numpy as np

from minembed.transformer.matmul import matmul
from minembed.transformer.params import Linear, Norm
from minembed.types import Array


def linear(x: Array, p: Linear) -> Array:  # (T, in) -> (T, out)
    """Multiply each row by the weight and add the bias.

    >>> linear(np.float32([[1, 2]]), Linear(np.float32([[1, 0, 1], [0, 1, 1]]), np.float32([0, 0, 10]))).tolist()
    [[1.0, 2.0, 13.0]]
    """
    y = matmul(x, p.weight)
    if p.bias is not None:
        y += p.bias
    return y


def layer_norm(x: Array, p: Norm, eps: float) -> Array:  # (T, D) -> (T, D)
    """Shift and scale each row to mean 0 and variance 1, then by the learned weight and bias (Ba et al., 2016).

    >>> layer_norm(np.float32([[1, 3]]), Norm(np.float32([1, 1]), np.float32([0, 5])), 1e-12).tolist()
    [[-1.0, 6.0]]
    """
    y: Array = x - x[..., :1]  # so that a constant row has exactly mean 0, and returns the bias
    y -= y.mean(axis=-1, keepdims=True)
    variance = (y * y).mean(axis=-1, keepdims=True)  # (T, 1)
    variance += 0 * variance  # an overflow must end in NaN, not in a row of zeros
    y /= np.sqrt(variance + x.dtype.type(eps))
    y *= p.weight
    if p.bias is not None:
        y += p.bias
    return y


def rms_norm(x: Array, p: Norm, eps: float) -> Array:  # (..., D) -> (..., D)
    """Scale each row to mean square 1, then by the learned weight (Zhang & Sennrich, 2019).

    >>> rms_norm(np.float32([[3, 4]]), Norm(np.float32([5, 10])), 1e-12).round(3).tolist()
    [[4.243000030517578, 11.314000129699707]]
    """
    square = (x * x).mean(axis=-1, keepdims=True)
    square += 0 * square  # an overflow must end in NaN, not in a row of zeros
    y: Array = x / np.sqrt(square + x.dtype.type(eps))
    y *= p.weight
    return y


def softmax(x: Array) -> Array:  # (..., N) -> (..., N)
    """Exponentials that sum to 1 along the last axis.

    >>> softmax(np.float32([0, 0, 1000])).tolist()
    [0.0, 0.0, 1.0]
    """
    z = x - x.max(axis=-1, keepdims=True)  # the largest exponent is 0: nothing overflows
    np.exp(z, out=z)
    z /= z.sum(axis=-1, keepdims=True)
    return z


def erf(x: Array) -> Array:  # (...) -> (...)
    """The error function, exact to about the last bit of float64; slow, since it calls math.erf for every element.

    >>> erf(np.array([0.0, 1.0])).round(6).tolist()
    [0.0, 0.842701]
    """
    return np.asarray(np.frompyfunc(math.erf, 1, 1)(x), dtype=x.dtype)


GELU_BLOCK = 1 << 15  # elements: three such arrays stay in a core's second-level cache
# R in gelu(x) = max(x, 0) - a exp(a R(a)) with a = |x|/2, highest power first: exp(a R(a)) = erfc(a sqrt(2)).
# Fitted by tests/goldens/make/fit_gelu.py to 9e-9 for |x| <= 7; beyond, a R(a) falls without end, and the tail is
# below float32.
LOG_TAIL = np.array(
    [-0.00033751325, 0.002489291, -0.005832337, -0.006034836, 0.080354296, -0.29182944, -1.2730678, -1.5957787],
    dtype=np.float32,
)


def _gelu_float32(x: Array, out: Array) -> None:
    np.multiply(x, np.float32(0.5), out=out)
    a = np.abs(out)
    tail = a * LOG_TAIL[0]
    tail += LOG_TAIL[1]
    for coefficient in LOG_TAIL[2:]:
        tail *= a
        tail += coefficient
    tail *= a
    np.exp(tail, out=tail)
    tail *= a
    out += a  # x/2 + |x|/2 = max(x, 0), exactly
    out -= tail


def gelu(x: Array, out: Array | None = None) -> Array:  # (...) -> (...)
    """x times the normal distribution function: the erf form of Hendrycks & Gimpel (2016).

    float64: within 1e-15.  float32: within 2e-7, or half a unit in the last place of the result where that is
    coarser (|x| > 4); tests/transformer/test_ops.py measures it over every float32.  `out` may be `x` itself.

    >>> gelu(np.float32([-10, 0, 1, 10])).round(5).tolist()
    [-0.0, 0.0, 0.8413400053977966, 10.0]
    """
    if x.dtype != np.float32:
        tail = np.asarray(np.frompyfunc(math.erfc, 1, 1)(x * -math.sqrt(0.5)), dtype=x.dtype)
        return np.multiply(0.5 * x, tail, out=out)
    out = np.empty_like(x, order="C") if out is None else out
    if not out.flags.c_contiguous:
        out[...] = gelu(x)
        return out
    flat_x, flat_out = x.reshape(-1), out.reshape(-1)
    with np.errstate(over="ignore", under="ignore"):  # where the tail is 0, the exponent is as good as -inf
        for start in range(0, x.size, GELU_BLOCK):
            _gelu_float32(flat_x[start : start + GELU_BLOCK], flat_out[start : start + GELU_BLOCK])
    return out


def gelu_tanh(x: Array, out: Array | None = None) -> Array:  # (...) -> (...)
    """GPT-2's approximation of gelu by a hyperbolic tangent: another function, which differs by up to 5e-4.

    >>> gelu_tanh(np.float32([-10, 0, 1])).round(4).tolist()
    [-0.0, 0.0, 0.8411999940872192]
    """
    z = x * x
    z *= x.dtype.type(0.044715)
    z += 1
    z *= x
    z *= x.dtype.type(2 * math.sqrt(2 / math.pi))
    return np.multiply(x, sigmoid(z), out=out)  # (1 + tanh(z / 2)) / 2 = sigmoid(z)


def silu(x: Array, out: Array | None = None) -> Array:  # (...) -> (...)
    """x times the logistic function.

    >>> silu(np.float32([-1000, 0, 1])).round(4).tolist()
    [-0.0, 0.0, 0.7311000227928162]
    """
    return np.multiply(x, sigmoid(x), out=out)


def sigmoid(x: Array) -> Array:  # (...) -> (...)
    """The logistic function 1 / (1 + e^-x).

    >>> sigmoid(np.float64([-1000, 0])).tolist()
    [0.0, 0.5]
    """
    z = np.exp(-np.abs(x))  # of what cannot overflow
    return np.where(x < 0, z, x.dtype.type(1)) / (1 + z)


def relu(x: Array, out: Array | None = None) -> Array:  # (...) -> (...)
    """Zero for what is negative.

    >>> relu(np.float32([-1, 2])).tolist()
    [0.0, 2.0]
    """
    return np.maximum(x, 0, out=out)


ACTIVATION = {"gelu": gelu, "gelu_new": gelu_tanh, "gelu_pytorch_tanh": gelu_tanh, "relu": relu, "silu": silu}


def gate(x: Array, activation: Callable[[Array], Array]) -> Array:  # (T, 2F) -> (T, F)
    """Activate the first half of each row and multiply it by the second (Shazeer, 2020).

    >>> gate(np.float32([[-1, 2, 10, 10]]), relu).tolist()
    [[0.0, 20.0]]
    """
    F = x.shape[1] // 2
    y = activation(x[:, :F])
    y *= x[:, F:]
    return y
