"""Computing a chunk with a model: items of several requests in, the rows of each request out.

A text's row has the same bits as from `encode` for the text alone, in any batch.  Every lane computes on the calling
thread; an error of one text is an error of the whole chunk, which `workers.computed` then splits.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson

from minembed.errors import InputError, NumericalError
from minembed.models.engine import Engine
from minembed.models.options import Options
from minembed.models.reranker import Reranker
from minembed.search.index import Index
from minembed.serve.queue import Part
from minembed.transformer.heads import through
from minembed.transformer.tokens import Tokens
from minembed.types import Array


def numbered(i: int) -> str:
    """The name of an item in an error, where a request calls it nothing else.

    >>> numbered(3)
    'item 3 of the request'
    """
    return f"item {i} of the request"


@dataclass(frozen=True, slots=True)
class Asked:
    """The request of a job to a lane."""

    items: Sequence[Any]  # texts, pairs of texts, or lists of token ids
    options: Options = field(default_factory=Options)
    strict: bool = False  # whether an item with too many tokens is an error, not truncated
    name: Callable[[int], str] = numbered  # of an item, in an error


@dataclass(frozen=True, slots=True)
class Rows:
    """The result for a part."""

    rows: Any  # one per item: an array (n, width), or a list
    tokens: int = 0  # that were read
    truncated: int = 0  # items that were truncated


def items_of(parts: Sequence[Part]) -> list[Any]:
    """The items of all parts, in order.

    >>> from minembed.serve.queue import Job
    >>> items_of([Part(Job(None, Asked(["a", "b", "c"]), [1, 1, 1]), 1, 3)])
    ['b', 'c']
    """
    return [item for part in parts for item in part.job.asked.items[part.start : part.stop]]


def spans(parts: Sequence[Part]) -> Iterator[tuple[Part, int, int]]:
    """The range of each part's items in the chunk.

    >>> [span[1:] for span in spans([Part(None, 4, 6), Part(None, 0, 3)])]
    [(0, 2), (2, 5)]
    """
    begin = 0
    for part in parts:
        end = begin + part.stop - part.start
        yield part, begin, end
        begin = end


def dealt_out(parts: Sequence[Part], tokens: Tokens, rows: Any, limit: int) -> list[Rows]:
    """Split rows among parts, with counts of tokens and truncated items; raises InputError if truncation is refused."""
    cut, bounds = tokens.truncated, tokens.cu_seqlens
    out = []
    for part, begin, end in spans(parts):
        truncated = 0 if cut is None else int(np.count_nonzero(cut[begin:end]))
        if truncated and part.job.asked.strict:
            first = part.start + int(np.argmax(cut[begin:end]))
            name = part.job.asked.name(first)
            raise InputError(f"{name} has more than {limit} tokens: shorten it, or let it be cut")
        out.append(Rows(rows[begin:end], int(bounds[end] - bounds[begin]), truncated))
    return out


def check_rows(rows: Array, parts: Sequence[Part]) -> None:  # (n, D)
    """Raise NumericalError if a row contains NaN or infinity.

    >>> from minembed.serve.queue import Job
    >>> check_rows(np.float32([[1.0], [np.inf]]), [Part(Job(None, Asked("ab"), [1, 1]), 0, 2)])
    Traceback (most recent call last):
    minembed.errors.NumericalError: item 1 of the request gives NaN or infinity: the weights overflow float32
    """
    if not np.isfinite(rows).all():
        bad = int(np.argmin(np.isfinite(rows).reshape(len(rows), -1).all(axis=1)))
        part, begin = next((part, begin) for part, begin, end in spans(parts) if begin <= bad < end)
        name = part.job.asked.name(part.start + bad - begin)
        raise NumericalError(f"{name} gives NaN or infinity: the weights overflow float32")


def packed_ids(lists: Sequence[Sequence[int]]) -> Tokens:
    """Tokens from lists of ids, unchanged.

    >>> packed_ids([[101, 7, 102], [101, 102]]).cu_seqlens.tolist()
    [0, 3, 5]
    """
    ids = np.array([i for one in lists for i in one], np.int32)
    cu_seqlens = np.concatenate([[0], np.cumsum([len(one) for one in lists])])
    return Tokens(ids, np.zeros_like(ids), cu_seqlens)


@dataclass(frozen=True, slots=True, eq=False)
class VectorLane:
    """Texts to vectors; `skipped` tokens of a prompt in front of each are not pooled."""

    engine: Engine
    skipped: int = 0
    of_ids: bool = False  # whether the items are lists of token ids

    def compute(self, parts: Sequence[Part], together: bool) -> list[Rows]:
        """Rows (n, width) of each part, by its options."""
        items = items_of(parts)
        tokens = packed_ids(items) if self.of_ids else self.engine.tokenizer(items, "replace", parts[0].start)
        rows = self.engine.embed(tokens, self.skipped, together)
        check_rows(rows, parts)
        out = dealt_out(parts, tokens, rows, self.engine.checkpoint.max_seq_length)
        return [
            Rows(self.engine.shaped(own.rows, part.job.asked.options), own.tokens, own.truncated)
            for part, own in zip(parts, out, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class StateLane:
    """Texts to the hidden states of their tokens, as JSON: the largest of all answers."""

    engine: Engine

    def compute(self, parts: Sequence[Part], together: bool) -> list[Rows]:
        """Lists of bytes, each a JSON array (T, D)."""
        tokens = self.engine.tokenizer(items_of(parts), "replace", parts[0].start)
        states = np.split(self.engine.compute(tokens, together=together), tokens.cu_seqlens[1:-1])
        check_rows(np.array([[text.sum()] for text in states]), parts)
        written = [orjson.dumps(np.ascontiguousarray(text), option=orjson.OPT_SERIALIZE_NUMPY) for text in states]
        return dealt_out(parts, tokens, written, self.engine.checkpoint.max_seq_length)


@dataclass(frozen=True, slots=True, eq=False)
class CountLane:
    """Texts to their numbers of tokens, as they would be read."""

    engine: Engine

    def compute(self, parts: Sequence[Part], together: bool) -> list[Rows]:
        """Numbers, one for each text."""
        tokens = self.engine.tokenizer(items_of(parts), "replace", parts[0].start)
        return dealt_out(parts, tokens, np.diff(tokens.cu_seqlens).tolist(), self.engine.checkpoint.max_seq_length)


@dataclass(frozen=True, slots=True, eq=False)
class ScoreLane:
    """Pairs of texts, or single texts, to the logits of a cross-encoder."""

    reranker: Reranker
    of_pairs: bool = True

    def compute(self, parts: Sequence[Part], together: bool) -> list[Rows]:
        """Logits (n, L)."""
        items, tokenizer = items_of(parts), self.reranker.tokenizer
        if self.of_pairs:
            tokens = tokenizer.pairs([query for query, _ in items], [text for _, text in items])
        else:
            tokens = tokenizer(items, "replace", parts[0].start)
        pooling = self.reranker.model.checkpoint.pooling
        logits = through(self.reranker.compute.pooled(tokens, pooling, together=together), self.reranker.head)
        check_rows(logits, parts)
        return dealt_out(parts, tokens, logits, self.reranker.max_seq_length)


@dataclass(frozen=True, slots=True)
class Errand:
    """The request of a job to a tokenizer: the same function for each item."""

    items: Sequence[Any]
    work: Callable[[Any, Any], Any]  # of a tokenizers.Tokenizer and an item


@dataclass(frozen=True, slots=True, eq=False)
class TokenLane:
    """Errands of a tokenizer."""

    tokenizer: Any  # a tokenizers.Tokenizer, without truncation

    def compute(self, parts: Sequence[Part], together: bool) -> list[Rows]:
        """The result of the function for each item."""
        return [
            Rows([part.job.asked.work(self.tokenizer, item) for item in part.job.asked.items[part.start : part.stop]])
            for part in parts
        ]


@dataclass(frozen=True, slots=True, eq=False)
class SearchLane:
    """Vectors to the most similar rows of an index."""

    index: Index

    def compute(self, parts: Sequence[Part], together: bool) -> list[Rows]:
        """Lists of hits, one for each vector; each item is a number k and vectors (Q, D)."""
        threads = None if together else 1
        return [Rows([self.index.search(x, k, threads=threads) for k, x in part.job.asked.items]) for part in parts]
