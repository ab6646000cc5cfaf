"""From texts to packed token ids: a thin, re-entrant adapter on the `tokenizers` package.

The tokenizer object is set up once and never changed afterwards, so threads share it. Truncation is ours:
`tokenizers` ignores a limit of 0 or 1 and reads a text to its end before cutting it.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from minembed.config import Config
from minembed.errors import ConfigError, InputError, InputTypeError, TokenizationError
from minembed.params import Array

if TYPE_CHECKING:
    from minembed.prefix import PrefixReader

T = TypeVar("T")
BATCH = 256  # texts
TRUNCATE_FROM = 4096  # characters: shorter texts are tokenized whole
SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of several texts, end to end, without padding.

    Raises InputError where cu_seqlens does not rise from 0 to len(ids).

    >>> Tokens(np.array([5, 6, 7, 8, 9]), np.zeros(5, int), np.array([0, 3, 5])).lengths().tolist()
    [3, 2]
    """

    ids: Array  # (T,) vocabulary indices, special tokens included
    types: Array  # (T,) segment, 0 for single texts
    cu_seqlens: Array  # (B+1,) text b is ids[cu_seqlens[b]:cu_seqlens[b+1]]
    n_tokens: Array | None = None  # (B,) tokens before the cut
    truncated: Array | None = None  # (B,) whether the text was cut
    lower_bound: Array | None = None  # (B,) whether n_tokens is only a lower bound: a long text is not read to its end

    def __post_init__(self) -> None:
        cu = self.cu_seqlens
        if len(cu) < 1 or cu[0] or cu[-1] != len(self.ids) or (np.diff(cu) < 1).any():
            raise InputError(f"cu_seqlens must rise from 0 to {len(self.ids)} with no empty text, got {cu.tolist()}")
        if len(self.types) != len(self.ids):
            raise InputError(f"types must have one entry a token: {len(self.types)} for {len(self.ids)} ids")

    def __len__(self) -> int:
        return len(self.cu_seqlens) - 1

    def lengths(self) -> Array:  # -> (B,)
        """Count the tokens of each text."""
        return np.diff(self.cu_seqlens)

    def positions(self) -> Array:  # -> (T,)
        """Count from zero again in every text.

        >>> Tokens(np.array([5, 6, 7, 8, 9]), np.zeros(5, int), np.array([0, 3, 5])).positions().tolist()
        [0, 1, 2, 0, 1]
        """
        return np.arange(len(self.ids)) - np.repeat(self.cu_seqlens[:-1], self.lengths())

    def select(self, texts: Sequence[int] | Array) -> "Tokens":
        """Take some of the texts, in the order given.

        >>> Tokens(np.array([5, 6, 7, 8, 9]), np.zeros(5, int), np.array([0, 3, 5])).select([1, 0]).ids.tolist()
        [8, 9, 5, 6, 7]
        """
        texts = np.asarray(texts, dtype=np.int64)
        if len(texts) == len(self) == 1 and texts[0] == 0:
            return self
        cu_seqlens = np.concatenate([[0], np.cumsum(self.lengths()[texts])])
        shift = self.cu_seqlens[texts] - cu_seqlens[:-1]
        rows = np.arange(cu_seqlens[-1]) + np.repeat(shift, np.diff(cu_seqlens))
        extras = (None if a is None else a[texts] for a in (self.n_tokens, self.truncated, self.lower_bound))
        return Tokens(self.ids[rows], self.types[rows], cu_seqlens, *extras)


def clean(text: object, index: int, errors: str = "replace") -> str:
    r"""Check that an item is text, and repair surrogates: pairs become one character, lone ones U+FFFD.

    >>> clean("a\ud83d\ude00 \ud83d", 0) == "a\U0001f600 \ufffd"
    True
    """
    if not isinstance(text, str):
        raise InputTypeError(f"texts[{index}] is {type(text).__name__}, not str")
    lone = None if text.isascii() else SURROGATE.search(text)
    if lone is None:
        return str(text)
    if errors == "strict":
        raise InputError(f"texts[{index}] has a surrogate at character {lone.start()}; errors='replace' repairs it")
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def ask(method: Callable[..., T], *arguments: Any) -> T:
    """Call into the reference; whatever goes wrong there, panics included, becomes a TokenizationError.

    >>> ask(len, [1, 2])
    2
    """
    try:
        return method(*arguments)
    except BaseException as e:  # a Rust panic derives from BaseException
        if isinstance(e, KeyboardInterrupt | SystemExit | MemoryError | GeneratorExit):
            raise
        raise TokenizationError(f"the tokenizer failed ({e}); its tokenizer.json is damaged or incomplete") from e


def _count_closing(special_tokens_mask: list[int]) -> int:
    """How many special tokens stand behind a text."""
    if 0 not in special_tokens_mask:  # the text itself has no token: one special token opens, the others close
        return max(len(special_tokens_mask) - 1, 0)
    return special_tokens_mask[::-1].index(0)


class Tokenizer:
    """What turns texts into Tokens; made by `load`, never changed afterwards."""

    def __init__(self, reference: Any, max_seq_length: int, prefix: "PrefixReader | None"):
        self.reference = reference  # the tokenizers.Tokenizer
        self.max_seq_length = max_seq_length
        self._prefix = prefix
        self._n_special = len(ask(reference.encode, "").ids)
        self._n_closing = _count_closing(ask(reference.encode, "a").special_tokens_mask)
        if max_seq_length < self._n_special + 1:
            raise ConfigError(
                f"max_seq_length {max_seq_length} leaves no room for text: {self._n_special} special tokens are added, "
                f"so give {self._n_special + 1} or more"
            )

    @staticmethod
    def load(path: Path, max_seq_length: int, config: Config, lowercase_first: bool = False) -> "Tokenizer":
        """Read a tokenizer.json.

        `lowercase_first` is the do_lower_case of sentence-transformers.  Raises TokenizationError for a damaged
        file and ConfigError if its ids or the limit do not fit the model.
        """
        import json  # these are late so that `import minembed` stays light

        from tokenizers import Tokenizer as Reference
        from tokenizers import normalizers

        from minembed.prefix import PrefixReader

        try:
            text = path.read_text(encoding="utf-8")
            reference = ask(Reference.from_str, text)
            layout = json.loads(text)
        except OSError as e:
            raise TokenizationError(f"{path} cannot be read ({e.strerror}); a model needs its tokenizer.json") from e
        except (ValueError, RecursionError) as e:  # TokenizationError is a ValueError
            raise TokenizationError(f"{path}: not a usable tokenizer.json ({e}); fetch the file again") from e
        reference.no_truncation()  # many checkpoints ship a wrong limit and fixed padding in this file
        reference.no_padding()
        probe = ask(reference.encode, "a")  # shows the special tokens and the segment of text
        highest = max([*reference.get_vocab(with_added_tokens=True).values(), *probe.ids], default=0)
        if highest >= config.vocab_size:
            raise ConfigError(f"{path}: token id {highest} is beyond vocab_size {config.vocab_size} of config.json")
        if max(probe.type_ids, default=0) >= config.type_vocab_size:
            raise ConfigError(f"{path}: its segments exceed type_vocab_size {config.type_vocab_size} of config.json")
        prefix = PrefixReader.fitting(layout, reference)
        own = reference.normalizer
        if lowercase_first and (own is None or ask(own.normalize_str, "A") != "a"):
            lower = normalizers.Lowercase()
            reference.normalizer = lower if own is None else normalizers.Sequence([lower, own])
            prefix = None
        return Tokenizer(reference, max_seq_length, prefix)

    def __call__(self, texts: Sequence[str], errors: str = "replace", first_index: int = 0) -> Tokens:
        """Tokenize texts, each cut to max_seq_length tokens.

        `errors` says what to do about lone surrogates: "replace" (by U+FFFD) or "strict"; `first_index` is where
        the first text stands among the caller's.
        Raises InputTypeError (with the index) for what is not a str, InputError for a surrogate under "strict".
        """
        texts = [clean(text, i, errors) for i, text in enumerate(texts, first_index)]
        ids, types, counts, bounds = [], [], [], []
        for encoding, read in self._encodings(texts):
            counts.append(len(encoding.ids) if read is None else read + self._n_special)
            bounds.append(read is not None)
            if not counts[-1]:
                raise InputError(
                    f"texts[{first_index + len(counts) - 1}] has no tokens: this tokenizer adds none to it"
                )
            ids.append(self._cut(encoding.ids))
            types.append(self._cut(encoding.type_ids))
        n_tokens = np.array(counts, dtype=np.int64)
        empty = np.zeros(0, np.int32)
        return Tokens(
            ids=np.concatenate([empty, *ids]),
            types=np.concatenate([empty, *types]),
            cu_seqlens=np.concatenate([[0], np.cumsum(list(map(len, ids)), dtype=np.int64)]),
            n_tokens=n_tokens,
            truncated=n_tokens > self.max_seq_length,
            lower_bound=np.array(bounds, dtype=bool),
        )

    def prompt_length(self, prompt: str) -> int:
        """Count the tokens that a prompt puts in front of a text, the opening special token included."""
        return len(ask(self.reference.encode, prompt).ids) - self._n_closing

    def _encodings(self, texts: list[str]) -> Iterator[tuple[Any, int | None]]:
        """Encode short texts some hundred at a time (the reference's objects are large), and long ones one by one."""
        for start in range(0, len(texts), BATCH):
            batch = texts[start : start + BATCH]
            short = iter(self._encode_batch([text for text in batch if len(text) < TRUNCATE_FROM]))
            for text in batch:
                yield (next(short), None) if len(text) < TRUNCATE_FROM else self._encode_long(text)

    def _encode_batch(self, texts: list[str]) -> list[Any]:
        return ask(self.reference.encode_batch_fast, texts) if texts else []

    def _encode_long(self, text: str) -> tuple[Any, int | None]:
        """Encode a long text, and say how many tokens were counted where it was not read to its end."""
        if self._prefix is None:
            return self._encode_batch([text])[0], None
        return ask(self._prefix.read, text, self.max_seq_length)

    def _cut(self, values: list[int]) -> Array:
        """Keep the first tokens and the closing special ones, as the reference's truncation does."""
        array = np.array(values, dtype=np.int32)
        if len(array) <= self.max_seq_length:
            return array
        kept = self.max_seq_length - self._n_closing
        return np.concatenate([array[:kept], array[len(array) - self._n_closing :]])
