"""ModernBERT (gte-modernbert-base, modernbert-embed-base): pre-norm, gated, rotary, mostly local attention."""

from pathlib import Path

from minembed.runtime.json_files import typed
from minembed.transformer.config import Config
from minembed.weights.families import rotary
from minembed.weights.families.family import MODERN, SIZES, Family, Raw, make_config, refuse_others

KEYS = {
    **SIZES,
    "hidden_act": "hidden_activation",
    "layer_norm_eps": "norm_eps",
    "local_attention": "local_attention",
}
DEFAULTS = {"hidden_activation": "gelu", "norm_eps": 1e-5, "local_attention": 128}
FIXED = {"norm_bias": (None, False), "attention_bias": (None, False), "mlp_bias": (None, False)}
LAYER = "layers.{}"
NAMES = {
    "embeddings.word": ("embeddings.tok_embeddings.weight",),
    "embeddings.norm": ("embeddings.norm",),
    "layers.{}.qkv": (f"{LAYER}.attn.Wqkv",),
    "layers.{}.attention_output": (f"{LAYER}.attn.Wo",),
    "layers.{}.attention_norm": (f"{LAYER}.attn_norm",),
    "layers.{}.intermediate": (f"{LAYER}.mlp.Wi",),
    "layers.{}.output": (f"{LAYER}.mlp.Wo",),
    "layers.{}.output_norm": (f"{LAYER}.mlp_norm",),
    "final_norm": ("final_norm",),
}


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json, in the publisher's spelling or that of transformers 5."""
    refuse_others(raw, path, FIXED)
    theta, local_theta = rotary.read_two(raw, path, ("global_rope_theta", 160000.0), ("local_rope_theta", 10000.0))
    every, first = rotary.global_layers(raw, path, typed(raw, "global_attn_every_n_layers", int, 3, path), 0)
    return make_config(
        raw,
        path,
        KEYS,
        DEFAULTS,
        rope_theta=theta,
        local_rope_theta=local_theta,
        global_attn_every_n_layers=every,
        first_global_layer=first,
        **MODERN,
    )


MODERNBERT = Family(read_config, NAMES, ("model.",), ("head.", "decoder.", "classifier."))
