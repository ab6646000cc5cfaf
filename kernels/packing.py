"""From the parameters of an encoder to the flat arrays that the kernels read: packed once, when a model is loaded."""

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.config import Config
from minembed.params import Array, Layer, Linear, Params
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


def by_heads(p: Any, config: Config, columns: int) -> Any:
    """qkv with the columns of each head side by side: query / sqrt(K), key, value, zeros to whole panels."""
    H, K = config.num_attention_heads, config.head_size

    def turn(x: Array) -> Array:  # (..., 3D) -> (..., H * padded)
        heads = np.moveaxis(x.reshape(*x.shape[:-1], 3, H, K), -3, -2)  # (..., 3, H, K) -> (..., H, 3, K)
        flat = heads.reshape(*x.shape[:-1], H, 3 * K)
        padded = np.zeros((*x.shape[:-1], H, pad_to(3 * K, columns)), x.dtype)
        padded[..., : 3 * K] = flat
        return padded.reshape(*x.shape[:-1], -1)

    factors = np.ones(3 * config.hidden_size, np.float32)
    factors[: config.hidden_size] = 1 / math.sqrt(K)
    if isinstance(p, QuantizedLinear):
        return QuantizedLinear(turn(p.levels), turn(p.scales * factors), turn(p.bias * factors))
    return Linear(turn(p.weight * factors), turn(p.bias * factors))


def pack_weight(p: Linear | QuantizedLinear, dtype: str, columns: int) -> tuple[Array, ...]:
    """The panels of one linear layer; for int8 also those of the scales, and of the sums of levels over each group.

    >>> [len(part) for part in pack_weight(Linear(np.ones((3, 5), np.float32), np.ones(5)), "float32", 16)]
    [48, 0, 0]
    """
    if isinstance(p, QuantizedLinear):
        G = len(p.scales)
        sums = p.levels.reshape(G, -1, p.levels.shape[1]).sum(axis=1, dtype=np.int32)
        return panels(p.levels, columns, 4, len(p.levels)), panels(p.scales, columns, 1, G), panels(sums, columns, 1, G)
    none = np.zeros(0, np.float32), np.zeros(0, np.int32)
    if dtype == "bfloat16":
        return panels(to_bfloat16(p.weight), columns, 2, pad_to(len(p.weight), 2)), *none
    return panels(p.weight, columns, 1, len(p.weight)), *none


def pack(params: Params, config: Config, dtype: str, columns: int) -> Packed:
    """Make the arrays of a compute type, for panels of so many columns, from parameters that were lowered to it."""
    wholes: list[Array] = []
    vectors: list[Array] = []
    for i, layer in enumerate(params.layers):
        linears = by_heads(layer.qkv, config, columns), layer.attention_output, layer.intermediate, layer.output
        packed = zip(*(pack_weight(p, dtype, columns) for p in linears), strict=True)
        parts = [np.concatenate(part) for part in packed]
        wholes = wholes or [aligned(len(params.layers) * len(part), part.dtype) for part in parts]
        for whole, part in zip(wholes, parts, strict=True):  # by layers: joined at the end they would lie there twice
            whole[i * len(part) : (i + 1) * len(part)] = part
        _release(layer)
        biases = [np.pad(p.bias, (0, -len(p.bias) % columns)) for p in linears]
        norms = [(norm.weight, norm.bias) for norm in (layer.attention_norm, layer.output_norm)]
        vectors += [*biases[:2], *norms[0], *biases[2:], *norms[1]]
    p = params.embeddings
    word, word_scales = pack_table(p.word, dtype)
    # read-only arrays, mapped from a file, are of another type for Numba, which would compile everything anew
    tables = (np.require(x.reshape(-1), requirements="CAW") for x in (word_scales, p.position, p.token_type))
    norm = np.concatenate([p.norm.weight, p.norm.bias])
    return Packed(dtype, *wholes, joined(vectors, np.float32), word, *tables, norm)


def _release(layer: Layer) -> None:
    """Let go of what was read of a layer's weights where they are mapped from a file: it counts as our memory."""
    for p in (layer.qkv, layer.attention_output, layer.intermediate, layer.output):
        source = getattr(p, "levels", None)
        while isinstance(source, np.ndarray) and not isinstance(source, np.memmap):
            source = source.base
        if isinstance(source, np.memmap) and source.mode == "r" and hasattr(source.base, "madvise"):
            source.base.madvise(mmap.MADV_DONTNEED)  # wanted again, it is read again


def pack_table(word: Any, dtype: str) -> tuple[Array, Array]:
    """The word table, flat and read-only, and the scales of its rows; bfloat16 rows are filled up to vectors of 16.

    >>> pack_table(np.ones((2, 3), np.float32), "bfloat16")[0].size
    32
    """
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
    """Arrays end to end, from a cache line on.

    >>> joined([np.array([1, 2]), np.array([3])], np.int32).tolist()
    [1, 2, 3]
    """
    whole = aligned(sum(map(len, parts)), kind)
    np.concatenate(parts, out=whole)
    return whole
