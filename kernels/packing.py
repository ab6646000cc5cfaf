"""From the parameters of an encoder to the arrays that the kernels read: packed, rounded or quantised, once.

NumPy only, so that what is stored on disk can be made and read without Numba.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.config import Config
from minembed.params import Array, Linear, Norm, Params

GROUP = 192  # rows of K that share a scale in int8, at most
ALIGN = 64  # bytes of a cache line


@dataclass(frozen=True, slots=True)
class Packed:
    """An encoder as flat arrays; layers one after the other, in each: qkv, attention_output, intermediate, output."""

    dtype: str
    weights: Array  # panels, as kernels/gemm.py describes: float32, uint16 (bfloat16) or int8
    scales: Array  # float32, of int8 panels: [panel][group][columns]
    sums: Array  # int32, of int8 panels over their group
    vectors: Array  # float32: for each layer the four biases, padded to panels, and the two norms (weight, bias)
    word: Array  # (V, D) in the type of the weights
    word_scales: Array  # (V,) float32, of int8 rows
    position: Array  # (P, D) float32
    token_type: Array  # (types, D) float32
    norm: Array  # (2, D) float32: weight and bias of the embeddings' norm


def aligned(size: int, dtype: Any) -> Array:
    """An array of zeros that begins at a cache line.

    >>> aligned(3, np.float32).ctypes.data % ALIGN
    0
    """
    dtype = np.dtype(dtype)
    memory = np.zeros(size * dtype.itemsize + ALIGN, np.uint8)
    start = -memory.ctypes.data % ALIGN
    return memory[start : start + size * dtype.itemsize].view(dtype)


def pad_to(size: int, multiple: int) -> int:
    """Round up.

    >>> pad_to(33, 32)
    64
    """
    return -(-size // multiple) * multiple


def group_size(width: int) -> int:
    """How many rows of a weight share a scale: an even part of the width, or 128 where that is too small.

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
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


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


def quantize_weight(weight: Array) -> tuple[Array, Array]:  # (K, N) -> (groups * group, N) int8, (groups, N) float32
    """Round to signed bytes, with a scale for every column and group of rows: the largest becomes 127."""
    group = group_size(len(weight))
    filled = np.zeros((pad_to(len(weight), group), weight.shape[1]), np.float32)
    filled[: len(weight)] = weight
    grouped = filled.reshape(-1, group, weight.shape[1])
    scales = np.abs(grouped).max(axis=1) / np.float32(127)
    steps = np.where(scales == 0, np.float32(1), scales)
    levels = np.rint(grouped / steps[:, None]).astype(np.int8)
    return levels.reshape(filled.shape), scales


def quantize_rows(table: Array) -> tuple[Array, Array]:  # (V, D) -> int8, (V,) float32
    """Round each row of a table to signed bytes with a scale of its own."""
    scales = np.abs(table).max(axis=1) / np.float32(127)
    steps = np.where(scales == 0, np.float32(1), scales)
    return np.rint(table / steps[:, None]).astype(np.int8), scales


def scaled_queries(p: Linear, config: Config) -> Linear:
    """Put attention's 1 / sqrt(K) into the query columns."""
    factor = np.ones(p.weight.shape[1], np.float32)
    factor[: config.hidden_size] = 1 / np.sqrt(config.head_size)
    return Linear(p.weight * factor, p.bias * factor)


def pack(params: Params, config: Config, dtype: str, columns: int) -> Packed:
    """Make the arrays of a compute type for panels of so many columns."""
    weights: list[Array] = []
    scales: list[Array] = []
    sums: list[Array] = []
    vectors: list[Array] = []

    def add_linear(p: Linear) -> None:
        K = len(p.weight)
        if dtype == "float32":
            weights.append(panels(p.weight, columns, 1, K))
        elif dtype == "bfloat16":
            weights.append(panels(to_bfloat16(p.weight), columns, 2, pad_to(K, 2)))
        else:
            levels, steps = quantize_weight(p.weight)
            weights.append(panels(levels, columns, 4, len(levels)))
            grouped = levels.reshape(len(steps), -1, levels.shape[1]).sum(axis=1, dtype=np.int32)
            scales.append(panels(steps, columns, 1, len(steps)))
            sums.append(panels(grouped, columns, 1, len(steps)))
        vectors.append(np.pad(p.bias, (0, -len(p.bias) % columns)))

    def add_norm(p: Norm) -> None:
        vectors.extend((p.weight, p.bias))

    for layer in params.layers:
        add_linear(scaled_queries(layer.qkv, config))
        add_linear(layer.attention_output)
        add_norm(layer.attention_norm)
        add_linear(layer.intermediate)
        add_linear(layer.output)
        add_norm(layer.output_norm)

    def joined(parts: list[Array], kind: Any) -> Array:
        whole = aligned(sum(map(len, parts)), kind)
        if parts:
            np.concatenate(parts, out=whole)
        return whole

    p = params.embeddings
    word, word_scales = p.word, np.zeros(0, np.float32)
    if dtype == "bfloat16":
        word = to_bfloat16(word)
    elif dtype == "int8":
        word, word_scales = quantize_rows(word)
    kinds = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}
    return Packed(
        dtype, joined(weights, kinds[dtype]), joined(scales, np.float32), joined(sums, np.int32),
        joined(vectors, np.float32), word, word_scales, p.position, p.token_type, np.stack([p.norm.weight, p.norm.bias]),
    )  # fmt: skip
