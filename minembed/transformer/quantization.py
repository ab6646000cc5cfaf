"""Computing with fewer bits: bfloat16 and int8 weights, and their arithmetic in plain NumPy.

bfloat16 is the upper half of float32: weights and activations are rounded to it, sums stay float32.

int8: activations are unsigned bytes with a scale and a zero point for every token and group of inputs; weights are
signed bytes with a scale for every output and group.  Bytes are multiplied and summed exactly, as whole numbers, and
one multiplication per group turns the sum back into float32:

    x = scale_x (q - zero)      w = scale_w l      sum of x w = scale_x scale_w (sum of q l - zero * sum of l)

NumPy multiplies bytes as float32, which holds whole numbers up to 2^24 exactly; a group of 192 stays below 2^23.
The vector kernels do the same with integer instructions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np

from minembed.errors import InputError
from minembed.transformer.ops import linear
from minembed.transformer.params import Embeddings, Linear, Params  # noqa: F401 (Embeddings: examples)
from minembed.types import Array, Dtype

GROUP = 192  # inputs that share a scale, at most
DTYPES = get_args(Dtype)
SMALLEST_SCALE = np.float32(1e-30)  # a scale above 0 for a group of zeros


@dataclass(frozen=True, slots=True)
class QuantizedLinear:
    """A linear layer in int8; K inputs, padded with zeros to G groups, N outputs."""

    levels: Array  # (G * group, N) int8
    scales: Array  # (G, N) float32
    bias: Array | None  # (N,) float32


@dataclass(frozen=True, slots=True)
class QuantizedRows:
    """A table of rows in int8, each with a scale; indexing gives float32."""

    levels: Array  # (V, D) int8
    scales: Array  # (V,) float32

    def __getitem__(self, rows: Array) -> Array:  # (T,) -> (T, D)
        return self.levels[rows] * self.scales[rows][:, None]


def pad_to(size: int, multiple: int) -> int:
    """Round up.

    >>> pad_to(33, 32)
    64
    """
    return -(-size // multiple) * multiple


def group_size(width: int) -> int:
    """How many rows of a weight share a scale: a divisor of the width, or 128 if that would be too small.

    >>> group_size(384), group_size(1536), group_size(1024), group_size(388)
    (192, 192, 128, 128)
    """
    best = max((d for d in range(4, GROUP + 1, 4) if width % d == 0), default=0)
    return best if best >= min(64, width) else min(128, pad_to(width, 4))


def to_bfloat16(x: Array) -> Array:
    """Round float32 to bfloat16, ties to even; the bits are in uint16.

    >>> hex(to_bfloat16(np.float32([1.0]))[0])
    '0x3f80'
    """
    bits = np.ascontiguousarray(x).view(np.uint32)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return np.where(np.isnan(x), np.uint16(0x7FC0), rounded)  # the carry would turn some NaN into infinity


def round_bfloat16(x: Array) -> Array:
    """Round float32 to the nearest bfloat16, held as float32.

    >>> round_bfloat16(np.float32([1.001, np.inf])).tolist()
    [1.0, inf]
    """
    return (to_bfloat16(x).astype(np.uint32) << 16).view(np.float32)


def quantize_weight(weight: Array) -> tuple[Array, Array]:  # (K, N) -> (groups * group, N) int8, (groups, N) float32
    """Round to signed bytes, with a scale for every column and group of rows: the largest becomes 127.

    >>> levels, scales = quantize_weight(np.float32([[127, 1], [-64, 0.5], [0, 0], [0, 0]]))
    >>> levels[:2].tolist(), scales.round(4).tolist()
    ([[127, 127], [-64, 64]], [[1.0, 0.007899999618530273]])
    """
    group = group_size(len(weight))
    filled = np.zeros((pad_to(len(weight), group), weight.shape[1]), np.float32)
    filled[: len(weight)] = weight
    grouped = filled.reshape(-1, group, weight.shape[1])
    scales = np.abs(grouped).max(axis=1) / np.float32(127)
    steps = np.where(scales == 0, np.float32(1), scales)
    levels = np.rint(grouped / steps[:, None]).astype(np.int8)
    return levels.reshape(filled.shape), scales


def quantize_rows(table: Array) -> tuple[Array, Array]:  # (V, D) -> int8, (V,) float32
    """Round each row of a table to signed bytes, with its own scale.

    >>> [part.tolist() for part in quantize_rows(np.float32([[127, -1], [0, 0]]))]
    [[[127, -1], [0, 0]], [1.0, 0.0]]
    """
    scales = np.abs(table).max(axis=1) / np.float32(127)
    steps = np.where(scales == 0, np.float32(1), scales)
    return np.rint(table / steps[:, None]).astype(np.int8), scales


def quantize(params: Params) -> Params:
    """Quantize every linear layer and the word table to int8; weights that are already int8 stay.

    >>> p = Params(Embeddings(np.ones((2, 4), np.float32), *[np.ones((1, 4), np.float32)] * 2, norm=None), ())
    >>> quantize(p).embeddings.word[np.array([1])].tolist()
    [[1.0, 1.0, 1.0, 1.0]]
    """

    def linear(p: Linear | QuantizedLinear) -> QuantizedLinear:
        return p if isinstance(p, QuantizedLinear) else QuantizedLinear(*quantize_weight(p.weight), p.bias)

    word: Any = params.embeddings.word
    if not isinstance(word, QuantizedRows):
        word = QuantizedRows(*quantize_rows(word))
    return replace_weights(params, linear, word)


def round_weights(params: Params) -> Params:
    """Round every linear weight and the word table to bfloat16, held as float32.

    >>> p = Params(Embeddings(np.full((1, 1), 1.001, np.float32), *[np.ones((1, 1), np.float32)] * 2, norm=None), ())
    >>> round_weights(p).embeddings.word.tolist()
    [[1.0]]
    """
    return replace_weights(
        params, lambda p: Linear(round_bfloat16(p.weight), p.bias), round_bfloat16(params.embeddings.word)
    )


def replace_weights(params: Params, linear: Callable[[Any], Any], word: Any) -> Params:
    """The same tree with each layer's linear parts converted by `linear`, and another word table.

    >>> p = Params(Embeddings(np.ones((1, 1), np.float32), None, None, None), ())
    >>> replace_weights(p, lambda linear: linear, "words").embeddings.word
    'words'
    """
    layers = (
        replace(
            layer,
            qkv=linear(layer.qkv),
            attention_output=linear(layer.attention_output),
            intermediate=linear(layer.intermediate),
            output=linear(layer.output),
        )
        for layer in params.layers
    )
    return replace(params, embeddings=replace(params.embeddings, word=word), layers=tuple(layers))


def lower(params: Params, dtype: str) -> Params:
    """The parameters in a compute type; raises InputError for an unknown type, or for one that needs lost precision.

    >>> p = Params(Embeddings(np.ones((1, 1), np.float32), *[np.ones((1, 1), np.float32)] * 2, norm=None), ())
    >>> lower(p, "float32") is p
    True
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r} is unknown; known: {', '.join(DTYPES)}")
    if dtype == "int8":
        return quantize(params)
    if isinstance(params.embeddings.word, QuantizedRows):
        raise InputError(f"these weights are stored as int8: dtype {dtype!r} would need the original checkpoint")
    return round_weights(params) if dtype == "bfloat16" else params


def linear_bfloat16(x: Array, p: Linear) -> Array:  # (T, in) -> (T, out)
    """Multiply rounded rows by rounded weights; sums are float32.

    >>> linear_bfloat16(np.float32([[1.001]]), Linear(np.float32([[2]]), np.float32([0]))).tolist()
    [[2.0]]
    """
    return linear(round_bfloat16(x), p)


def linear_int8(x: Array, p: QuantizedLinear) -> Array:  # (T, in) -> (T, out)
    """Quantize each row by groups, multiply whole numbers, and scale back.

    >>> p = QuantizedLinear(*quantize_weight(np.eye(4, dtype=np.float32)), np.zeros(4, np.float32))
    >>> linear_int8(np.float32([[0, 51, 102, 255]]), p).round(3).tolist()
    [[0.0, 51.0, 102.0, 255.0]]
    """
    G, N = p.scales.shape
    filled = np.zeros((len(x), len(p.levels)), np.float32)
    filled[:, : x.shape[1]] = x
    grouped = filled.reshape(len(x), G, -1)  # (T, in) -> (T, G, group)
    low, high = np.minimum(grouped.min(axis=2), 0), np.maximum(grouped.max(axis=2), 0)
    scale = (high - low) / np.float32(255) + SMALLEST_SCALE  # (T, G)
    inverse = np.float32(1) / scale
    zero = np.rint(-low * inverse)
    q = np.rint(np.clip(grouped * inverse[..., None] + zero[..., None], 0, 255))
    levels = p.levels.reshape(G, -1, N).astype(np.float32)
    y = np.zeros((len(x), N), np.float32)
    if p.bias is not None:
        y += p.bias
    for g in range(G):
        whole = q[:, g] @ levels[g] - zero[:, g, None] * levels[g].sum(axis=0)  # exact in float32: below 2^24
        y += whole * p.scales[g] * scale[:, g, None]
    return y
