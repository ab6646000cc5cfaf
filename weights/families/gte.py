"""GTE of 2024 (gte-base-en-v1.5, gte-large-en-v1.5, gte-multilingual-base, arctic-embed-m-v2.0): rotary and gated.

The publisher's model_type is "new"; in its gated layers the factor comes before the activated half.
"""

from pathlib import Path
from typing import Any

from minembed.errors import ConfigError, UnsupportedModelError
from minembed.runtime.json_files import typed
from minembed.transformer.config import Config
from minembed.weights.families import bert, rotary
from minembed.weights.families.family import Family, Raw, make_config, refuse_others

FIXED = {
    "position_embedding_type": (None, "rope"),
    "layer_norm_type": (None, "layer_norm"),
    "logn_attention_scale": (None, False),
    "logn_attention_clip1": (None, False),
    "pack_qkv": (None, True),
}
DEFAULTS = {"type_vocab_size": 0, "hidden_act": "gelu", "layer_norm_eps": 1e-12}
NAMES = {part: names for part, names in bert.EMBEDDINGS.items() if part != "embeddings.position"} | {
    "layers.{}.qkv": (f"{bert.LAYER}.attention.qkv_proj",),
    "layers.{}.attention_output": (f"{bert.LAYER}.attention.o_proj",),
    "layers.{}.attention_norm": (f"{bert.LAYER}.attn_ln",),
    "layers.{}.intermediate": (f"{bert.LAYER}.mlp.up_gate_proj[1]", f"{bert.LAYER}.mlp.up_gate_proj[0]"),
    "layers.{}.output": (f"{bert.LAYER}.mlp.down_proj",),
    "layers.{}.output_norm": (f"{bert.LAYER}.mlp_ln",),
}


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json, in the publisher's spelling or that of transformers 5."""
    refuse_others(raw, path, FIXED)
    theta, scaling = _rotary(raw, path)
    return make_config(
        raw,
        path,
        bert.KEYS,
        DEFAULTS,
        gated=True,
        position_embedding_type="rotary",
        rope_theta=theta,
        rope_scaling=scaling,
        without_bias=("intermediate",),
    )


def _rotary(raw: Raw, path: Path) -> rotary.Rotary:
    """The base of the angles and the divisor of positions; NTK scaling changes both, for texts of any length."""
    scaling: dict[str, Any] = typed(raw, "rope_scaling", dict, {}, path)
    if not scaling:
        return rotary.read_rotary(raw, path, 160000.0)
    if set(scaling) - {"type", "factor"} or scaling.get("type") != "ntk":
        raise UnsupportedModelError(f"{path}: rope_scaling = {scaling!r} is not supported; known: ntk")
    theta, factor = rotary.as_number(raw, path, 10000.0, "rope_theta"), rotary.as_number(scaling, path, 1.0, "factor")
    heads, width = typed(raw, "num_attention_heads", int, 1, path), typed(raw, "hidden_size", int, 0, path)
    if not 0 < heads <= width:
        raise ConfigError(f"{path}: hidden_size {width} does not split into num_attention_heads {heads}")
    return theta * factor, factor ** (2 / (width // heads))


MODULES = {  # the names in transformers
    f"{bert.LAYER}.attention.qkv_proj": tuple(f"layers.{{}}.self_attn.{part}_proj" for part in "qkv"),
    f"{bert.LAYER}.attention.o_proj": ("layers.{}.self_attn.o_proj",),
    f"{bert.LAYER}.attn_ln": ("layers.{}.post_attention_layernorm",),
    f"{bert.LAYER}.mlp.up_gate_proj": ("layers.{}.mlp.up_proj", "layers.{}.mlp.gate_proj"),
    f"{bert.LAYER}.mlp.down_proj": ("layers.{}.mlp.down_proj",),
    f"{bert.LAYER}.mlp_ln": ("layers.{}.post_mlp_layernorm",),
}
GTE = Family(read_config, NAMES, ("new.", "gte."), (*bert.IGNORED, "lm_head."), modules=MODULES)
