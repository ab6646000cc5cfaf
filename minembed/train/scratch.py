"""A new small encoder: a vocabulary learned from texts, and random weights, as an ordinary checkpoint folder."""

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.runtime.checks import check_seed, check_whole
from minembed.runtime.columns import as_texts
from minembed.transformer.config import Config
from minembed.transformer.modules import Normalize
from minembed.types import Array
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.families import FAMILIES
from minembed.weights.layout import layout, map_named, tensors
from minembed.weights.saving import save_checkpoint

SIZES = {  # hidden_size, layers, heads, intermediate_size, vocabulary
    "tiny": (64, 2, 2, 256, 2000),
    "small": (128, 4, 4, 512, 8000),
}
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
DEVIATION = 0.02, 768  # of BERT's initial weights, and its hidden_size: narrower models get larger weights


def new_model(
    folder: Path, texts: Iterable[str], *, size: str = "small", max_seq_length: int = 128, seed: int = 0
) -> None:
    """Write an untrained BERT, with a WordPiece vocabulary learned from these texts, to a new folder.

    The same texts and seed give the same bytes.  Raises InputError for an unknown size, a seed beyond 64 bits, and too
    few texts for a vocabulary.

    >>> from minembed import Embedder
    >>> with TemporaryDirectory() as place:
    ...     new_model(Path(place) / "new", ["some words", "some other words"] * 9, size="tiny")
    ...     Embedder.load(Path(place) / "new", backend="numpy").dimension
    64
    """
    if size not in SIZES:
        raise InputError(f"size {size!r} is unknown; known: {', '.join(SIZES)}")
    seed, max_seq_length = check_seed("seed", seed), check_whole("max_seq_length", max_seq_length)
    texts = as_texts(texts)
    D, layers, heads, F, V = SIZES[size]
    with TemporaryDirectory() as work:
        found = _write_tokenizer(Path(work), texts, V, max_seq_length)
        config = Config(found, D, layers, heads, F, max_seq_length, 2, "gelu", 1e-12)
        raw = {
            "model_type": "bert",
            "architectures": ["BertForMaskedLM"],
            "pad_token_id": 0,
            "hidden_dropout_prob": 0.1,
        }
        raw |= {"vocab_size": found, "hidden_size": D, "num_hidden_layers": layers, "num_attention_heads": heads}
        raw |= {"intermediate_size": F, "max_position_embeddings": max_seq_length, "type_vocab_size": 2}
        raw |= {"hidden_act": "gelu", "layer_norm_eps": 1e-12, "attention_probs_dropout_prob": 0.1}
        (Path(work) / "config.json").write_text(json.dumps(raw, indent=2), encoding="utf-8")
        checkpoint = Checkpoint(
            Path(work), "bert", config, ("mean",), max_seq_length, modules=(Normalize(),), root=Path(work)
        )
        names, numbers = FAMILIES["bert"].names, np.random.Generator(np.random.Philox(key=seed))
        deviation = DEVIATION[0] * math.sqrt(DEVIATION[1] / D)
        params = map_named(lambda name, array: _draw(name, array, deviation, numbers), layout(config, names))
        save_checkpoint(checkpoint, tensors(params, config, names), folder, (None,))


def _draw(name: str, array: Array, deviation: float, numbers: np.random.Generator) -> Array:
    if array.ndim == 1:
        return np.full(array.shape, 1.0 if "norm" in name and name.endswith("weight") else 0.0, np.float32)
    return (numbers.standard_normal(array.shape) * deviation).astype(np.float32)


def _write_tokenizer(folder: Path, texts: Sequence[str], vocab_size: int, max_seq_length: int) -> int:
    """Learn a vocabulary and write it; returns its number of tokens."""
    from tokenizers import Tokenizer, decoders, models, processors  # late

    vocabulary = {token: i for i, token in enumerate([*SPECIAL.values(), *_learn_pieces(texts, vocab_size)])}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = _words()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(list(SPECIAL.values()))
    ids = {token: tokenizer.token_to_id(token) for token in ("[CLS]", "[SEP]")}
    if tokenizer.get_vocab_size() <= len(SPECIAL):
        raise InputError("these texts hold no words that come twice: give more of them")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=list(ids.items())
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": max_seq_length}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | SPECIAL, indent=2), encoding="utf-8")
    (folder / "special_tokens_map.json").write_text(json.dumps(SPECIAL, indent=2), encoding="utf-8")
    return int(tokenizer.get_vocab_size())


def _learn_pieces(texts: Sequence[str], vocab_size: int) -> list[str]:
    """The pieces of a vocabulary learned from texts, in order.

    Of equally frequent pairs, the trainer joins those with lower ids first, and it numbers letters inside words in
    random order: given in advance, they have the same ids in every run.
    """
    from tokenizers import Tokenizer, models, trainers

    teacher = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    teacher.normalizer, teacher.pre_tokenizer = _words()
    letters: set[str] = set()
    for text in texts:
        for word, _ in teacher.pre_tokenizer.pre_tokenize_str(teacher.normalizer.normalize_str(text)):
            letters.update(word[1:])
    first = [*SPECIAL.values(), *(f"##{letter}" for letter in sorted(letters))]
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=first, show_progress=False, min_frequency=2
    )
    teacher.train_from_iterator(texts, trainer)
    return sorted(set(teacher.get_vocab()) - set(SPECIAL.values()))


def _words() -> tuple[Any, Any]:
    """BERT's normalizer and pre-tokenizer: lower case, without accents, split at punctuation."""
    from tokenizers import normalizers, pre_tokenizers

    return normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
