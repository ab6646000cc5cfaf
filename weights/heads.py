"""Heads of checkpoints: their tensors, by family, and their settings in config.json.

A head is read only on request; reading the encoder skips it.  A trained head is written under the same names.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import InputError, MissingHeadError, UnsupportedModelError, WeightsError
from minembed.runtime.json_files import read_json
from minembed.transformer.config import Config
from minembed.transformer.heads import HEAD_ACTIVATIONS, Block, MaskedHead
from minembed.transformer.params import Linear, Norm
from minembed.types import Array
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.families import FAMILIES, open_tensors


@dataclass(frozen=True, slots=True)
class Part:
    """One block of a head by the names of its tensors."""

    linear: str
    activation: str = "identity"  # a row of heads.HEAD_ACTIVATIONS, or a setting of config.json that names one
    norm: str = ""


@dataclass(frozen=True, slots=True)
class MaskedParts:
    """A masked-LM head by the names of its tensors."""

    part: Part
    decoder: str
    bias: str  # if it is not NAME.bias of the decoder


POOLED = (Part("pooler.dense", "tanh"), Part("classifier"))
FIRST_TOKEN = (Part("classifier.dense", "tanh"), Part("classifier.out_proj"))
CLASSIFIERS: dict[str, tuple[Part, ...]] = {
    "albert": (Part("pooler", "tanh"), Part("classifier")),
    "bert": POOLED,
    "camembert": FIRST_TOKEN,
    "distilbert": (Part("pre_classifier", "relu"), Part("classifier")),
    "electra": (Part("classifier.dense", "gelu"), Part("classifier.out_proj")),
    "gte": POOLED,
    "jina_bert": POOLED,
    "modernbert": (Part("head.dense", "classifier_activation", "head.norm"), Part("classifier")),
    "mpnet": FIRST_TOKEN,
    "new": POOLED,
    "nomic_bert": POOLED,
    "roberta": FIRST_TOKEN,
    "xlm-roberta": FIRST_TOKEN,
}
TRANSFORM = "cls.predictions.transform"
BERT_LM = MaskedParts(
    Part(f"{TRANSFORM}.dense", "hidden_act", f"{TRANSFORM}.LayerNorm"),
    "cls.predictions.decoder",
    "cls.predictions.bias",
)
ROBERTA_LM = MaskedParts(Part("lm_head.dense", "gelu", "lm_head.layer_norm"), "lm_head.decoder", "lm_head.bias")
GTE_LM = MaskedParts(Part("lm_head.dense", "hidden_act", "lm_head.norm"), "lm_head.decoder", "")
MASKED: dict[str, MaskedParts] = {
    "albert": MaskedParts(
        Part("predictions.dense", "hidden_act", "predictions.LayerNorm"), "predictions.decoder", "predictions.bias"
    ),
    "bert": BERT_LM,
    "camembert": ROBERTA_LM,
    "distilbert": MaskedParts(Part("vocab_transform", "activation", "vocab_layer_norm"), "vocab_projector", ""),
    "electra": MaskedParts(
        Part("generator_predictions.dense", "gelu", "generator_predictions.LayerNorm"), "generator_lm_head", ""
    ),
    "gte": GTE_LM,
    "jina_bert": BERT_LM,
    "modernbert": MaskedParts(Part("head.dense", "classifier_activation", "head.norm"), "decoder", ""),
    "mpnet": ROBERTA_LM,
    "new": GTE_LM,
    "nomic_bert": MaskedParts(
        Part(f"{TRANSFORM}.dense", "hidden_act", f"{TRANSFORM}.layer_norm"), BERT_LM.decoder, BERT_LM.bias
    ),
    "roberta": ROBERTA_LM,
    "xlm-roberta": ROBERTA_LM,
}
BIAS_IF_STORED = ("modernbert", "nomic_bert")  # their config.json gives it in several ways


class Tensors:
    """The tensors of a checkpoint folder by plain name; collects their faults before any is read."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self._files = open_tensors(checkpoint)
        self._stored = {FAMILIES[checkpoint.family].plain_name(stored): stored for stored in self._files.stored}
        self._wanted: dict[str, tuple[int, ...]] = {}

    def has(self, plain: str) -> bool:
        """Whether there is such a tensor."""
        return plain in self._stored

    def is_adapted(self, plain: str) -> bool:
        """Whether an adapter changes or replaces a tensor."""
        stored = self._stored[plain]
        return stored in self._files.changes or bool(self._files.stored[stored].name)

    def expect(self, plain: str, *shape: int) -> None:
        """Note that a tensor is needed."""
        self._wanted[plain] = shape

    def expect_part(self, part: Part, n_in: int, n_out: int, config: Config) -> None:
        """Note that the tensors of a block are needed."""
        self.expect(f"{part.linear}.weight", n_out, n_in)
        if self.checkpoint.family not in BIAS_IF_STORED or self.has(f"{part.linear}.bias"):
            self.expect(f"{part.linear}.bias", n_out)
        if part.norm:
            self.expect(f"{part.norm}.weight", n_out)
            if "norm" not in config.without_bias:
                self.expect(f"{part.norm}.bias", n_out)

    def check(self) -> None:
        """Raise WeightsError, which lists every tensor that is missing or of another shape."""
        faults = [f"{name} is missing" for name in self._wanted if name not in self._stored]
        for name in self._wanted.keys() & self._stored.keys():
            found, wanted = self._files.stored[self._stored[name]].shape, self._wanted[name]
            if found != wanted:
                faults.append(f"{self._stored[name]} has shape {found}, expected {wanted}")
        if faults:
            folder = self.checkpoint.folder
            raise WeightsError(f"{folder}: the head does not fit config.json: " + "; ".join(sorted(faults)))

    def read(self, plain: str) -> Array | None:
        """Read a tensor as float32; None if it is not needed."""
        return self._files.read(self._stored[plain]) if plain in self._wanted else None

    def block(self, part: Part, raw: Mapping[str, Any], config: Config) -> Block:
        """Read one block of a head."""
        activation = activation_of(part, raw, config, self.checkpoint.weights / "config.json")
        weight, norm = self.read(f"{part.linear}.weight"), self.read(f"{part.norm}.weight")
        assert weight is not None
        linear = Linear(np.ascontiguousarray(weight.T), self.read(f"{part.linear}.bias"))
        whole = None if norm is None else Norm(norm, self.read(f"{part.norm}.bias"))
        return Block(linear, activation, whole, config.layer_norm_eps)


def activation_of(part: Part, raw: Mapping[str, Any], config: Config, path: Path) -> str:
    """The activation of a block; raises UnsupportedModelError if it is not supported.

    >>> config = Config(9, 4, 1, 2, 8, 16, 0, "gelu", 1e-5)
    >>> activation_of(Part("dense", "hidden_act"), {"hidden_act": "relu"}, config, Path("config.json"))
    'relu'
    """
    if part.activation in HEAD_ACTIVATIONS:
        return part.activation
    named = raw.get(part.activation)
    if named is None:  # NomicBERT has its own name for it
        named = "gelu" if part.activation == "classifier_activation" else config.hidden_act
    if not isinstance(named, str) or named not in HEAD_ACTIVATIONS:
        known = ", ".join(HEAD_ACTIVATIONS)
        raise UnsupportedModelError(f"{path}: {part.activation} = {named!r} is not supported; known: {known}")
    return named


def read_classifier(checkpoint: Checkpoint, labels: int) -> tuple[Block, ...]:
    """Read the head of a cross-encoder, whose last block gives a number for each label.

    Raises UnsupportedModelError for a family whose head is not supported, MissingHeadError if the checkpoint has none,
    and WeightsError if it is incomplete.
    """
    parts, config = CLASSIFIERS.get(checkpoint.family), checkpoint.config
    if parts is None:
        raise UnsupportedModelError(
            f"{checkpoint.folder}: the classification head of {checkpoint.family!r} is not supported; "
            f"known: {', '.join(CLASSIFIERS)}"
        )
    tensors = _tensors(checkpoint, f"{parts[-1].linear}.weight", "classification head", "load it with Embedder.load")
    for part in parts:
        tensors.expect_part(part, config.hidden_size, labels if part is parts[-1] else config.hidden_size, config)
    tensors.check()
    raw = read_json(checkpoint.weights / "config.json")
    return tuple(tensors.block(part, raw, config) for part in parts)


def read_masked(checkpoint: Checkpoint) -> MaskedHead:
    """Read the masked-LM head; if the file has no decoder, it is the word embeddings.

    Raises UnsupportedModelError for a family whose head is not supported, MissingHeadError if the checkpoint was saved
    without one, and WeightsError if it is incomplete.
    """
    parts, config = _masked_parts(checkpoint.family, f"{checkpoint.folder}: "), checkpoint.config
    advice = "take the checkpoint that it was trained from, or one whose architecture is ...ForMaskedLM"
    tensors = _tensors(checkpoint, f"{parts.part.linear}.weight", "masked-LM head", advice)
    E, V = config.embedding_size or config.hidden_size, config.vocab_size
    tensors.expect_part(parts.part, config.hidden_size, E, config)
    (word,) = FAMILIES[checkpoint.family].names["embeddings.word"]
    decoder = f"{parts.decoder}.weight" if tensors.has(f"{parts.decoder}.weight") else word
    if decoder == word and tensors.is_adapted(word):
        raise UnsupportedModelError(
            f"{checkpoint.root}: the adapter changes the word embeddings, but not the decoder of the masked-LM head, "
            "which is the same table in its base: merge it with peft to say which is meant"
        )
    tensors.expect(decoder, V, E)
    own = f"{parts.decoder}.bias"
    bias = parts.bias if tensors.has(parts.bias) else own
    if checkpoint.family not in BIAS_IF_STORED or tensors.has(bias):
        tensors.expect(bias, V)
    tensors.check()
    block = tensors.block(parts.part, read_json(checkpoint.weights / "config.json"), config)
    rows = tensors.read(decoder)
    assert rows is not None
    return MaskedHead((block,), rows, tensors.read(bias))


def _masked_parts(family: str, where: str = "") -> MaskedParts:
    if family not in MASKED:
        known = ", ".join(MASKED)
        raise UnsupportedModelError(f"{where}a masked-LM head of {family!r} is not supported; known: {known}")
    return MASKED[family]


def masked_layout(checkpoint: Checkpoint) -> MaskedHead:
    """The masked-LM head of an architecture; its arrays have a shape but take no memory.

    Raises UnsupportedModelError for a family or an activation that is not supported.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "config.json").write_text('{"hidden_act": "relu"}')
    ...     config = Config(9, 4, 1, 2, 8, 16, 0, "relu", 1e-5)
    ...     head = masked_layout(Checkpoint(Path(folder), "bert", config, ("mean",), 16))
    >>> head.blocks[0].activation, head.decoder.shape
    ('relu', (9, 4))
    """
    parts, config = _masked_parts(checkpoint.family, f"{checkpoint.folder}: "), checkpoint.config
    path = checkpoint.weights / "config.json"
    raw = read_json(path)
    activation = activation_of(parts.part, raw, config, path)
    dense_bias = decoder_bias = True
    if checkpoint.family == "modernbert":
        dense_bias, decoder_bias = raw.get("classifier_bias") is True, raw.get("decoder_bias") is not False
    elif checkpoint.family == "nomic_bert":  # the publisher's code has no biases, that of transformers has both
        dense_bias = decoder_bias = "n_embd" not in raw
    D, E, V = config.hidden_size, config.embedding_size or config.hidden_size, config.vocab_size
    norm = Norm(_empty(E), None if "norm" in config.without_bias else _empty(E))
    block = Block(Linear(_empty(D, E), _empty(E) if dense_bias else None), activation, norm, config.layer_norm_eps)
    return MaskedHead((block,), _empty(V, E), _empty(V) if decoder_bias else None)


def _empty(*shape: int) -> Array:
    return np.broadcast_to(np.float32(0), shape)


def head_tensors(
    head: MaskedHead, family: str, word: Array | None = None, stored: Iterable[str] = ()
) -> dict[str, Array]:
    """The tensors of a masked-LM head by their names in a checkpoint: the inverse of `read_masked`.

    A decoder that is `word`, the table of the embeddings itself, is left out, as in checkpoints.  If a file already
    contains this head, `stored` are the names in it: its spelling is kept, and tensors that it stores twice are written
    twice, so that no old value remains.  Raises UnsupportedModelError for a family without such a head, and InputError
    for a head with another shape than the family's.

    >>> from minembed.transformer.params import Linear, Norm
    >>> block = Block(Linear(np.ones((2, 2)), np.ones(2)), "gelu", Norm(np.ones(2), np.ones(2)))
    >>> words = np.ones((5, 2))
    >>> list(head_tensors(MaskedHead((block,), words, np.ones(5)), "roberta", words))[2:]
    ['lm_head.layer_norm.weight', 'lm_head.layer_norm.bias', 'lm_head.bias']
    """
    parts, spelt = _masked_parts(family), {FAMILIES[family].plain_name(name): name for name in stored}
    block = head.blocks[0] if len(head.blocks) == 1 else None
    if block is None or block.norm is None:
        raise InputError(f"the masked-LM head of {family!r} is one block with a norm, not {len(head.blocks)} blocks")
    decoder = f"{parts.decoder}.weight"
    biases = [name for name in (parts.bias, f"{parts.decoder}.bias") if name]
    own: dict[str, Array | None] = {
        f"{parts.part.linear}.weight": np.ascontiguousarray(block.linear.weight.T),
        f"{parts.part.linear}.bias": block.linear.bias,
        f"{parts.part.norm}.weight": block.norm.weight,
        f"{parts.part.norm}.bias": block.norm.bias,
        decoder: None if head.decoder is word and decoder not in spelt else head.decoder,
        **{name: head.bias for name in biases if name in spelt or (name == biases[0] and not spelt.keys() & {*biases})},
    }
    return {spelt.get(name, name): array for name, array in own.items() if array is not None}


def _tensors(checkpoint: Checkpoint, first: str, what: str, advice: str) -> Tensors:
    """The tensors of a checkpoint; raises MissingHeadError without the tensor `first`, which every such head has."""
    if checkpoint.stored_dtype != "float32":
        raise MissingHeadError(
            f"{checkpoint.folder} was made by `minembed quantize`, which keeps no {what}: load the original"
        )
    tensors = Tensors(checkpoint)
    if not tensors.has(first):
        raise MissingHeadError(
            f"{checkpoint.root} was saved without its {what} ({first} is not in its files); {advice}"
        )
    return tensors
