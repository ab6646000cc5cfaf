"""JinaBERT v2 (jina-embeddings-v2-small-en, -base-en, -base-de, ...): BERT with ALiBi and a gated feed-forward block.

Its model_type is "bert"; it is recognised by the position_embedding_type "alibi".
"""

from pathlib import Path

from minembed.errors import UnsupportedModelError
from minembed.transformer.config import Config
from minembed.weights.families import bert
from minembed.weights.families.family import Family, Raw, make_config, refuse_others

ACTIVATION = {"geglu": "gelu", "reglu": "relu"}
FIXED = {"position_embedding_type": ("alibi",), "attn_implementation": (None, "eager", "torch")}
KEYS = {field: key for field, key in bert.KEYS.items() if field != "hidden_act"}
NAMES = {part: names for part, names in bert.NAMES.items() if part != "embeddings.position"} | {
    "layers.{}.intermediate": (f"{bert.LAYER}.mlp.gated_layers",),
    "layers.{}.output": (f"{bert.LAYER}.mlp.wo",),
    "layers.{}.output_norm": (f"{bert.LAYER}.mlp.layernorm",),
}


def read_config(raw: Raw, path: Path) -> Config:
    """Read the architecture from config.json; refuse variants with another feed-forward block."""
    refuse_others(raw, path, FIXED)
    kind = raw.get("feed_forward_type")
    activation = ACTIVATION.get(kind) if isinstance(kind, str) else None
    if activation is None:
        known = ", ".join(ACTIVATION)
        raise UnsupportedModelError(f"{path}: feed_forward_type = {kind!r} is not supported; known: {known}")
    if kind == "geglu" and raw.get("hidden_act") not in (None, "gelu"):
        raise UnsupportedModelError(f"{path}: hidden_act = {raw['hidden_act']!r} is not supported; known: gelu")
    return make_config(
        raw,
        path,
        KEYS,
        {},
        hidden_act=activation,
        gated=True,
        position_embedding_type="alibi",
        without_bias=("intermediate",),
    )


JINA = Family(read_config, NAMES, ("bert.",), bert.IGNORED)
