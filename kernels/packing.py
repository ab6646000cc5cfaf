"""From the parameters of an encoder to the flat arrays that the kernels read: packed once, when a model is loaded."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.config import Config
from minembed.params import Array, Linear, Norm, Params
from minembed.quantization import QuantizedLinear, QuantizedRows, pad_to, to_bfloat16

ALIGN = 64  # bytes of a cache line
WEIGHTS = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}  # how weights of a compute type are stored


@dataclass(frozen=True, slots=True)
class Packed:
    """An encoder as flat arrays; layers one after the other, in each: qkv, attention_output, intermediate, output."""

    dtype: str
    weights: Array  # panels, as kernels/gemm.py describes: float32, uint16 (bfloat16) or int8
    scales: Array  # float32, of int8 panels: [panel][group][columns]
    sums: Array  # int32, of int8 panels over their group
    vectors: Array  # float32: for each layer the four biases, padded to panels, and the two norms (weight, bias)
    word: Array  # (V * D,) in the type of the weights
    word_scales: Array  # (V,) float32, of int8 rows
    position: Array  # (P * D,) float32
    token_type: Array  # (types * D,) float32
    norm: Array  # (2 * D,) float32: weight and bias of the embeddings' norm


def aligned(size: int, dtype: Any) -> Array:
    """An array of zeros that begins at a cache line.

    >>> aligned(3, np.float32).ctypes.data % ALIGN
    0
    """
    dtype = np.dtype(dtype)
    memory = np.zeros(size * dtype.itemsize + ALIGN, np.uint8)
    start = -memory.ctypes.data % ALIGN
    return memory[start : start + size * dtype.itemsize].view(dtype)


def panels(weight: Array, columns: int, together: int, rows: int) -> Array:  # (K, N) -> flat
    """Lay a weight out in panels of columns, `together` neighbours of K side by side, padded with zeros to `rows`.

    >>> panels(np.arange(8).reshape(4, 2), columns=2, together=2, rows=4).tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    K, N = weight.shape
    filled = np.zeros((rows, pad_to(N, columns)), weight.dtype)
    filled[:K, :N] = weight
    split = filled.reshape(rows // together, together, -1, columns)
    return np.ascontiguousarray(split.transpose(2, 0, 3, 1)).reshape(-1)


def query_factors(config: Config) -> Array:  # -> (3D,)
    """Attention's 1 / sqrt(K), for the query columns of qkv; 1 for the others.

    >>> query_factors(Config(10, 4, 1, 1, 8, 8, 1, "gelu", 1e-12)).tolist()[3:5]
    [0.5, 1.0]
    """
    factors = np.ones(3 * config.hidden_size, np.float32)
    factors[: config.hidden_size] = 1 / math.sqrt(config.head_size)
    return factors


def pack_weight(p: Linear | QuantizedLinear, factors: Array | None, dtype: str, columns: int) -> tuple[Array, ...]:
    """The panels of one linear layer; for int8 also those of the scales, and of the sums of levels over each group."""
    if isinstance(p, QuantizedLinear):
        G = len(p.scales)
        sums = p.levels.reshape(G, -1, p.levels.shape[1]).sum(axis=1, dtype=np.int32)
        scales = p.scales if factors is None else p.scales * factors
        return panels(p.levels, columns, 4, len(p.levels)), panels(scales, columns, 1, G), panels(sums, columns, 1, G)
    weight = p.weight if factors is None else p.weight * factors
    none = np.zeros(0, np.float32), np.zeros(0, np.int32)
    if dtype == "bfloat16":
        return panels(to_bfloat16(weight), columns, 2, pad_to(len(weight), 2)), *none
    return panels(weight, columns, 1, len(weight)), *none


def pack(params: Params, config: Config, dtype: str, columns: int) -> Packed:
    """Make the arrays of a compute type, for panels of so many columns, from parameters that were lowered to it."""
    weights: list[tuple[Array, ...]] = []
    vectors: list[Array] = []

    def add_linear(p: Linear | QuantizedLinear, factors: Array | None = None) -> None:
        weights.append(pack_weight(p, factors, dtype, columns))
        bias = p.bias if factors is None else p.bias * factors
        vectors.append(np.pad(bias, (0, -len(bias) % columns)))

    def add_norm(p: Norm) -> None:
        vectors.extend((p.weight, p.bias))

    for layer in params.layers:
        add_linear(layer.qkv, query_factors(config))
        add_linear(layer.attention_output)
        add_norm(layer.attention_norm)
        add_linear(layer.intermediate)
        add_linear(layer.output)
        add_norm(layer.output_norm)
    p = params.embeddings
    word, word_scales = pack_table(p.word, dtype)
    kinds = (WEIGHTS[dtype], np.float32, np.int32)
    return Packed(
        dtype,
        *(joined(parts, kind) for parts, kind in zip(zip(*weights, strict=True), kinds, strict=True)),
        joined(vectors, np.float32),
        word,
        word_scales,
        p.position.reshape(-1),
        p.token_type.reshape(-1),
        np.concatenate([p.norm.weight, p.norm.bias]),
    )


def pack_table(word: Any, dtype: str) -> tuple[Array, Array]:
    """The word table, flat and read-only, and the scales of its rows; bfloat16 rows are filled up to vectors of 16."""
    scales = np.zeros(0, np.float32)
    if isinstance(word, QuantizedRows):
        table, scales = word.levels, word.scales
    elif dtype == "bfloat16":
        table = np.pad(to_bfloat16(word), ((0, 0), (0, -word.shape[1] % 16)))
    else:
        table = word
    flat = table.reshape(-1).view()
    flat.flags.writeable = False
    return flat, scales


def joined(parts: Sequence[Array], kind: Any) -> Array:
    """Arrays end to end, from a cache line on."""
    whole = aligned(sum(map(len, parts)), kind)
    np.concatenate(parts, out=whole)
    return whole
