"""Split documents that are longer than a model's limit into chunks within it.

The end of a chunk is found by tokenizing a window of the text, and checked by tokenizing the chunk by itself, since a
cut may change the tokens next to it.  So the work is linear in the length of the text, and no token is ever truncated.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from minembed.errors import InputError, InputTypeError
from minembed.runtime.checks import check_whole, whole_number
from minembed.text.settings import ask
from minembed.text.tokenizer import SURROGATE, Tokenizer, clean

RESPECT = ("sentences", "words", "tokens")
TEXT = re.compile(r"\S")
CLOSING = ")\\]\"'\u201d\u2019\u00bb\u300d\u300f\uff09"  # may follow the punctuation that ends a sentence
SENTENCE_END = re.compile(
    f"[.!?\u2026][{CLOSING}]*(?=\\s)|[\u3002\uff01\uff1f][{CLOSING}]*|\\S(?=[^\\S\\n]*\\n[^\\S\\n]*\\n)"  # a paragraph
)
# letters of scripts without spaces between words: kana, ideographs, Thai, Lao, Burmese, Khmer
SPACELESS = "\u3041-\u3096\u30a1-\u30fe\u3400-\u9fff\uf900-\ufaff\u0e01-\u0e4e\u0e81-\u0ecd\u1000-\u103f\u1780-\u17d3"
WORD_END = re.compile(f"(?<=\\S)(?=\\s)|(?<=[{SPACELESS}\u3001\u3002\uff0c])(?=[{SPACELESS}])")
WORD_START = re.compile(f"(?<=\\s)(?=\\S)|(?<=[{SPACELESS}\u3001\u3002\uff0c])(?=[{SPACELESS}])")
PART_END = re.compile(r"\b")  # between letters and punctuation: inside what a reader sees as one word
JOINERS = "\u200d\ufe0e\ufe0f"  # belong to the character before them, as combining marks do


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a document: document[start:end]."""

    text: str
    start: int  # characters
    end: int
    n_tokens: int  # that a model reads: special tokens and those of the prompt included


def chunk_text(
    text: str,
    tokenizer_or_model: Tokenizer | Any,
    *,
    max_tokens: int | None = None,
    overlap: int = 0,
    respect: str = "sentences",
    prompt: str = "",
) -> list[Chunk]:
    """Split a text into chunks of at most `max_tokens` tokens each, special tokens and those of `prompt` included.

    `tokenizer_or_model` is an Embedder, its tokenizer, or a `tokenizers.Tokenizer`; `max_tokens=None` means the
    model's max_seq_length.  Each chunk fits together with the prompt.  `respect` says where to split: "sentences" (at
    the last end of a sentence or paragraph in the second half of what fits, else as for words), "words" (at the last
    white space in what fits; inside a word only if the word does not fit by itself), or "tokens".  Every chunk repeats
    up to `overlap` tokens of the one before, from the start of a word, or none if that leaves no room for the next
    word.  Chunks neither begin nor end with white space; every other character is in at least one of them.  Time and
    memory are linear in the length of the text.

    Raises InputTypeError unless the text is a str, InputError for an unknown `respect`, a `max_tokens` above the
    model's limit or without room for text, an overlap without room for more, or a character that does not fit.

    >>> from tokenizers import Tokenizer, models, pre_tokenizers
    >>> words = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    >>> words.pre_tokenizer = pre_tokenizers.Whitespace()
    >>> for chunk in chunk_text("One two three. Four five six seven.", words, max_tokens=6, overlap=1):
    ...     print(chunk)
    Chunk(text='One two three.', start=0, end=14, n_tokens=4)
    Chunk(text='Four five six seven.', start=15, end=35, n_tokens=5)
    """
    if not isinstance(text, str):
        raise InputTypeError(f"text is {type(text).__name__}, not str")
    if respect not in RESPECT:
        raise InputError(f"respect {respect!r} is unknown; known: {', '.join(RESPECT)}")
    meter = Meter.of(tokenizer_or_model, max_tokens, clean(prompt, 0, name="prompt"))
    shared = whole_number(overlap)
    if shared is None or not 0 <= shared < meter.room:
        raise InputError(
            f"overlap must be a whole number of tokens from 0 to {meter.room - 1}, since {meter.limit} tokens leave "
            f"{meter.room} for text; not {overlap!r}"
        )
    return list(_chunks(text, meter, shared, respect))


@dataclass(frozen=True, slots=True)
class Meter:
    """Counts the tokens of texts."""

    reference: Any  # a tokenizers.Tokenizer that neither truncates nor pads
    limit: int  # tokens of a chunk, with special tokens and the prompt
    room: int  # tokens of its text only
    prompt: str

    @staticmethod
    def of(tokenizer_or_model: Any, max_tokens: int | None, prompt: str) -> "Meter":
        """Find the tokenizer and its limit; raises what `chunk_text` does."""
        own = getattr(getattr(tokenizer_or_model, "engine", None), "tokenizer", tokenizer_or_model)
        reference, most = getattr(own, "reference", own), getattr(own, "max_seq_length", None)
        if not hasattr(reference, "encode_batch_fast"):
            raise InputTypeError(
                f"tokenizer_or_model is {type(tokenizer_or_model).__name__}; give an Embedder, its tokenizer, or a "
                "tokenizers.Tokenizer"
            )
        limit = most if max_tokens is None else max_tokens
        if limit is None:
            raise InputError("max_tokens must be given: this tokenizer has no limit of its own")
        limit = check_whole("max_tokens", limit, 1, most)
        if reference.truncation or reference.padding:
            reference = type(reference).from_str(reference.to_str())
            reference.no_truncation()
            reference.no_padding()
        taken = len(ask(reference.encode, prompt).ids)
        if taken >= limit:
            raise InputError(f"max_tokens {limit} leaves no room: special tokens and the prompt take {taken}")
        return Meter(reference, limit, limit - taken, prompt)

    def starts(self, text: str) -> list[int]:
        """The character at which each token begins."""
        whole = text if text.isascii() else SURROGATE.sub("\ufffd", text)  # characters keep their places
        return [start for start, _ in ask(self.reference.encode, whole, None, False, False).offsets]

    def count(self, text: str) -> int:
        """How many tokens a model reads, special tokens and those of the prompt included."""
        return len(ask(self.reference.encode_batch_fast, [self.prompt + clean(text, 0)])[0].ids)


def _chunks(text: str, meter: Meter, overlap: int, respect: str) -> Iterator[Chunk]:
    start, done, density = _next_text(text, 0), 0, 6.0  # characters per token, at first a high guess
    while start < len(text):
        tokens = _window(text, start, meter, density)
        chunk = _cut(text, start, max(start, done), tokens, meter, respect)
        if chunk is None:  # nothing new fits after the repeated tokens
            start = _next_text(text, done)
            continue
        yield chunk
        done = chunk.end
        own = [token for token in tokens if start + token < done]
        density = max(2.0, (done - start) / max(len(own), 1))
        start = _next_text(text, done)
        if overlap and start < len(text):
            start = _repeat_from(text, chunk, own, overlap, respect) or start


def _next_text(text: str, at: int) -> int:
    found = TEXT.search(text, at)
    return found.start() if found else len(text)


def _window(text: str, start: int, meter: Meter, density: float) -> list[int]:
    """The starts of tokens, relative to `start`: more than there is room for, unless the text ends before."""
    size = int(1.25 * density * meter.room) + 100
    while True:
        tokens = meter.starts(text[start : start + size])
        if len(tokens) > meter.room or start + size >= len(text):
            return tokens
        size *= 2


def _cut(text: str, start: int, least: int, tokens: list[int], meter: Meter, respect: str) -> Chunk | None:
    """The longest chunk from `start` that fits and ends well; None if `least` is after `start` and it ends before."""
    fitting, attempts = min(meter.room, len(tokens)), 0
    while True:
        whole = fitting == len(tokens) and not attempts
        limit = len(text) if whole else start + (tokens[fitting] if fitting else 0)
        middle = start + tokens[fitting // 2] if fitting // 2 < len(tokens) else start
        end = _end(text, start, least, middle, limit, respect)
        end = start + len(text[start : end or start + 1].rstrip())
        if least > start and end <= least:
            return None
        n = meter.count(text[start:end])
        if n <= meter.limit:
            return Chunk(text[start:end], start, end, n)
        if end - start == 1:
            raise InputError(
                f"character {start} of the text, {text[start]!r}, has {n - meter.limit + meter.room} tokens by itself; "
                f"max_tokens {meter.limit} leaves room for {meter.room}"
            )
        attempts += 1
        fitting = max(fitting - (n - meter.limit), 0) if attempts < 4 else fitting // 2


def _end(text: str, start: int, least: int, middle: int, limit: int, respect: str) -> int | None:
    """The best place after `least` and up to `limit` to end a chunk from `start`; None if there is none.

    If the chunk begins with repeated tokens (`least` is after `start`), no word is cut: it may fit without them.
    """
    if limit <= least:
        return None
    if limit == len(text):
        return limit
    if respect == "sentences":
        ends = [found.end() for found in SENTENCE_END.finditer(text, max(middle, least), limit + 8)]
        ends = [end for end in ends if least < end <= limit]
        if ends:
            return ends[-1]
    for pattern in (WORD_END, PART_END) if respect != "tokens" else ():
        ends = [found.start() for found in pattern.finditer(text, least, limit + 1)]
        last = next((end for end in reversed(ends) if least < end <= limit and not _joined(text, end)), None)
        if last is not None:
            return last
        if least > start:
            return None
    end = limit
    while end > least + 1 and _joined(text, end):
        end -= 1
    return end if not _joined(text, end) else limit


def _joined(text: str, at: int) -> bool:
    """Whether a character belongs to the one before it: marks, joiners, and the second half of a surrogate pair."""
    return (
        unicodedata.category(text[at])[0] == "M"
        or text[at] in JOINERS
        or text[at - 1] == JOINERS[0]
        or "\ud800" <= text[at - 1] <= "\udbff"
    )


def _repeat_from(text: str, chunk: Chunk, tokens: list[int], overlap: int, respect: str) -> int | None:
    """Where the last `overlap` tokens of a chunk begin, moved to the next start of a word; None if nothing remains."""
    if len(tokens) < 2:
        return None
    at = _next_text(text, chunk.start + tokens[max(len(tokens) - overlap, 1)])
    if respect != "tokens":
        found = WORD_START.search(text, at, chunk.end)
        at = found.start() if found else len(text)
    return at if chunk.start < at < chunk.end else None
