"""The special tokens around one text or a pair, and how much of each text is kept between them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.errors import ConfigError, TokenizationError
from minembed.text.settings import ask
from minembed.types import Array


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of two texts are kept if only `room` fit: the longer text is truncated first, then both equally.

    >>> longest_first(3, 90, 10), longest_first(90, 80, 11)
    ((3, 7), (6, 5))
    """
    if first + second <= room:
        return first, second
    short = min(first, second)
    kept = (short, room - short) if short <= room // 2 else (room // 2, room - room // 2)
    return kept if first <= second else kept[::-1]


def is_clear(first: tuple[Array, bool], second: tuple[Array, bool], room: int) -> bool:
    """Whether it is known which of two texts is longer, if that matters; the flag of a text says that it may be longer.

    It matters if both are truncated and an odd number of tokens fits, since the longer text then keeps one more.

    >>> few, many = np.arange(8), np.arange(9)
    >>> is_clear((many, True), (few, False), 5), is_clear((many, True), (few, True), 5)
    (True, False)
    """
    (a, a_more), (b, b_more) = first, second
    if not (a_more or b_more) or room % 2 == 0 or min(len(a), len(b)) <= room // 2:
        return True
    return (len(a) > len(b) and not b_more) or (len(b) > len(a) and not a_more)


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The special tokens around texts, read from the encoding of example texts that have tokens."""

    sides: tuple[int | None, ...]  # for each token of the example: its text, None for special tokens
    ids: Array
    types: Array

    @staticmethod
    def of(reference: Any, *examples: str) -> "SpecialTokens":
        """Encode one example, or a pair.

        Raises ConfigError unless each text occurs exactly once in the result.
        """
        encoding = ask(reference.encode, *examples)
        sides = zip(encoding.special_tokens_mask, encoding.sequence_ids, strict=True)
        found = tuple(None if special else side for special, side in sides)
        for i, text in enumerate(examples):
            if found.count(i) != len(ask(reference.encode, text, None, False, False).ids):
                raise ConfigError("the post_processor of tokenizer.json does not contain each text exactly once")
        return SpecialTokens(found, np.array(encoding.ids, dtype=np.int64), np.array(encoding.type_ids, dtype=np.int64))

    @property
    def n_special(self) -> int:
        """How many special tokens are added."""
        return self.sides.count(None)

    @property
    def n_opening(self) -> int:
        """How many special tokens come before the first text."""
        return self.sides.index(0)

    @property
    def n_closing(self) -> int:
        """How many special tokens come after the last text."""
        return [side is None for side in reversed(self.sides)].index(False)

    def inside(self, ids: list[int]) -> Array:
        """Only the tokens of the text, from the ids of its encoding."""
        return np.array(ids[self.n_opening : len(ids) - self.n_closing], dtype=np.int64)

    def around(self, texts: Sequence[Array]) -> tuple[Array, Array]:  # -> ids, types
        """Put texts in the places of the example's texts."""
        ids, types = [], []
        for i, side in enumerate(self.sides):
            if side is None:
                ids.append(self.ids[i : i + 1])
            elif i and self.sides[i - 1] == side:
                continue  # the rest of the example's text
            else:
                ids.append(texts[side])
            types.append(np.full(len(ids[-1]), self.types[i]))
        return np.concatenate(ids), np.concatenate(types)


def example(reference: Any) -> str:
    """A text that has tokens; "a" has none if neither it nor an unknown token is in the vocabulary.

    Raises TokenizationError if there is none.

    >>> from tokenizers import Tokenizer, models
    >>> example(Tokenizer(models.BPE({"b": 0}, [])))
    'b'
    """

    def has_tokens(text: str) -> bool:
        return 0 in ask(reference.encode, text).special_tokens_mask

    if has_tokens("a"):
        return "a"
    found = next(filter(has_tokens, sorted(ask(reference.get_vocab, True))[:1000]), None)
    if found is None:
        raise TokenizationError("the tokenizer gives no text any tokens; its tokenizer.json is damaged or incomplete")
    return found
