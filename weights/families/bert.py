"""BERT (MiniLM, BGE, E5, GTE, mxbai, arctic, LaBSE, ...), RoBERTa, XLM-RoBERTa, CamemBERT and ELECTRA.

Absolute positions, post-norm, a plain feed-forward block.  The RoBERTas count positions from pad_token_id + 1.
"""

from dataclasses import replace
from pathlib import Path

from minembed.errors import ConfigError
from minembed.transformer.config import Config
from minembed.weights.families.family import SIZES, Family, Raw, make_config, refuse_others

FIXED = {"position_embedding_type": (None, "absolute"), "rope_scaling": (None,)}
KEYS = {**SIZES, "type_vocab_size": "type_vocab_size", "hidden_act": "hidden_act", "layer_norm_eps": "layer_norm_eps"}
ROBERTA_DEFAULTS = {"type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12}
EMBEDDINGS = {
    "embeddings.word": ("embeddings.word_embeddings.weight",),
    "embeddings.position": ("embeddings.position_embeddings.weight",),
    "embeddings.token_type": ("embeddings.token_type_embeddings.weight",),
    "embeddings.norm": ("embeddings.LayerNorm",),
}
LAYER = "encoder.layer.{}"
NAMES = {
    **EMBEDDINGS,
    "layers.{}.qkv": tuple(f"{LAYER}.attention.self.{part}" for part in ("query", "key", "value")),
    "layers.{}.attention_output": (f"{LAYER}.attention.output.dense",),
    "layers.{}.attention_norm": (f"{LAYER}.attention.output.LayerNorm",),
    "layers.{}.intermediate": (f"{LAYER}.intermediate.dense",),
    "layers.{}.output": (f"{LAYER}.output.dense",),
    "layers.{}.output_norm": (f"{LAYER}.output.LayerNorm",),
}
IGNORED = ("embeddings.position_ids", "pooler.", "cls.", "classifier.", "qa_outputs.")


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json; refuse settings that would change the computation."""
    refuse_others(raw, path, {**FIXED, "embedding_size": (None,)})
    config = make_config(raw, path, KEYS, {})
    if not config.type_vocab_size:
        raise ConfigError(f"{path}: type_vocab_size must be a whole number of at least 1, not 0")
    return config


def read_roberta(raw: Raw, path: Path) -> Config:
    """Read the architecture of a RoBERTa from config.json; positions count from the padding token's id + 1."""
    refuse_others(raw, path, FIXED)
    padding = raw.get("pad_token_id")
    padding = 1 if padding is None else padding
    return make_config(raw, path, KEYS, ROBERTA_DEFAULTS, padding_idx=padding)


def read_electra(raw: Raw, path: Path) -> Config:
    """Read the architecture of an ELECTRA from config.json; its embeddings may be narrower than its layers."""
    refuse_others(raw, path, FIXED)
    config = make_config(raw, path, {**KEYS, "embedding_size": "embedding_size"}, ROBERTA_DEFAULTS)
    return replace(config, embedding_size=None) if config.embedding_size == config.hidden_size else config


BERT = Family(read_config, NAMES, ("bert.",), IGNORED)
ROBERTA = Family(
    read_roberta, NAMES, ("roberta.", "xlm_roberta.", "camembert."), (*IGNORED, "lm_head.", "embeddings.token_type_ids")
)
ELECTRA = Family(
    read_electra,
    NAMES | {"embeddings.projection": ("embeddings_project",)},
    ("electra.",),
    (*IGNORED, "discriminator_predictions.", "generator_predictions.", "generator_lm_head."),
)
