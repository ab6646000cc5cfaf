"""The definition of a family: a reader of its config.json, and a table of its tensors' names."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minembed.errors import ConfigError, MinembedError, UnsupportedModelError
from minembed.transformer.config import Config
from minembed.transformer.params import Params
from minembed.weights.layout import Names

if TYPE_CHECKING:
    from minembed.weights.adapters import Place

Raw = Mapping[str, Any]
SPELLINGS = (("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias"))
# settings that change the computation of every family, and the supported values
FIXED: dict[str, tuple[Any, ...]] = {
    "is_decoder": (None, False),
    "add_cross_attention": (None, False),
    "is_encoder_decoder": (None, False),
}
WRAPPERS = ("", "auto_model.", "0.auto_model.")


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table of families."""

    read_config: Callable[[Raw, Path], Config]
    names: Names  # part of the parameter tree -> stored tensors, in the format of minembed.weights.layout
    prefixes: tuple[str, ...] = ()  # that some checkpoints put in front of every name
    ignored: tuple[str, ...] = ()  # prefixes of names that the encoder does not use: heads, counters
    fold: Callable[[Params, Config], Params] | None = None  # puts constants of the reference's code into the weights
    modules: Names = dataclasses.field(default_factory=dict)  # stored name -> the reference's, if they differ

    def place(self, module: str) -> "Place":
        """Where the weight of a module is stored, by its name in the reference's model.

        >>> Family(None, {}, ("bert.",)).place("bert.encoder.layer.0.output.dense").module
        'encoder.layer.0.output.dense'
        """
        from minembed.weights.adapters import Place

        plain = self.plain_name(f"{module}.weight").removesuffix(".weight")
        number, key = re.search(r"\.(\d+)\.", plain), re.sub(r"\.\d+\.", ".{}.", plain, count=1)
        for stored, pieces in self.modules.items():
            if key in pieces:
                found = stored.format(number[1] if number else "")
                return Place(plain, found, pieces.index(key), len(pieces))
        return Place(plain, plain)

    def places(self, stored: str) -> "list[Place]":
        """The modules of the reference whose weights are stored under a plain name.

        >>> Family(None, {}).places("encoder.layer.0.output.dense")[0].name
        'encoder.layer.0.output.dense'
        """
        from minembed.weights.adapters import Place

        number, key = re.search(r"\.(\d+)\.", stored), re.sub(r"\.\d+\.", ".{}.", stored, count=1)
        names = [name.format(number[1] if number else "") for name in self.modules.get(key, (key,))]
        return [Place(name, stored, i, len(names)) for i, name in enumerate(names)]

    def plain_name(self, stored: str) -> str:
        """Remove prefixes from a name, and replace the spelling of old checkpoints by the current one.

        >>> Family(None, {}, ("bert.",)).plain_name("bert.embeddings.LayerNorm.gamma")
        'embeddings.LayerNorm.weight'
        """
        for wrapper in reversed(WRAPPERS):
            stored = stored.removeprefix(wrapper)
        for prefix in self.prefixes:
            stored = stored.removeprefix(prefix)
        for old, new in SPELLINGS:
            if stored.endswith(old):
                stored = stored.removesuffix(old) + new
        return stored


def refuse_others(raw: Raw, path: Path, fixed: Mapping[str, tuple[Any, ...]]) -> None:
    """Raise UnsupportedModelError for a setting with an unsupported value.

    >>> refuse_others({"rope_scaling": None}, Path("config.json"), {"rope_scaling": (None,)})
    """
    for key, allowed in {**FIXED, **fixed}.items():
        value = raw.get(key)
        if not any(value is other or (type(value) is type(other) and value == other) for other in allowed):
            raise UnsupportedModelError(f"{path}: {key} = {value!r} is not supported")


def make_config(raw: Raw, path: Path, keys: Mapping[str, str], defaults: Raw, **choices: Any) -> Config:
    """Build a Config from the settings under `keys` (field -> key), and from fixed values of the family (`choices`).

    Missing or null settings have the `defaults` of their keys; raises ConfigError if there is none.

    >>> keys = dict(zip(["vocab_size", "hidden_size"], ["n_vocab", "dim"]))
    >>> make_config({"n_vocab": 9}, Path("config.json"), keys, {})
    Traceback (most recent call last):
    minembed.errors.ConfigError: config.json: dim is missing
    """
    values: dict[str, Any] = dict(choices)
    for field, key in keys.items():
        value = raw.get(key)
        if value is None:
            value = defaults.get(key)
        if value is None:
            raise ConfigError(f"{path}: {key} is missing")
        if field.endswith(("_eps", "theta", "scaling")) and type(value) is int and abs(value) < 1 << 53:
            value = float(value)
        if field == "hidden_act" and not isinstance(value, str):
            raise ConfigError(f"{path}: {key} must be a name, not {value!r}")
        values[field] = value
    try:
        return Config(**values)
    except (ConfigError, UnsupportedModelError) as e:
        raise _in_words_of(keys, path, e) from None


def _in_words_of(keys: Mapping[str, str], path: Path, error: MinembedError) -> MinembedError:
    """The same error with the path of the file, and with the file's name of the field."""
    message = str(error)
    for field, key in keys.items():
        if message.startswith(f"{field} "):
            message = key + message[len(field) :]
            break
    return type(error)(f"{path}: {message}")


MODERN: Raw = {  # what Qwen3, Gemma 3 and ModernBERT share: norms first, gated, rotary, without biases
    "type_vocab_size": 0,
    "pre_norm": True,
    "gated": True,
    "position_embedding_type": "rotary",
    "without_bias": ("qkv", "attention_output", "intermediate", "output", "norm"),
}
SIZES = {  # of most families: the fields under their own names
    name: name
    for name in (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
    )
}
