"""Static embeddings: each token has a row of numbers, and a text is the mean of its tokens' rows.

There is no encoder: a token's row does not depend on its neighbours, and no special tokens are added.  A text may have
no tokens; then its vector is zero.  V vocabulary, D width, T tokens of all texts, B texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minembed.errors import ConfigError, InputError, TokenizationError, of_text
from minembed.text.settings import ask
from minembed.text.tokenizer import BATCH, clean
from minembed.text.vocabulary import read_tokenizer_json
from minembed.transformer.config import Config
from minembed.transformer.params import Params
from minembed.transformer.tier import NumPyTier
from minembed.transformer.tokens import Tokens
from minembed.types import Array

BLOCK = 256  # rows that are gathered at once: they stay in the cache, and a long text needs no more memory


@dataclass(frozen=True, slots=True)
class Bags(Tokens):
    """Tokens of texts that may have none.

    >>> Bags(np.array([5, 6]), np.zeros(2, int), np.array([0, 0, 2])).lengths().tolist()
    [0, 2]
    """

    fewest: ClassVar[int] = 0


@dataclass(frozen=True, slots=True)
class StaticTokenizer:
    """Turns texts into Bags; made by `load`, immutable."""

    reference: Any  # a tokenizers.Tokenizer without truncation and padding
    max_seq_length: int
    vocab_size: int
    keeps_end: bool = False  # whether truncation drops the beginning of a text
    dropped: int | None = None  # the id of the unknown token, which model2vec leaves out
    token_size: int | None = None  # characters: model2vec reads only this many times max_seq_length

    @staticmethod
    def load(path: Path, max_seq_length: int, config: Config, as_model2vec: bool = False) -> "StaticTokenizer":
        """Read a tokenizer.json; `as_model2vec` for a folder of model2vec, whose rules then apply.

        Raises TokenizationError for a missing or damaged file, ConfigError if its ids do not fit the table.
        """
        reference, layout = read_tokenizer_json(path)
        truncation = layout.get("truncation") or {}
        reference.no_truncation()
        reference.no_padding()
        vocabulary: dict[str, int] = ask(reference.get_vocab, True)
        if max(ask(reference.get_vocab, False).values(), default=0) >= config.vocab_size:
            top = max(vocabulary.values())
            raise ConfigError(f"{path}: token id {top} is beyond the {config.vocab_size} rows of model.safetensors")
        if not as_model2vec:
            is_left = str(truncation.get("direction")).lower() == "left"
            return StaticTokenizer(reference, max_seq_length, config.vocab_size, is_left)
        size = int(np.median([len(token) for token in vocabulary])) if vocabulary else 0
        dropped = _unknown(reference, layout.get("model") or {})
        return StaticTokenizer(reference, max_seq_length, config.vocab_size, False, dropped, size)

    def __call__(self, texts: Sequence[str], errors: str = "replace", first_index: int = 0) -> Bags:
        """Tokenize and truncate texts to max_seq_length tokens; options and errors as in `minembed.Tokenizer`."""
        texts = [clean(text, i, errors) for i, text in enumerate(texts, first_index)]
        longest = None if self.token_size is None else self.token_size * self.max_seq_length  # characters
        ids: list[list[int]] = []
        counts: list[int] = []
        for start in range(0, len(texts), BATCH):
            batch = [text[:longest] for text in texts[start : start + BATCH]]
            for encoding in ask(self.reference.encode_batch_fast, batch, False, False):
                own: list[int] = encoding.ids
                counts.append(len(own))
                ids.append(self._kept(own))
        lower_bound = np.array([longest is not None and len(text) > longest for text in texts], dtype=bool)
        n_tokens = np.array(counts, dtype=np.int64)
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        packed = np.fromiter(chain.from_iterable(ids), np.int32, int(lengths.sum()))
        tokens = Bags(
            ids=packed,
            types=np.zeros_like(packed),
            cu_seqlens=np.concatenate([[0], np.cumsum(lengths)]),
            n_tokens=n_tokens,
            truncated=(n_tokens > self.max_seq_length) | lower_bound,
            lower_bound=lower_bound,
        )
        self._check(tokens, first_index)
        return tokens

    @property
    def has_types(self) -> bool:
        """Whether the model uses segment types: it has no layers that could."""
        return False

    def with_limit(self, max_seq_length: int) -> "StaticTokenizer":
        """The same tokenizer with another limit."""
        return replace(self, max_seq_length=max_seq_length)

    def prompt_length(self, prompt: str) -> int:
        """Count the tokens that a prompt puts in front of a text."""
        return len(ask(self.reference.encode, prompt, None, False, False).ids)

    def _kept(self, ids: list[int]) -> list[int]:
        if len(ids) > self.max_seq_length:
            ids = ids[-self.max_seq_length :] if self.keeps_end else ids[: self.max_seq_length]
        return ids if self.dropped is None else [i for i in ids if i != self.dropped]

    def _check(self, tokens: Bags, first_index: int) -> None:
        if len(tokens.ids) and tokens.ids.max() >= self.vocab_size:
            text = first_index + int(np.searchsorted(tokens.cu_seqlens, tokens.ids.argmax(), side="right")) - 1
            about = f"holds a token of the id {tokens.ids.max()}, but the table has {self.vocab_size} rows: "
            about += "its tokenizer has added tokens for which there are no weights"
            raise of_text(TokenizationError, text, about)


def _unknown(reference: Any, model: dict[str, Any]) -> int | None:
    """The id of the unknown token, as model2vec finds it."""
    if model.get("type") == "Unigram":
        found = model.get("unk_id")
        return found if isinstance(found, int) else None
    token = getattr(reference.model, "unk_token", None)
    return None if token is None else reference.token_to_id(token)


@dataclass(frozen=True, slots=True)
class Lookup(NumPyTier):
    """A prepared table: an encoder without layers, whose hidden states are the rows of the tokens."""

    @property
    def needs_blas(self) -> bool:
        """False: there is no matrix product."""
        return False

    def pooled(
        self, tokens: Tokens, modes: Sequence[str] = ("mean",), skipped: int = 0, together: bool = False
    ) -> Array:  # (T,) -> (B, D)
        """Average the rows of each text, which may have none; a table supports only mean pooling."""
        return mean_rows(self.params.embeddings.word, tokens.ids, tokens.cu_seqlens)


def prepare(params: Params, config: Config, dtype: str) -> Lookup:
    """Prepare a table.  Raises InputError for a compute type other than float32."""
    check_dtype(dtype)
    return Lookup(params, config, dtype, ())


def mean_rows(rows: Array, ids: Array, cu_seqlens: Array) -> Array:  # (V, D), (T,), (B+1,) -> (B, D)
    """Average the rows of each text's tokens; a text without tokens gives zeros.

    >>> mean_rows(np.float32([[1, 2], [3, 4]]), np.array([0, 1, 1]), np.array([0, 2, 2, 3])).tolist()
    [[2.0, 3.0], [0.0, 0.0], [3.0, 4.0]]
    """
    lengths = np.diff(cu_seqlens)
    out = np.zeros((len(lengths), rows.shape[1]), rows.dtype)
    bounds = cu_seqlens.tolist()
    for total, begin, end in zip(out, bounds, bounds[1:], strict=False):  # np.add.reduceat takes ten times as long
        for start in range(begin, end, BLOCK):
            total += np.add.reduce(rows[ids[start : min(start + BLOCK, end)]], axis=0)
    out /= np.maximum(lengths, 1).astype(rows.dtype)[:, None]
    return out


def check_dtype(dtype: str) -> None:
    """Raise InputError for a compute type other than float32.

    >>> check_dtype("float32")
    """
    if dtype != "float32":
        raise InputError(
            f"dtype {dtype!r} is for models that multiply; this one only adds the rows of a table: use 'float32'"
        )
