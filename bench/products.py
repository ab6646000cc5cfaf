"""Matrix products and attention as the kernels compute them, timed outside the encoder."""

import numpy as np
from numba import njit

from minembed.kernels.encoder.architecture import NOTHING
from minembed.kernels.encoder.attention import attend
from minembed.kernels.encoder.buffers import lay_out, padded, sizes
from minembed.kernels.encoder.gemm import encode, multiply
from minembed.kernels.encoder.packing import WEIGHTS, aligned, pack_weight
from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.kernels.vectors.simd import address
from minembed.transformer.params import Linear
from minembed.transformer.quantization import QuantizedLinear, group_size, quantize_weight
from probe import best_seconds

SLACK = 64  # elements or rows that may be touched beyond the end
WARM = 3e9  # operations of one timing, about
REPEATS = 5  # of attention in one timing


@njit(nogil=True)
def go_round(repeats, layers, encoding, rows, x, width, group, packed, bias, out_width, out, operand, quant):
    """`repeats` times: for each of the layers' weights, encode the rows (or only once, before) and multiply."""
    weights, scales, sums = packed
    size, groups = len(weights) // layers, len(scales) // layers
    buffers = (address(operand, 0), address(quant[0], 0), address(quant[1], 0))
    encoded = encode(address(x, 0), padded(width), rows, width, group, address(weights, 0), buffers)
    for _ in range(repeats):
        for layer in range(layers):
            p = (
                address(weights, layer * size), address(scales, layer * groups), address(sums, layer * groups),
                address(bias, 0),
            )  # fmt: skip
            if encoding:
                encoded = encode(address(x, 0), padded(width), rows, width, group, p[0], buffers)
            multiply(encoded, rows, width, group, p, out_width, address(out, 0), padded(out_width), NOTHING)


def packed_weights(dtype: str, width: int, out_width: int, layers: int) -> tuple[np.ndarray, ...]:
    """Random weights, packed one after the other, aligned to a cache line: panels, scales, sums."""
    rng = np.random.default_rng(0)
    parts = []
    for _ in range(layers):
        weight, bias = rng.standard_normal((width, out_width), np.float32), np.zeros(out_width, np.float32)
        layer = QuantizedLinear(*quantize_weight(weight), bias) if dtype == "int8" else Linear(weight, bias)
        parts.append(pack_weight(layer, dtype, PANEL))
    whole = []
    for arrays in zip(*parts, strict=True):
        joined = aligned(sum(map(len, arrays)), arrays[0].dtype)
        np.concatenate(arrays, out=joined)
        whole.append(joined)
    return tuple(whole)


def seconds(dtype: str, rows: int, width: int, out_width: int, layers: int) -> tuple[float, float]:
    """Seconds of one product (rows, width) x (width, out_width), alone and with the encoding of its input."""
    packed = packed_weights(dtype, width, out_width, layers)
    some_rows, group = rows + TILE_ROWS, group_size(width)
    x = aligned(some_rows * padded(width) + SLACK, np.float32)
    x[:] = np.random.default_rng(1).standard_normal(len(x), np.float32)
    out = aligned(some_rows * padded(out_width) + SLACK, np.float32)
    operand = aligned(some_rows * (width + SLACK), np.uint16 if dtype == "bfloat16" else np.uint8)
    quant = np.zeros(some_rows * SLACK, np.float32), np.zeros(some_rows * SLACK, np.int32)
    bias = np.zeros(out_width + SLACK, np.float32)
    repeats = max(1, round(WARM / (2 * rows * width * out_width * layers)))
    arguments = rows, x, width, group, packed, bias, out_width, out, operand, quant
    alone, together = (best_seconds(go_round, repeats, layers, encoding, *arguments) for encoding in (False, True))
    return alone / repeats / layers, together / repeats / layers


@njit(nogil=True)
def go_through(repeats, kind, qkv, tokens, length, shape, floats, zeros):
    """`repeats` times: attention of every text, in as many heads as a layer has."""
    width, heads = shape[0], shape[2]
    size = width // heads
    (_, _, context, _, _, room), _ = lay_out(floats, tokens, shape, NOTHING, zeros)
    wide, everything = padded(3 * size), (address(zeros, 0), tokens, tokens)
    for _ in range(repeats * heads):
        for row in range(0, tokens, length):
            attend(
                address(kind, 0), address(qkv, row * wide), wide, length, size, context, padded(width), everything,
                False, room,
            )  # fmt: skip


def attention(dtype: str, length: int, tokens: int, width: int, heads: int) -> dict:
    """One layer's attention on `tokens` tokens in texts of `length`: time a token, billions of operations a second."""
    texts, groups = tokens // length, (group_size(width), group_size(4 * width))
    shape = width, 4 * width, heads, 1, *groups, width // heads, groups[0]
    qkv = aligned((tokens + TILE_ROWS + SLACK) * padded(3 * width // heads), np.float32)
    qkv[:] = np.random.default_rng(2).standard_normal(len(qkv), np.float32)
    floats, zeros = aligned(sum(sizes(tokens, shape, NOTHING)) + SLACK, np.float32), np.zeros(4 * PANEL, np.float32)
    kind = np.zeros(1, WEIGHTS[dtype])  # the type of the weights decides how attention is computed
    taken = best_seconds(go_through, REPEATS, kind, qkv, tokens, length, shape, floats, zeros) / REPEATS
    return {
        "us_per_token": round(taken / tokens * 1e6, 3),
        "rate": round(4 * texts * length * length * width / taken / 1e9, 1),
    }
