"""From texts to packed tokens: a thin adapter of the library `tokenizers`, which threads can share.

The tokenizer object is set up once and never changed.  Truncation is done here: `tokenizers` ignores a limit of 0 or 1,
and reads a text to its end before it truncates.
"""

import re
from collections.abc import Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from minembed.errors import ConfigError, InputError, TokenizationError
from minembed.runtime.columns import as_text
from minembed.text.settings import ask
from minembed.text.special_tokens import SpecialTokens, example, is_clear, longest_first
from minembed.text.vocabulary import read_vocabulary
from minembed.transformer.config import Config
from minembed.transformer.tokens import Tokens
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.text.prefix import PrefixReader, WordReader

BATCH = 256  # texts
TRUNCATE_FROM = 4096  # characters: shorter texts are tokenized whole
SURROGATE = re.compile("[\ud800-\udfff]")


def clean(text: object, index: int, errors: str = "replace", name: str = "texts") -> str:
    r"""Check that an item is text, and repair surrogates: a pair becomes one character, a lone one U+FFFD.

    >>> clean("a\ud83d\ude00 \ud83d", 0) == "a\U0001f600 \ufffd"
    True
    """
    if type(text) is not str:
        text = as_text(text, index, name)
    lone = None if text.isascii() else SURROGATE.search(text)
    if lone is None:
        return text
    if errors == "strict":
        raise InputError(f"{name}[{index}] has a surrogate at character {lone.start()}; errors='replace' repairs it")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Tokenizer:
    """Turns texts into Tokens; made by `load`, immutable."""

    def __init__(self, reference: Any, max_seq_length: int, config: Config, **options: Any):
        self.reference = reference  # the tokenizers.Tokenizer
        self.max_seq_length = max_seq_length
        self._vocab_size = config.vocab_size
        self._n_types = config.type_vocab_size if options.get("has_types", True) else 0
        self._keeps_end: bool = options.get("keeps_end", False)
        self._prefix: PrefixReader | WordReader | None = options.get("prefix")
        self._example = example(reference)
        self._special = self._special_tokens_of(self._example)
        self._check_limit(max_seq_length)

    @staticmethod
    def load(path: Path, max_seq_length: int, config: Config, lowercase_first: bool = False) -> "Tokenizer":
        """Read a tokenizer.json, or the vocabulary files beside it if it is missing.

        `lowercase_first` is the do_lower_case of sentence-transformers.  Raises TokenizationError for a damaged
        file, ConfigError if its ids or the limit do not fit the model, and UnsupportedModelError if there is only a
        SentencePiece vocabulary.
        """
        vocabulary = read_vocabulary(path)
        reference = vocabulary.reference
        from minembed.text.prefix import PrefixReader  # late: its patterns take 10 ms to compile

        is_whole = vocabulary.keeps_end or reference.encode_special_tokens
        prefix = None if is_whole else PrefixReader.fitting(vocabulary.layout, reference)
        own = reference.normalizer
        if lowercase_first and (own is None or ask(own.normalize_str, "A") != "a"):
            from tokenizers import normalizers

            lower = normalizers.Lowercase()
            reference.normalizer = lower if own is None else normalizers.Sequence([lower, own])
            prefix = None
        own_options = {"keeps_end": vocabulary.keeps_end, "has_types": vocabulary.has_types, "prefix": prefix}
        tokenizer = Tokenizer(reference, max_seq_length, config, **own_options)
        largest = max(vocabulary.largest_id, *tokenizer._special.ids)  # added tokens: see _pack
        if largest >= config.vocab_size:
            raise ConfigError(f"{path}: token id {largest} is beyond vocab_size {config.vocab_size} of config.json")
        return tokenizer

    def __call__(self, texts: Sequence[str], errors: str = "replace", first_index: int = 0) -> Tokens:
        """Tokenize texts, each truncated to max_seq_length tokens.

        `errors` says what to do about lone surrogates: "replace" (by U+FFFD) or "strict"; `first_index` is the caller's
        index of the first text.  Raises InputTypeError (with the index) for anything but a str, InputError for a
        surrogate if "strict".
        """
        texts = [clean(text, i, errors) for i, text in enumerate(texts, first_index)]
        ids, types, counts, bounds = [], [], [], []
        for encoding, read in self._encodings(texts):
            counts.append(len(encoding.ids) if read is None else read + self._special.n_special)
            bounds.append(read is not None)
            ids.append(self._cut(encoding.ids))
            types.append(self._cut(encoding.type_ids))
        return self._pack(ids, types, counts, bounds, "texts", first_index)

    def alone(self, text: str) -> Tokens | None:
        """Tokenize one text in few steps; None if it has to be repaired, cut or refused, which `__call__` does."""
        if len(text) >= TRUNCATE_FROM or not (text.isascii() or SURROGATE.search(text) is None):
            return None
        encoding = ask(self.reference.encode_batch_fast, [text])[0]
        ids = encoding.ids
        if not 0 < len(ids) <= self.max_seq_length or max(ids) >= self._vocab_size:
            return None
        types = np.array(encoding.type_ids, np.int32) if self._n_types > 1 else np.zeros(len(ids), np.int32)
        return Tokens(np.array(ids, np.int32), types, np.array([0, len(ids)]))

    def pairs(self, queries: Sequence[str], documents: Sequence[str], errors: str = "replace") -> Tokens:
        """Tokenize pairs for a cross-encoder, each truncated to max_seq_length tokens, the longer text first.

        Raises InputTypeError and InputError as for texts, InputError for lists of different lengths, and ConfigError
        if the limit leaves no room for two texts.
        """
        if len(queries) != len(documents):
            raise InputError(f"each query needs its document: {len(queries)} queries, {len(documents)} documents")
        special = self._special_tokens_of(self._example, self._example)
        room = self.max_seq_length - special.n_special
        if room < 2:
            raise ConfigError(f"max_seq_length {self.max_seq_length} leaves no room for a pair of texts")
        named = (("queries", queries), ("documents", documents))
        sides = [[clean(text, i, errors, name) for i, text in enumerate(texts)] for name, texts in named]
        ids, types, counts, bounds = [], [], [], []
        for texts, first, second in zip(zip(*sides, strict=True), *map(self._bare, sides), strict=True):
            both = (first, second) if is_clear(first, second, room) else [(self._whole(t), False) for t in texts]
            kept = longest_first(len(both[0][0]), len(both[1][0]), room)
            own = special.around([self._some(side[0], n) for side, n in zip(both, kept, strict=True)])
            ids.append(own[0])
            types.append(own[1])
            counts.append(len(both[0][0]) + len(both[1][0]) + special.n_special)
            bounds.append(both[0][1] or both[1][1])
        return self._pack(ids, types, counts, bounds, "queries", 0)

    @property
    def has_types(self) -> bool:
        """Whether the model uses segment types."""
        return self._n_types > 1

    def with_limit(self, max_seq_length: int) -> "Tokenizer":
        """The same tokenizer with another limit; raises ConfigError for one that leaves no room for text."""
        self._check_limit(max_seq_length)
        other = copy(self)
        other.max_seq_length = max_seq_length
        return other

    def _check_limit(self, max_seq_length: int) -> None:
        n = self._special.n_special
        if max_seq_length < n + 1:
            raise ConfigError(
                f"max_seq_length {max_seq_length} leaves no room for text: {n} special tokens are added, "
                f"so give {n + 1} or more"
            )

    def prompt_length(self, prompt: str) -> int:
        """Count the tokens that a prompt puts in front of a text, the opening special token included."""
        return len(ask(self.reference.encode, prompt).ids) - self._special.n_closing

    def _special_tokens_of(self, *examples: str) -> SpecialTokens:
        special = SpecialTokens.of(self.reference, *examples)
        if 1 < self._n_types <= special.types.max():
            raise ConfigError(
                f"tokenizer.json gives tokens the type {special.types.max()}: beyond type_vocab_size {self._n_types}"
            )
        return special

    def _pack(
        self, ids: list[Array], types: list[Array], counts: list[int], bounds: list[bool], name: str, first: int
    ) -> Tokens:
        lengths = np.array(list(map(len, ids)), dtype=np.int64)
        if not lengths.all():
            raise InputError(f"{name}[{first + int(lengths.argmin())}] has no tokens: this tokenizer adds none to it")
        cu_seqlens = np.concatenate([[0], np.cumsum(lengths)])
        packed, of_type = (np.concatenate([np.zeros(0, np.int64), *arrays]) for arrays in (ids, types))
        if len(packed) and packed.max() >= self._vocab_size:
            text = first + int(np.searchsorted(cu_seqlens, packed.argmax(), side="right")) - 1
            raise TokenizationError(
                f"{name}[{text}] holds a token of the id {packed.max()}, but the model knows {self._vocab_size}: "
                "its tokenizer has added tokens for which there are no weights"
            )
        n_tokens = np.array(counts, dtype=np.int64)
        return Tokens(
            ids=packed.astype(np.int32),
            types=(of_type if self._n_types > 1 else np.zeros_like(packed)).astype(np.int32),
            cu_seqlens=cu_seqlens,
            n_tokens=n_tokens,
            truncated=n_tokens > self.max_seq_length,
            lower_bound=np.array(bounds, dtype=bool),
        )

    def _encodings(self, texts: list[str]) -> Iterator[tuple[Any, int | None]]:
        """Encode short texts in batches (small ones, since the reference's objects are large), long ones one by one."""
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            short = iter(self._encode_batch([text for text in batch if len(text) < TRUNCATE_FROM]))
            for text in batch:
                yield (next(short), None) if len(text) < TRUNCATE_FROM else self._encode_long(text)

    def _encode_batch(self, texts: list[str]) -> list[Any]:
        return ask(self.reference.encode_batch_fast, texts) if texts else []

    def _encode_long(self, text: str) -> tuple[Any, int | None]:
        """Encode a long text; also how many tokens were counted, if it was not read to its end."""
        if self._prefix is None:
            return self._encode_batch([text])[0], None
        return ask(self._prefix.read, text, self.max_seq_length)

    def _bare(self, texts: list[str]) -> Iterator[tuple[Array, bool]]:
        """The tokens of each text without special tokens, and whether there may be more."""
        for encoding, read in self._encodings(texts):
            yield self._special.inside(encoding.ids)[:read], read is not None

    def _whole(self, text: str) -> Array:
        return self._special.inside(ask(self.reference.encode, text).ids)

    def _some(self, array: Array, n: int) -> Array:
        return array[len(array) - n :] if self._keeps_end else array[:n]

    def _cut(self, values: list[int]) -> Array:
        """Keep the first tokens of the text and all special tokens, as the reference's truncation does."""
        array = np.array(values, dtype=np.int64)
        if len(array) <= self.max_seq_length:
            return array
        opening, end = self._special.n_opening, len(array) - self._special.n_closing
        text = self._some(array[opening:end], self.max_seq_length - self._special.n_special)
        return np.concatenate([array[:opening], text, array[end:]])
