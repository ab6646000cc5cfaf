"""EmbeddingGemma: a decoder with bidirectional attention, and norms before and after each block.

The constants in its code are folded into the weights: embeddings are scaled by the square root of their width, weights
of norms are stored minus 1, and scores may be scaled by another number than the width of a head.
"""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minembed.runtime.json_files import typed
from minembed.transformer.config import Config
from minembed.transformer.params import Layer, Norm, Params
from minembed.types import Array
from minembed.weights.families import rotary
from minembed.weights.families.family import MODERN, SIZES, Family, Raw, make_config, refuse_others

KEYS = {**SIZES, "hidden_act": "hidden_activation", "layer_norm_eps": "rms_norm_eps", "head_dim": "head_dim"} | {
    "num_key_value_heads": "num_key_value_heads",
    "local_attention": "sliding_window",
    "query_pre_attn_scalar": "query_pre_attn_scalar",
}
DEFAULTS = {"hidden_activation": "gelu_pytorch_tanh", "rms_norm_eps": 1e-6, "head_dim": 256, "num_key_value_heads": 4}
DEFAULTS |= {"sliding_window": 4096, "query_pre_attn_scalar": 256}
FIXED = {"attention_bias": (None, False), "attn_logit_softcapping": (None,), "use_bidirectional_attention": (True,)}
LAYER = "layers.{}"
NAMES = {
    "embeddings.word": ("embed_tokens.weight",),
    "layers.{}.qkv": tuple(f"{LAYER}.self_attn.{part}_proj" for part in "qkv"),
    "layers.{}.attention_output": (f"{LAYER}.self_attn.o_proj",),
    "layers.{}.attention_norm": (f"{LAYER}.input_layernorm",),
    "layers.{}.attention_post_norm": (f"{LAYER}.post_attention_layernorm",),
    "layers.{}.intermediate": (f"{LAYER}.mlp.gate_proj", f"{LAYER}.mlp.up_proj"),
    "layers.{}.output": (f"{LAYER}.mlp.down_proj",),
    "layers.{}.output_norm": (f"{LAYER}.pre_feedforward_layernorm",),
    "layers.{}.output_post_norm": (f"{LAYER}.post_feedforward_layernorm",),
    "layers.{}.query_norm": (f"{LAYER}.self_attn.q_norm",),
    "layers.{}.key_norm": (f"{LAYER}.self_attn.k_norm",),
    "final_norm": ("norm",),
}


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json, in the publisher's spelling or that of transformers 5."""
    refuse_others(raw, path, FIXED)
    theta, local_theta = rotary.read_two(raw, path, ("rope_theta", 1000000.0), ("rope_local_base_freq", 10000.0))
    pattern = typed(raw, "sliding_window_pattern", int, 6, path)
    every, first = rotary.global_layers(raw, path, pattern, pattern - 1)
    return make_config(
        raw,
        path,
        KEYS,
        DEFAULTS,
        norm_type="rms_norm",
        rope_theta=theta,
        local_rope_theta=local_theta,
        global_attn_every_n_layers=every,
        first_global_layer=first,
        **MODERN,
    )


def fold(params: Params, config: Config) -> Params:
    """Fold the constants into the weights."""
    scores = math.sqrt(config.head_size / (config.query_pre_attn_scalar or config.head_size))

    def norm(p: Norm | None, scale: float = 1.0) -> Norm:
        assert p is not None
        return Norm((1 + p.weight) * np.float32(scale))

    def layer(p: Layer) -> Layer:
        own: dict[str, Any] = {
            name: norm(getattr(p, name)) for name in ("attention_norm", "attention_post_norm", "key_norm")
        }
        own |= {name: norm(getattr(p, name)) for name in ("output_norm", "output_post_norm")}
        return replace(p, query_norm=norm(p.query_norm, scores), **own)

    word = _scaled(params.embeddings.word, np.float32(math.sqrt(config.hidden_size)))
    embeddings = replace(params.embeddings, word=word)
    return Params(embeddings, tuple(map(layer, params.layers)), norm(params.final_norm))


def _scaled(table: Array, factor: np.float32) -> Array:
    """Scale a table, in place if possible, since it may have hundreds of megabytes."""
    return np.multiply(table, factor, out=table if table.flags.writeable else None)


GEMMA = Family(read_config, NAMES, ("model.",), ("lm_head.", "score."), fold)
