"""DistilBERT (msmarco-distilbert, multi-qa-distilbert, distiluse): BERT without segment types, with its own names."""

from pathlib import Path

from minembed.transformer.config import Config
from minembed.weights.families import bert
from minembed.weights.families.family import Family, Raw, make_config, refuse_others

KEYS = {
    "vocab_size": "vocab_size",
    "hidden_size": "dim",
    "num_hidden_layers": "n_layers",
    "num_attention_heads": "n_heads",
    "intermediate_size": "hidden_dim",
    "max_position_embeddings": "max_position_embeddings",
    "hidden_act": "activation",
}
LAYER = "transformer.layer.{}"
NAMES = {part: names for part, names in bert.EMBEDDINGS.items() if part != "embeddings.token_type"} | {
    "layers.{}.qkv": tuple(f"{LAYER}.attention.{part}_lin" for part in "qkv"),
    "layers.{}.attention_output": (f"{LAYER}.attention.out_lin",),
    "layers.{}.attention_norm": (f"{LAYER}.sa_layer_norm",),
    "layers.{}.intermediate": (f"{LAYER}.ffn.lin1",),
    "layers.{}.output": (f"{LAYER}.ffn.lin2",),
    "layers.{}.output_norm": (f"{LAYER}.output_layer_norm",),
}
HEADS = ("vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "pre_classifier.")


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json; the layers' eps is a constant in the reference."""
    refuse_others(raw, path, {})
    return make_config(raw, path, KEYS, {"activation": "gelu"}, type_vocab_size=0, layer_norm_eps=1e-12)


DISTILBERT = Family(read_config, NAMES, ("distilbert.",), (*bert.IGNORED, *HEADS))
