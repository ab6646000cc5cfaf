"""Pack the parameters of an encoder into flat arrays for the kernels, once, when a model is loaded."""

import math
import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.transformer.config import Config
from minembed.transformer.params import Embeddings, Layer, Linear, Norm, Params
from minembed.transformer.quantization import QuantizedLinear, QuantizedRows, pad_to, to_bfloat16
from minembed.types import Array

ALIGN = 64  # bytes of a cache line
WEIGHTS = {"float32": np.float32, "bfloat16": np.uint16, "int8": np.int8}  # stored dtype of a compute type


@dataclass(frozen=True, slots=True)
class Packed:
    """An encoder as flat arrays; layer after layer, and in each: qkv, attention_output, intermediate, output."""

    dtype: str
    weights: Array  # panels, as kernels/encoder/gemm.py describes: float32, uint16 (bfloat16) or int8
    scales: Array  # float32, of int8 panels: [panel][group][columns]
    sums: Array  # int32, of int8 panels over their group
    vectors: Array  # float32: for each layer the four biases, padded to panels, and its norms (weight, bias)
    word: Array  # (V * D,) in the type of the weights
    word_scales: Array  # (V,) float32, of int8 rows
    position: Array  # (P * D,) float32
    token_type: Array  # (types * D,) float32
    norm: Array  # (2 * D,) float32: weight and bias of the embeddings' norm
    panel: int  # columns of a panel: those of this CPU's tiles


def aligned(size: int, dtype: Any) -> Array:
    """An array of zeros that begins at the start of a cache line.

    >>> aligned(3, np.float32).ctypes.data % ALIGN
    0
    """
    dtype = np.dtype(dtype)
    memory = np.zeros(size * dtype.itemsize + ALIGN, np.uint8)
    start = -memory.ctypes.data % ALIGN
    return memory[start : start + size * dtype.itemsize].view(dtype)


def panels(weight: Array, columns: int, together: int, rows: int) -> Array:  # (K, N) -> flat
    """A weight as panels of columns, with `together` neighbours along K side by side, padded with zeros to `rows`.

    >>> panels(np.arange(8).reshape(4, 2), columns=2, together=2, rows=4).tolist()
    [0, 2, 1, 3, 4, 6, 5, 7]
    """
    by_panel = panels_of(weight, columns, together, rows)
    return np.ascontiguousarray(by_panel).view(weight.dtype).reshape(-1)


def panels_of(weight: Array, columns: int, together: int, rows: int) -> Array:  # (K, N) -> (panels, K', columns)
    """As `panels`, but a view if nothing is padded; an item holds the `together` neighbours.

    >>> panels_of(np.arange(8).reshape(4, 2), columns=1, together=1, rows=4)[1].tolist()
    [[1], [3], [5], [7]]
    """
    (K, N), padded = weight.shape, pad_to(weight.shape[1], columns)
    words = weight
    if together > 1 or (rows, padded) != (K, N):
        mixed = np.zeros((rows // together, padded, together), weight.dtype)
        for i in range(together):
            part = weight[i::together]
            mixed[: len(part), :N, i] = part
        words = mixed.view(f"V{together * weight.itemsize}")[..., 0]  # neighbours move as one: three times as fast
    return words.reshape(rows // together, -1, columns).transpose(1, 0, 2)


def by_heads(p: Any, config: Config, columns: int, normalised: bool = False, room: list[Array] | None = None) -> Any:
    """qkv with the columns of each head side by side: query / sqrt(K), key, value, zeros to whole panels.

    Keys and values that heads share are repeated for each of them.  If queries are normalised, the norm's weight
    has the factor 1 / sqrt(K).  A transposed view gives another, in an array that is kept in `room` and used again for
    the next layer: for the system, memory that was not touched before is most of the work.
    """
    H, G, K = config.num_attention_heads, config.key_value_heads, config.head_size
    width, factor = pad_to(3 * K, columns), np.float32(1 if normalised else 1 / math.sqrt(K))

    def turn(x: Array, factor: Any = None) -> Array:  # (..., (H + 2G) K) -> (..., H * width)
        if x.flags.c_contiguous:
            out = np.zeros((*x.shape[:-1], H, width), x.dtype)
        else:
            kept = [] if room is None else room
            kept += [] if kept else [np.zeros((H, width, len(x)), x.dtype)]
            out = kept[0].transpose(2, 0, 1)  # zeros stay where no layer has numbers
        query, key, value = np.split(x.reshape(*x.shape[:-1], H + 2 * G, K), [H, H + G], axis=-2)
        np.copyto(out[..., :K], query) if factor is None else np.multiply(query, factor, out=out[..., :K])
        out[..., K : 2 * K] = key if G == H else key.repeat(H // G, axis=-2)
        out[..., 2 * K : 3 * K] = value if G == H else value.repeat(H // G, axis=-2)
        return out.reshape(*x.shape[:-1], H * width)

    bias = None if p.bias is None else turn(p.bias, factor)
    if isinstance(p, QuantizedLinear):
        return QuantizedLinear(turn(p.levels), turn(p.scales, factor), bias)
    return Linear(turn(p.weight, factor), bias)


def pack_weight(p: Linear | QuantizedLinear, dtype: str, columns: int) -> tuple[Array, ...]:
    """The panels of one linear layer; for int8 also those of the scales, and of the sums of levels over each group.

    >>> [len(part) for part in pack_weight(Linear(np.ones((3, 5), np.float32), np.ones(5)), "float32", 16)]
    [48, 0, 0]
    """
    parts = zip(panels_of_weight(p, dtype, columns), kinds_of(dtype), strict=True)
    return tuple(np.ascontiguousarray(part).view(kind).reshape(-1) for part, kind in parts)


def kinds_of(dtype: str) -> tuple[Any, Any, Any]:
    """The types of panels, of their scales and of their sums.

    >>> kinds_of("int8") == (np.int8, np.float32, np.int32)
    True
    """
    return WEIGHTS[dtype], np.float32, np.int32


def panels_of_weight(p: Linear | QuantizedLinear, dtype: str, columns: int) -> tuple[Array, ...]:
    """As `pack_weight`, but by `panels_of`, so that what is not padded is not copied.

    >>> [part.shape for part in panels_of_weight(Linear(np.ones((3, 5), np.float32), np.ones(5)), "float32", 16)]
    [(1, 3, 16), (0,), (0,)]
    """
    if isinstance(p, QuantizedLinear):
        G = len(p.scales)
        sums = p.levels.reshape(G, -1, p.levels.shape[1]).sum(axis=1, dtype=np.int32)
        levels = panels_of(p.levels, columns, 4, len(p.levels))
        return levels, panels_of(p.scales, columns, 1, G), panels_of(sums, columns, 1, G)
    none = np.zeros(0, np.float32), np.zeros(0, np.int32)
    if dtype == "bfloat16":
        return panels_of(to_bfloat16(p.weight), columns, 2, pad_to(len(p.weight), 2)), *none
    return panels_of(p.weight, columns, 1, len(p.weight)), *none


def pack(params: Params, config: Config, dtype: str, columns: int) -> Packed:
    """Pack parameters that were converted to a compute type, in panels of this many columns."""
    kinds = kinds_of(dtype)
    wholes: list[Array] = []
    room: list[Array] = []
    vectors: list[Array] = []
    for i, layer in enumerate(params.layers):
        qkv = by_heads(layer.qkv, config, columns, layer.query_norm is not None, room)
        linears = qkv, layer.attention_output, layer.intermediate, layer.output
        for at, parts in enumerate(zip(*(panels_of_weight(p, dtype, columns) for p in linears), strict=True)):
            size = sum(part.nbytes for part in parts) // np.dtype(kinds[at]).itemsize
            if i == 0:
                wholes.append(aligned(len(params.layers) * size, kinds[at]))
            put(parts, wholes[at][i * size : (i + 1) * size])  # not joined at the end, which takes twice the memory
        release(layer)
        vectors += layer_vectors(layer, linears, config, columns)
    weights, scales, sums = wholes
    tables = pack_embeddings(params.embeddings, config, dtype)
    return Packed(dtype, weights, scales, sums, joined(vectors, np.float32), *tables, columns)


def put(parts: Sequence[Array], out: Array) -> None:
    """Write arrays one after the other, the items of each in C order; an item may be several of `out`.

    >>> out = np.zeros(6, np.int8)
    >>> put([np.int8([[0, 1], [2, 3]]).T, np.int8([4, 5]).view("V2")], out)
    >>> out.tolist()
    [0, 2, 1, 3, 4, 5]
    """
    at = 0
    for part in parts:
        end = at + part.nbytes // out.itemsize
        out[at:end].view(part.dtype).reshape(part.shape)[...] = part
        at = end


def layer_vectors(layer: Layer, linears: Sequence[Any], config: Config, columns: int) -> list[Array]:
    """The biases and norms of a layer, in the order in which the kernels use them; zeros for missing ones."""
    D = config.hidden_size

    def bias(p: Linear | QuantizedLinear) -> Array:
        width = (p.levels if isinstance(p, QuantizedLinear) else p.weight).shape[1]
        return np.pad(zeros(width) if p.bias is None else p.bias, (0, -width % columns))

    def norm(p: Norm | None) -> list[Array]:
        return [zeros(2 * D)] if p is None else [p.weight, zeros(D) if p.bias is None else p.bias]

    first, second, third, fourth = map(bias, linears)
    before, after = norm(layer.attention_norm), norm(layer.output_norm)
    if layer.query_norm is not None and layer.key_norm is not None:
        scale = np.float32(1 / math.sqrt(config.head_size))
        first = np.concatenate([first, layer.query_norm.weight * scale, layer.key_norm.weight])
    if config.pre_norm:
        post_norms = [[] if p is None else norm(p) for p in (layer.attention_post_norm, layer.output_post_norm)]
        return [*before, first, second, *post_norms[0], *after, third, fourth, *post_norms[1]]
    return [first, second, *before, third, fourth, *after]


def numpy_embeddings(params: Params) -> Embeddings | None:
    """The embeddings if NumPy computes them, that is, if they are not normalised or are widened; otherwise None."""
    p = params.embeddings
    return p if p.norm is None or p.projection is not None else None


def zeros(width: int) -> Array:
    """A float32 array of zeros.

    >>> zeros(1).tolist()
    [0.0]
    """
    return np.zeros(width, np.float32)


def pack_embeddings(p: Embeddings, config: Config, dtype: str) -> tuple[Array, Array, Array, Array, Array]:
    """The tables of words (with scales), positions and segments, and the norm; a row of zeros for a missing table.

    Embeddings that are not normalised, or are widened, are left to minembed.transformer.encoder.embed.
    """
    D = config.hidden_size
    if p.norm is None or p.projection is not None:
        none = np.zeros((1, D), np.float32)
        table: Any = QuantizedRows(none.astype(np.int8), none[0, :1]) if dtype == "int8" else none
        word, word_scales = pack_table(table, dtype)
        return word, word_scales, zeros(D), zeros(D), zeros(2 * D)
    word, word_scales = pack_table(p.word, dtype)
    position, token_type = (zeros(D) if x is None else x.reshape(-1) for x in (p.position, p.token_type))
    # read-only arrays, mapped from a file, have another type in Numba, which would compile everything again
    word_scales, position, token_type = (
        np.require(x, requirements=["C", "A", "W"]) for x in (word_scales, position, token_type)
    )
    norm = np.concatenate([p.norm.weight, zeros(D) if p.norm.bias is None else p.norm.bias])
    return word, word_scales, position, token_type, norm


def release(layer: Layer) -> None:
    """Release the pages of a layer's weights that are mapped from a file, since they count as our memory."""
    linears: tuple[Any, ...] = layer.qkv, layer.attention_output, layer.intermediate, layer.output
    for p in linears:
        source = p.levels if isinstance(p, QuantizedLinear) else None
        while isinstance(source, np.ndarray) and not isinstance(source, np.memmap):
            source = source.base
        pages: Any = source.base if isinstance(source, np.memmap) and source.mode == "r" else None
        if hasattr(pages, "madvise"):
            pages.madvise(mmap.MADV_DONTNEED)  # read again if needed


def pack_table(word: Any, dtype: str) -> tuple[Array, Array]:
    """The word table, flat and read-only, and the scales of its rows; bfloat16 rows are padded to vectors of 16.

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
    """Concatenate arrays into one that begins at a cache line.

    >>> joined([np.array([1, 2]), np.array([3])], np.int32).tolist()
    [1, 2, 3]
    """
    whole = aligned(sum(map(len, parts)), kind)
    np.concatenate(parts, out=whole)
    return whole
