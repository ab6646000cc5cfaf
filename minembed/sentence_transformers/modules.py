"""The objects behind `model[0]`, `model[1]` and so on: views of a model's parts, which show their settings.

The parts of the reference are torch modules that can be called, changed and combined.  These only show their settings,
two of which can be set: the limit in tokens, and whether pooling includes the prompt.  Weights and `forward` are
refused by name.
"""

from typing import Any

from minembed.errors import UnsupportedAttributeError, UnsupportedCallError
from minembed.sentence_transformers.refusals import PARTS, TORCH, refused_method
from minembed.transformer import modules as own

NO_NUMBERS = ("unpad_inputs",)  # they affect only speed


class Part:
    """One part of a model; the model creates it."""

    kind = "Part"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedCallError(f"{type(self).__name__}(...) is not supported: {PARTS}")

    @classmethod
    def of(cls, model: Any, **settings: Any) -> Any:
        """Create a view of a part of a model."""
        part = cls.__new__(cls)
        vars(part).update(settings | {"_model": model})
        return part

    def __getattr__(self, name: str) -> Any:
        raise UnsupportedAttributeError(f"{type(self).__name__}.{name} is not supported: {TORCH}")

    def __setattr__(self, name: str, value: Any) -> None:
        known = getattr(type(self), name, None)
        if name in NO_NUMBERS:
            return
        if not isinstance(known, property) or known.fset is None:  # this is a view: nothing would change
            raise UnsupportedAttributeError(
                f"{type(self).__name__}.{name} cannot be set here: edit the files of the model's folder, and load it"
            )
        super().__setattr__(name, value)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse: a part cannot be called alone."""
        raise UnsupportedCallError(f"{type(self).__name__} is not computed alone: call encode, or the model itself")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.get_config_dict()})"

    def get_config_dict(self) -> dict[str, Any]:
        """The settings."""
        return {key: value for key, value in vars(self).items() if not key.startswith("_")}


class Wide(Part):
    """A part that states the width of its vectors."""

    def get_embedding_dimension(self) -> int:
        """The width of the vectors after this part."""
        return int(self._width)

    get_sentence_embedding_dimension = get_embedding_dimension
    get_word_embedding_dimension = get_embedding_dimension


class Transformer(Wide):
    """The tokenizer and the encoder."""

    @property
    def max_seq_length(self) -> int:
        """The number of tokens that are read at most."""
        return int(self._model.max_seq_length)

    @max_seq_length.setter
    def max_seq_length(self, value: int) -> None:
        self._model.max_seq_length = value

    @property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        return self._model.tokenizer

    processor = tokenizer

    @property
    def config(self) -> Any:
        """The settings of config.json."""
        return self._model.config

    @property
    def modalities(self) -> list[str]:
        """The kinds of input."""
        return ["text"]

    def preprocess(self, inputs: Any, prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """The same as the model's `preprocess`."""
        features: dict[str, Any] = self._model.preprocess(inputs, prompt, **kwargs)
        return features

    def tokenize(self, texts: Any, **kwargs: Any) -> dict[str, Any]:
        """The same as the model's `preprocess`, under its old name."""
        return self.preprocess(texts, **kwargs)


class StaticEmbedding(Transformer):
    """The tokenizer and a table of vectors."""

    from_model2vec = staticmethod(
        refused_method("from_model2vec", "SentenceTransformer(folder) loads model2vec's folders")
    )
    from_distillation = staticmethod(
        refused_method("from_distillation", "distil with model2vec, and load the folder that it saves")
    )


class Pooling(Wide):
    """How the tokens of a text become one vector."""

    @property
    def include_prompt(self) -> bool:
        """Whether pooling includes the tokens of a prompt."""
        return bool(self._model.include_prompt)

    @include_prompt.setter
    def include_prompt(self, value: bool) -> None:
        self._model.set_pooling_include_prompt(value)

    def get_config_dict(self) -> dict[str, Any]:
        """The settings."""
        return super().get_config_dict() | {"include_prompt": self.include_prompt}

    def get_pooling_mode_str(self) -> str:
        """The modes, joined by +."""
        mode = self.pooling_mode
        return mode if isinstance(mode, str) else "+".join(mode)

    def _has(self, mode: str) -> bool:
        return mode in ((self.pooling_mode,) if isinstance(self.pooling_mode, str) else self.pooling_mode)

    pooling_mode_cls_token = property(lambda self: self._has("cls"))
    pooling_mode_max_tokens = property(lambda self: self._has("max"))
    pooling_mode_mean_tokens = property(lambda self: self._has("mean"))
    pooling_mode_mean_sqrt_len_tokens = property(lambda self: self._has("mean_sqrt_len_tokens"))
    pooling_mode_weightedmean_tokens = property(lambda self: self._has("weightedmean"))
    pooling_mode_lasttoken = property(lambda self: self._has("lasttoken"))


class Dense(Wide):
    """A linear layer and an activation."""


class LayerNorm(Wide):
    """A norm with a learned scale and shift."""


class Normalize(Part):
    """Each vector scaled to length 1."""


def parts_of(model: Any, checkpoint: Any) -> list[Part]:
    """The parts of an Embedder's checkpoint, in order.

    >>> from pathlib import Path
    >>> from minembed.transformer.config import Config
    >>> from minembed.weights.checkpoint import Checkpoint
    >>> config = Config(30522, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)
    >>> [type(part).__name__ for part in parts_of(None, Checkpoint(Path("model"), "bert", config, ("mean",), 256))]
    ['Transformer', 'Pooling']
    """
    width = checkpoint.config.hidden_size
    if checkpoint.is_static:
        parts: list[Part] = [StaticEmbedding.of(model, _width=width)]
    else:
        modes = checkpoint.pooling
        parts = [Transformer.of(model, transformer_task="feature-extraction", _width=width)]
        width *= len(modes)
        mode = modes[0] if len(modes) == 1 else tuple(modes)
        parts.append(Pooling.of(model, embedding_dimension=width, pooling_mode=mode, _width=width))
    for module in checkpoint.modules:
        width = own.width_after(module, width)
        if isinstance(module, own.Dense):
            names = ("in_features", "out_features", "bias")
            settings = {name: getattr(module, name) for name in names} | {"activation_function": module.activation}
            parts.append(Dense.of(model, _width=width, **settings))
        elif isinstance(module, own.LayerNorm):
            parts.append(LayerNorm.of(model, dimension=module.dimension, _width=width))
        else:
            parts.append(Normalize.of(model))
    return parts
