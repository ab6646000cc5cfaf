"""NomicBERT (nomic-embed-text-v1 and v1.5): BERT with rotary positions, a gated feed-forward block and few biases."""

from dataclasses import replace
from pathlib import Path

from minembed.runtime.json_files import typed
from minembed.transformer.config import Config
from minembed.weights.families import bert, rotary
from minembed.weights.families.family import SIZES, Family, Raw, make_config, refuse_others

KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "intermediate_size": "n_inner",
    "max_position_embeddings": "n_positions",
    "type_vocab_size": "type_vocab_size",
    "layer_norm_eps": "layer_norm_epsilon",
    "rope_theta": "rotary_emb_base",
}
FIXED = {
    "activation_function": ("swiglu",),
    "rotary_emb_fraction": (1.0, 1),
    "rotary_emb_interleaved": (None, False),
    "rotary_emb_scale_base": (None,),
    "prenorm": (None, False),
    "parallel_block": (None, False),
    "use_rms_norm": (None, False),
    "qkv_proj_bias": (False,),
    "mlp_fc1_bias": (False,),
    "mlp_fc2_bias": (False,),
    "causal": (None, False),
    "scale_attn_weights": (None, True),
    "scale_attn_by_inverse_layer_idx": (None, False),
    "num_experts": (None, 0, 1),
    "moe_every_n_layers": (None, 0),
}
NEW_FIXED = {"hidden_act": ("silu",)}
LAYER = "encoder.layers.{}"
NAMES = {part: names for part, names in bert.EMBEDDINGS.items() if part != "embeddings.position"} | {
    "embeddings.norm": ("emb_ln",),
    "layers.{}.qkv": (f"{LAYER}.attn.Wqkv",),
    "layers.{}.attention_output": (f"{LAYER}.attn.out_proj",),
    "layers.{}.attention_norm": (f"{LAYER}.norm1",),
    "layers.{}.intermediate": (f"{LAYER}.mlp.fc12", f"{LAYER}.mlp.fc11"),
    "layers.{}.output": (f"{LAYER}.mlp.fc2",),
    "layers.{}.output_norm": (f"{LAYER}.norm2",),
}
CHOICES = {
    "hidden_act": "silu",
    "gated": True,
    "position_embedding_type": "rotary",
    "without_bias": ("qkv", "attention_output", "intermediate", "output"),
}


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json, in the publisher's spelling or that of transformers."""
    if "n_embd" not in raw:
        refuse_others(raw, path, NEW_FIXED)
        keys = {**SIZES, "type_vocab_size": "type_vocab_size", "layer_norm_eps": "layer_norm_eps"}
        theta, scaling = rotary.read_rotary(raw, path, 1000.0)
        return make_config(raw, path, keys, {}, **CHOICES, rope_theta=theta, rope_scaling=scaling)
    refuse_others(raw, path, FIXED)
    config = make_config(raw, path, KEYS, {}, **CHOICES)
    if raw.get("rotary_scaling_factor") is None:
        return config
    trained = typed(raw, "max_trained_positions", int, 2048, path)  # beyond it, angles would depend on the length
    return replace(config, max_position_embeddings=min(config.max_position_embeddings, trained))


MODULES = {  # the names in transformers
    "emb_ln": ("embeddings.LayerNorm",),
    f"{LAYER}.attn.Wqkv": tuple(f"layers.{{}}.self_attn.{part}_proj" for part in "qkv"),
    f"{LAYER}.attn.out_proj": ("layers.{}.self_attn.o_proj",),
    f"{LAYER}.norm1": ("layers.{}.post_attention_layernorm",),
    f"{LAYER}.mlp.fc11": ("layers.{}.mlp.up_proj",),
    f"{LAYER}.mlp.fc12": ("layers.{}.mlp.gate_proj",),
    f"{LAYER}.mlp.fc2": ("layers.{}.mlp.down_proj",),
    f"{LAYER}.norm2": ("layers.{}.post_mlp_layernorm",),
}
NOMIC = Family(read_config, NAMES, ("bert.", "nomic_bert."), bert.IGNORED, modules=MODULES)
