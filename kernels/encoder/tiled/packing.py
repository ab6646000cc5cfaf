"""Pack parameters into the panels and vectors that tiles read: widths padded with zeros, heads side by side."""

import math
from collections.abc import Iterator

import numpy as np

from minembed.kernels.encoder.architecture import patterns_of
from minembed.kernels.encoder.packing import Packed, aligned, pack_embeddings, panels, release
from minembed.kernels.encoder.tiled.plan import (
    EACH,
    GROUP_C,
    GROUP_D,
    GROUP_F,
    HEAD,
    HEADS,
    S_LAYER,
    V_LAYER,
    W_LAYER,
    WIDE,
    F,
    Plan,
    fill,
)
from minembed.kernels.tiles.shapes import DEEP
from minembed.transformer.config import Config
from minembed.transformer.params import Layer, Linear, Norm, Params
from minembed.transformer.quantization import QuantizedLinear, to_bfloat16
from minembed.types import Array

LOG2_E = math.log2(math.e)
LARGEST_BIAS = np.float32(2.3e38)  # still a finite float32 after scaling


def widened(p: Linear | QuantizedLinear, rows: int) -> Array:  # (K, N)
    """A weight in float32, from any stored type; levels of int8 are padded to whole groups.

    >>> levels, scales = np.ones((4, 1), np.int8), np.full((2, 1), 0.5, np.float32)
    >>> widened(QuantizedLinear(levels, scales, None), 3).tolist()
    [[0.5], [0.5], [0.5]]
    """
    if isinstance(p, Linear):
        return p.weight
    groups, columns = p.scales.shape
    levels = p.levels.reshape(groups, -1, columns).astype(np.float32)
    return (levels * p.scales[:, None]).reshape(-1, columns)[:rows]


def filled(x: Array, rows: int, columns: int) -> Array:
    """A matrix padded with zeros to these rows and columns.

    >>> filled(np.ones((1, 1)), 1, 3).tolist()
    [[1.0, 0.0, 0.0]]
    """
    return np.pad(x, ((0, rows - x.shape[0]), (0, columns - x.shape[1])))


def by_parts(x: Array, parts: int, width: int) -> Array:  # (..., parts * K) -> (..., parts * width)
    """Columns in a number of parts, each padded to a width with zeros.

    >>> by_parts(np.array([1, 2]), 2, 2).tolist()
    [1, 0, 2, 0]
    """
    split = x.reshape(*x.shape[:-1], parts, -1)
    gap = [(0, 0)] * (split.ndim - 1) + [(0, width - split.shape[-1])]
    return np.pad(split, gap).reshape(*x.shape[:-1], parts * width)


def by_heads(x: Array, config: Config, head: int, factor: float) -> Array:
    """Columns of qkv with those of each head side by side: query times a factor, key, value, each padded."""
    H, G, K = config.num_attention_heads, config.key_value_heads, config.head_size
    parts = np.split(x.reshape(*x.shape[:-1], H + 2 * G, K), [H, H + G], axis=-2)
    query = parts[0] if factor == 1 else parts[0] * np.float32(factor)  # levels stay bytes
    shared = [query, *(part.repeat(H // G, axis=-2) for part in parts[1:])]
    return by_parts(np.stack(shared, axis=-2).reshape(*x.shape[:-1], -1), 3 * H, head)


def layer_weights(layer: Layer, config: Config, plan: Plan) -> Iterator[tuple[Array, Array]]:
    """The panels of a layer's four weights, and their scales."""
    wide, hidden, head, heads = plan[WIDE], plan[F], plan[HEAD], plan[HEADS]
    factor = 1 if layer.query_norm is not None else LOG2_E / math.sqrt(config.head_size)
    width, across, inner = config.hidden_size, heads * config.head_size, config.intermediate_size

    def qkv(x: Array, factor: float) -> Array:
        return by_heads(x, config, head, factor)

    def up(x: Array, _: float) -> Array:
        return by_parts(x, 2 if config.gated else 1, hidden)

    def as_it_is(x: Array, _: float) -> Array:
        return x

    def out(x: Array, _: float) -> Array:
        return by_parts(x.T, heads, head).T if len(x) == across else x

    weights = [
        (layer.qkv, qkv, width, wide, plan[GROUP_D]),
        (layer.attention_output, out, across, heads * head, plan[GROUP_C]),
        (layer.intermediate, up, width, wide, plan[GROUP_D]),
        (layer.output, as_it_is, inner, hidden, plan[GROUP_F]),
    ]
    for p, lay, rows, deep, group in weights:
        if isinstance(p, QuantizedLinear) and plan[EACH] == 1:
            levels, scales = lay(p.levels[:rows], 1), np.repeat(lay(p.scales, factor), 2, axis=1)
            columns, groups = fill(levels.shape[1]), -(-deep // group)
            of_scales = panels(filled(scales, groups, 2 * columns), 64, 1, groups)
            yield panels(filled(levels, deep, columns), 32, 2, deep), of_scales
        else:
            weight = lay(widened(p, rows), factor)
            yield panels(to_bfloat16(filled(weight, deep, fill(weight.shape[1]))), 32, 2, deep), np.zeros(0, np.float32)


def layer_vectors(layer: Layer, config: Config, plan: Plan) -> Array:
    """The biases and norms of a layer, at the places of the plan; zeros for missing ones."""
    wide, hidden, head = plan[WIDE], plan[F], plan[HEAD]
    scale = (1 if plan[EACH] == 4 else LOG2_E) / math.sqrt(config.head_size)

    def bias(p: Linear | QuantizedLinear) -> Array:
        columns = (p.weight if isinstance(p, Linear) else p.levels).shape[1]
        return np.zeros(columns, np.float32) if p.bias is None else p.bias

    def part(x: Array | None, width: int) -> Array:
        return np.zeros(width, np.float32) if x is None else np.pad(x, (0, width - len(x)))

    def norm(p: Norm | None, there: bool = True) -> list[Array]:
        if p is None:
            return [part(None, 2 * wide)] if there else []
        return [part(p.weight, wide), part(p.bias, wide)]

    own = layer.query_norm is not None
    parts = [by_heads(bias(layer.qkv), config, head, 1 if own else scale)]
    if layer.query_norm is not None and layer.key_norm is not None:
        parts += [part(layer.query_norm.weight * np.float32(scale), head), part(layer.key_norm.weight, head)]
    parts += [part(bias(layer.attention_output), wide), *norm(layer.attention_post_norm, False)]
    parts += [*norm(layer.attention_norm), by_parts(bias(layer.intermediate), 2 if config.gated else 1, hidden)]
    parts += [part(bias(layer.output), wide), *norm(layer.output_post_norm, False), *norm(layer.output_norm)]
    return np.concatenate(parts).astype(np.float32)


def pack(params: Params, config: Config, dtype: str, plan: Plan) -> Packed:
    """Make the arrays; weights are bytes: two for a bfloat16, one for an int8 level."""
    weights = aligned(len(params.layers) * plan[W_LAYER] * plan[EACH], np.int8)
    scales = aligned(len(params.layers) * plan[S_LAYER], np.float32)
    vectors = aligned(len(params.layers) * plan[V_LAYER], np.float32)
    place = scaled = 0
    for i, layer in enumerate(params.layers):
        for panel, factors in layer_weights(layer, config, plan):
            weights[place : place + panel.nbytes] = panel.view(np.int8)
            scales[scaled : scaled + len(factors)] = factors
            place, scaled = place + panel.nbytes, scaled + len(factors)
        release(layer)
        vectors[i * plan[V_LAYER] : (i + 1) * plan[V_LAYER]] = layer_vectors(layer, config, plan)
    tables = pack_embeddings(params.embeddings, config, dtype)
    return Packed(dtype, weights, scales, np.zeros(0, np.int32), vectors, *tables, 32)


def pack_vectors(params: Params, config: Config, plan: Plan) -> Array:
    """The vectors of all layers, for weights that are packed already (packing.pack of encoders on vectors)."""
    vectors = aligned(len(params.layers) * plan[V_LAYER], np.float32)
    for i, layer in enumerate(params.layers):
        vectors[i * plan[V_LAYER] : (i + 1) * plan[V_LAYER]] = layer_vectors(layer, config, plan)
    return vectors


def is_whole(config: Config) -> bool:
    """Whether nothing has to be padded, so that float32 panels of an encoder on vectors are those of one on tiles.

    >>> is_whole(Config(9, 384, 6, 12, 1536, 16, 2, "gelu", 1e-5))
    True
    """
    return not any(n % DEEP for n in (config.hidden_size, config.intermediate_size, config.head_size))


def scaled_patterns(params: Params, config: Config) -> tuple[Array, Array, Array]:
    """As patterns_of, for scores that are exponents of two; finite biases stay finite, or a row could become NaN."""
    bias, rotary, patterns = patterns_of(params, config)
    held = np.where(np.isfinite(bias), np.clip(bias, -LARGEST_BIAS, LARGEST_BIAS), bias)
    return held * np.float32(LOG2_E), rotary, patterns
