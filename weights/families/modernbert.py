"""ModernBERT (gte-modernbert-base, modernbert-embed-base): norms first, gated, rotary, most layers see a window."""

from pathlib import Path

from minembed.config import Config
from minembed.errors import UnsupportedModelError
from minembed.weights.families import rotary
from minembed.weights.families.family import SIZES, Family, Raw, make_config, refuse_others
from minembed.weights.files import typed

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
    """Take the architecture from config.json, as the publishers spell it or as transformers 5 does."""
    refuse_others(raw, path, FIXED)
    parameters = typed(raw, "rope_parameters", dict, {}, path)
    theta = {}
    for kind, key, default in (
        ("full_attention", "global_rope_theta", 160000.0),
        ("sliding_attention", "local_rope_theta", 10000.0),
    ):
        own = typed(parameters, kind, dict, {}, path)
        theta[kind], scaling = rotary.rotary_of(own, path, rotary.as_number(raw, path, default, key))
        if scaling != 1:
            raise UnsupportedModelError(f"{path}: rope_parameters = {parameters!r} is not computed here")
    if raw.get("rope_scaling") is not None:
        raise UnsupportedModelError(f"{path}: rope_scaling = {raw['rope_scaling']!r} is not computed here")
    return make_config(
        raw,
        path,
        KEYS,
        DEFAULTS,
        type_vocab_size=0,
        pre_norm=True,
        gated=True,
        position_embedding_type="rotary",
        rope_theta=theta["full_attention"],
        local_rope_theta=theta["sliding_attention"],
        global_attn_every_n_layers=_global_every(raw, path),
        without_bias=("qkv", "attention_output", "intermediate", "output", "norm"),
    )


def _global_every(raw: Raw, path: Path) -> int:
    """From which layer to which the next one that sees everything is, from a number or from a list of all layers."""
    kinds = raw.get("layer_types")
    if kinds is None:
        return typed(raw, "global_attn_every_n_layers", int, 3, path)
    if isinstance(kinds, list):
        for n in range(1, len(kinds) + 1):
            if kinds == ["sliding_attention" if i % n else "full_attention" for i in range(len(kinds))]:
                return n
    raise UnsupportedModelError(f"{path}: layer_types = {kinds!r} is not computed here: every n-th layer must see all")


MODERNBERT = Family(read_config, NAMES, ("model.",), ("head.", "decoder.", "classifier."))
