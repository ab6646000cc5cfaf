"""The choices of an architecture as numbers, for the kernels; minembed.transformer.config.Config has them as words."""

from typing import Any

import numpy as np

from minembed.kernels.tiles.shapes import PANEL
from minembed.transformer.config import Config
from minembed.transformer.params import Params
from minembed.transformer.positions import attention_patterns
from minembed.transformer.quantization import group_size
from minembed.types import Array

NOTHING = 0  # of any of them
GELU, GELU_TANH, SILU, RELU = 1, 2, 3, 4
LAYER_NORM, RMS_NORM = 1, 2
ACTIVATION, GATED, PRE_NORM, HEAD_NORMS, BARE, POST_NORMS = 0, 1, 2, 3, 4, 5  # positions in architecture_of
ACTIVATIONS = {"gelu": GELU, "gelu_new": GELU_TANH, "gelu_pytorch_tanh": GELU_TANH, "silu": SILU, "relu": RELU}
ALL_ROWS, FIRST_ROWS, LAST_ROWS, MEAN_ROWS = 0, 1, 2, 3  # what is kept of each text: one of its rows, or their mean
PATTERN_FIELDS = 5  # numbers of the attention pattern of a layer
NO_LIMIT = 1 << 40  # tokens: more than any text has
MARGIN = 16  # numbers that may be read beyond a table

Shape = tuple[int, int, int, int, int, int, int, int]  # D, F, heads, layers, groups of D and F, K, group of heads * K


def shape_of(config: Config) -> Shape:
    """The sizes of an encoder.

    >>> shape_of(Config(9, 384, 6, 12, 1536, 16, 2, "gelu", 1e-5))
    (384, 1536, 12, 6, 192, 192, 32, 192)
    """
    D, F, H, K = config.hidden_size, config.intermediate_size, config.num_attention_heads, config.head_size
    return D, F, H, config.num_hidden_layers, group_size(D), group_size(F), K, group_size(H * K)


def architecture_of(params: Params, config: Config) -> tuple[int, ...]:
    """The choices of an encoder, at the positions that this file names.

    >>> architecture_of(Params(None, ()), Config(9, 4, 1, 2, 8, 16, 0, "silu", 1e-5, gated=True))
    (3, 1, 0, 0, 0, 0)
    """
    norm = RMS_NORM if config.norm_type == "rms_norm" else LAYER_NORM
    first = params.layers[0] if params.layers else None
    own_norms = first is not None and first.query_norm is not None
    bare = config.pre_norm and first is not None and first.attention_norm is None
    post_norms = first is not None and first.attention_post_norm is not None
    norms = norm * config.pre_norm, int(own_norms), int(bare), int(post_norms)
    return ACTIVATIONS[config.hidden_act], int(config.gated), *norms


def patterns_of(params: Params, config: Config) -> tuple[Array, Array, Array]:
    """The tables of biases and rotations, flat, and for each layer: longest, back, ahead, positions, table.

    >>> bias, rotary, patterns = patterns_of(Params(None, ()), Config(9, 4, 1, 2, 8, 16, 0, "gelu", 1e-5, causal=True))
    >>> patterns.tolist() == [0, NO_LIMIT, 0, 0, 0]
    True
    """
    layers = attention_patterns(params, config)
    different = list({id(pattern): pattern for pattern in layers}.values())
    shared = layers[0].bias  # by all layers
    longest = 0 if shared is None else (shared.shape[1] + 1) // 2
    bias = np.zeros(MARGIN, np.float32) if shared is None else np.append(shared, np.zeros(MARGIN, np.float32))
    tables: list[Any] = [pattern.rotary.reshape(-1) for pattern in different if pattern.rotary is not None]
    positions = config.max_tokens if tables else 0
    rotary = np.concatenate([*tables, np.zeros(PANEL, np.float32)]).astype(np.float32)
    patterns = []
    for pattern in layers:
        back, ahead = (NO_LIMIT if x is None else x for x in (pattern.back, pattern.ahead))
        patterns.append([longest, back, ahead, positions, next(i for i, s in enumerate(different) if s is pattern)])
    return bias, rotary, np.array(patterns, np.int64).reshape(-1)
