"""MPNet (all-mpnet-base-v2, multi-qa-mpnet-base): BERT with a learned bias for distances.

The bias of a distance is shared by all layers.  Positions count from 2, whatever the id of the padding token.
"""

from pathlib import Path

from minembed.transformer.config import Config
from minembed.weights.families import bert
from minembed.weights.families.family import SIZES, Family, Raw, make_config, refuse_others

KEYS = {**SIZES, "hidden_act": "hidden_act", "layer_norm_eps": "layer_norm_eps"}
DEFAULTS = {"hidden_act": "gelu", "layer_norm_eps": 1e-12}
NAMES = {part: names for part, names in bert.NAMES.items() if part != "embeddings.token_type"} | {
    "relative_attention_bias": ("encoder.relative_attention_bias.weight",),
    "layers.{}.qkv": tuple(f"{bert.LAYER}.attention.attn.{part}" for part in "qkv"),
    "layers.{}.attention_output": (f"{bert.LAYER}.attention.attn.o",),
    "layers.{}.attention_norm": (f"{bert.LAYER}.attention.LayerNorm",),
}


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json; the reference supports only 32 buckets."""
    refuse_others(raw, path, {"relative_attention_num_buckets": (None, 32)})
    return make_config(raw, path, KEYS, DEFAULTS, type_vocab_size=0, padding_idx=1, relative_attention_num_buckets=32)


MPNET = Family(read_config, NAMES, ("mpnet.",), (*bert.IGNORED, "lm_head."))
