"""BERT (MiniLM, BGE, E5, GTE, mxbai, arctic, LaBSE, ...): absolute positions, post-norm, erf GELU."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minembed.config import Config
from minembed.errors import ConfigError, UnsupportedModelError
from minembed.params import Array, Embeddings, Layer, Linear, Norm, Params

IGNORED = ("embeddings.position_ids", "pooler.", "cls.", "classifier.", "qa_outputs.")
PREFIXES = ("bert.", "auto_model.", "0.auto_model.")
# settings of config.json that change the mathematics, and the values for which what is computed here is right
FIXED: dict[str, tuple[Any, ...]] = {
    "position_embedding_type": (None, "absolute"),
    "is_decoder": (None, False),
    "add_cross_attention": (None, False),
    "is_encoder_decoder": (None, False),
    "embedding_size": (None,),
    "rope_scaling": (None,),
}


def plain_name(stored: str) -> str:
    """Strip a prefix, and turn the spelling of old checkpoints into today's.

    >>> plain_name("bert.embeddings.LayerNorm.gamma")
    'embeddings.LayerNorm.weight'
    """
    for prefix in PREFIXES:
        stored = stored.removeprefix(prefix)
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if stored.endswith(f"LayerNorm{old}"):
            stored = stored.removesuffix(old) + new
    return stored


def ignored(plain: str) -> bool:
    """Whether a tensor belongs to a head, or is no weight at all."""
    return plain.startswith(IGNORED)


def shapes(config: Config) -> dict[str, tuple[int, ...]]:
    """List every tensor that the encoder needs; linear weights are (out, in), as stored."""
    D, F = config.hidden_size, config.intermediate_size
    wanted: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocab_size, D),
        "embeddings.position_embeddings.weight": (config.max_position_embeddings, D),
        "embeddings.token_type_embeddings.weight": (config.type_vocab_size, D),
        "embeddings.LayerNorm.weight": (D,),
        "embeddings.LayerNorm.bias": (D,),
    }
    for i in range(config.num_hidden_layers):
        for name, (n_out, n_in) in {
            "attention.self.query": (D, D),
            "attention.self.key": (D, D),
            "attention.self.value": (D, D),
            "attention.output.dense": (D, D),
            "intermediate.dense": (F, D),
            "output.dense": (D, F),
        }.items():
            wanted[f"encoder.layer.{i}.{name}.weight"] = (n_out, n_in)
            wanted[f"encoder.layer.{i}.{name}.bias"] = (n_out,)
        for name in ("attention.output.LayerNorm", "output.LayerNorm"):
            wanted[f"encoder.layer.{i}.{name}.weight"] = (D,)
            wanted[f"encoder.layer.{i}.{name}.bias"] = (D,)
    return wanted


def turn(weights: list[Array]) -> Array:  # (out_i, in) each -> (in, sum of out_i), contiguous
    """Turn linear weights from the checkpoint's (out, in) and lay them side by side.

    >>> turn([np.array([[1, 2]]), np.array([[3, 4], [5, 6]])]).tolist()
    [[1, 3, 5], [2, 4, 6]]
    """
    out = np.empty((weights[0].shape[1], sum(map(len, weights))), weights[0].dtype)
    at = 0
    for weight in weights:
        out[:, at : at + len(weight)] = weight.T
        at += len(weight)
    return out


def build(config: Config, read: Callable[[str], Array]) -> Params:
    """Read the tensors, largest first so that the peak of memory is the size of the model."""

    def norm(name: str) -> Norm:
        return Norm(read(f"{name}.weight"), read(f"{name}.bias"))

    def linear(*names: str) -> Linear:
        return Linear(
            turn([read(f"{name}.weight") for name in names]), np.concatenate([read(f"{n}.bias") for n in names])
        )

    def layer(name: str) -> Layer:
        attention = f"{name}.attention"
        return Layer(
            qkv=linear(f"{attention}.self.query", f"{attention}.self.key", f"{attention}.self.value"),
            attention_output=linear(f"{attention}.output.dense"),
            attention_norm=norm(f"{attention}.output.LayerNorm"),
            intermediate=linear(f"{name}.intermediate.dense"),
            output=linear(f"{name}.output.dense"),
            output_norm=norm(f"{name}.output.LayerNorm"),
        )

    embeddings = Embeddings(
        word=read("embeddings.word_embeddings.weight"),
        position=read("embeddings.position_embeddings.weight"),
        token_type=read("embeddings.token_type_embeddings.weight"),
        norm=norm("embeddings.LayerNorm"),
    )
    return Params(embeddings, tuple(layer(f"encoder.layer.{i}") for i in range(config.num_hidden_layers)))


def read_config(raw: Mapping[str, Any], path: Path) -> Config:
    """Take the architecture from config.json; refuse what would change the mathematics."""
    for key, allowed in FIXED.items():
        if not any(raw.get(key) is value or raw.get(key) == value for value in allowed):
            raise UnsupportedModelError(f"{path}: {key} = {raw[key]!r} is not computed here")

    def take(key: str) -> Any:
        if key not in raw:
            raise ConfigError(f"{path}: {key} is missing")
        return raw[key]

    eps, activation = take("layer_norm_eps"), take("hidden_act")
    if not isinstance(activation, str):
        raise ConfigError(f"{path}: hidden_act must be a name, not {activation!r}")
    try:
        return Config(
            vocab_size=take("vocab_size"),
            hidden_size=take("hidden_size"),
            num_hidden_layers=take("num_hidden_layers"),
            num_attention_heads=take("num_attention_heads"),
            intermediate_size=take("intermediate_size"),
            max_position_embeddings=take("max_position_embeddings"),
            type_vocab_size=take("type_vocab_size"),
            hidden_act=activation,
            layer_norm_eps=eps,
        )
    except (ConfigError, UnsupportedModelError) as e:
        raise type(e)(f"{path}: {e}") from None
