"""ALBERT (paraphrase-albert): BERT whose layers share one set of weights, with narrow embeddings that are projected."""

from pathlib import Path

from minembed.transformer.config import Config
from minembed.weights.families import bert
from minembed.weights.families.family import Family, Raw, make_config, refuse_others

FIXED = {**bert.FIXED, "num_hidden_groups": (None, 1), "inner_group_num": (None, 1)}
DEFAULTS = {"type_vocab_size": 2, "hidden_act": "gelu_new", "layer_norm_eps": 1e-12}
LAYER = "encoder.albert_layer_groups.0.albert_layers.0"
NAMES = {
    **bert.EMBEDDINGS,
    "embeddings.projection": ("encoder.embedding_hidden_mapping_in",),
    "layers.{}.qkv": tuple(f"{LAYER}.attention.{part}" for part in ("query", "key", "value")),
    "layers.{}.attention_output": (f"{LAYER}.attention.dense",),
    "layers.{}.attention_norm": (f"{LAYER}.attention.LayerNorm",),
    "layers.{}.intermediate": (f"{LAYER}.ffn",),
    "layers.{}.output": (f"{LAYER}.ffn_output",),
    "layers.{}.output_norm": (f"{LAYER}.full_layer_layer_norm",),
}


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json."""
    refuse_others(raw, path, FIXED)
    return make_config(raw, path, {**bert.KEYS, "embedding_size": "embedding_size"}, DEFAULTS)


ALBERT = Family(read_config, NAMES, ("albert.",), (*bert.IGNORED, "predictions.", "sop_classifier."))
