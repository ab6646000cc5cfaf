"""Qwen3-Embedding: a decoder used as an embedder.  Causal, pre-norm, with fewer heads for keys than for queries."""

from pathlib import Path

from minembed.errors import UnsupportedModelError
from minembed.transformer.config import Config
from minembed.weights.families import rotary
from minembed.weights.families.family import MODERN, SIZES, Family, Raw, make_config, refuse_others

KEYS = {**SIZES, "hidden_act": "hidden_act", "layer_norm_eps": "rms_norm_eps", "head_dim": "head_dim"} | {
    "num_key_value_heads": "num_key_value_heads"
}
DEFAULTS = {"hidden_act": "silu", "rms_norm_eps": 1e-6, "head_dim": 128, "num_key_value_heads": 32}
FIXED = {"attention_bias": (None, False), "use_sliding_window": (None, False), "mlp_bias": (None, False)}
LAYER = "layers.{}"
NAMES = {
    "embeddings.word": ("embed_tokens.weight",),
    "layers.{}.qkv": tuple(f"{LAYER}.self_attn.{part}_proj" for part in "qkv"),
    "layers.{}.attention_output": (f"{LAYER}.self_attn.o_proj",),
    "layers.{}.attention_norm": (f"{LAYER}.input_layernorm",),
    "layers.{}.intermediate": (f"{LAYER}.mlp.gate_proj", f"{LAYER}.mlp.up_proj"),
    "layers.{}.output": (f"{LAYER}.mlp.down_proj",),
    "layers.{}.output_norm": (f"{LAYER}.post_attention_layernorm",),
    "layers.{}.query_norm": (f"{LAYER}.self_attn.q_norm",),
    "layers.{}.key_norm": (f"{LAYER}.self_attn.k_norm",),
    "final_norm": ("norm",),
}


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json; refuse layers with local attention."""
    refuse_others({key: value for key, value in raw.items() if key != "is_decoder"}, path, FIXED)
    kinds = raw.get("layer_types")
    if kinds is not None and not (isinstance(kinds, list) and all(kind == "full_attention" for kind in kinds)):
        raise UnsupportedModelError(f"{path}: layer_types = {kinds!r} is not supported")
    theta, scaling = rotary.read_rotary(raw, path, 10000.0)
    return make_config(
        raw,
        path,
        KEYS,
        DEFAULTS,
        norm_type="rms_norm",
        causal=True,
        rope_theta=theta,
        rope_scaling=scaling,
        **MODERN,
    )


QWEN3 = Family(read_config, NAMES, ("model.",), ("lm_head.", "score."))
