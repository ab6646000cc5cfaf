"""The models of a server: their names, their lanes, and making jobs from requests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from minembed.errors import InputError
from minembed.models.embedder import Embedder
from minembed.models.engine import find_prompt
from minembed.models.options import Options
from minembed.models.reranker import Reranker
from minembed.search.index import Index
from minembed.serve.lanes import (
    Asked,
    CountLane,
    Errand,
    ScoreLane,
    SearchLane,
    StateLane,
    TokenLane,
    VectorLane,
    numbered,
)
from minembed.serve.queue import Job, Lane

PER_TOKEN = 4  # ASCII characters per token, about; every other character counts as one token
SPECIAL = 3  # tokens per text
LONGEST_PROMPT = 10_000  # characters: it is copied for every text of a request
CHEAPER = 100  # characters tokenized in the time of encoding one token, about


def prompted(prompt: str, texts: Sequence[str]) -> Sequence[str]:
    """The texts with a prompt in front of each.

    >>> prompted("query: ", ["a"]), prompted("", ["a"])
    (['query: a'], ['a'])
    """
    return [prompt + text for text in texts] if prompt else texts


def estimate(text: str, limit: int) -> int:
    """An estimate of the number of tokens of a text that are read, without tokenizing it.

    >>> estimate("a short text", 512), estimate("word " * 10000, 512)
    (6, 512)
    """
    return min(limit, SPECIAL + (len(text) // PER_TOKEN if text.isascii() else len(text)))


ROWS = 1000  # of an index compared in the time of encoding one token, about


@dataclass(frozen=True, slots=True, eq=False)
class ServedEmbedder:
    """An embedding model under its name."""

    name: str
    model: Embedder
    created: int  # seconds since 1970: when it was loaded
    strict: bool = False  # whether texts with too many tokens are errors, unless a request says otherwise
    lanes: dict[int | str, Lane] = field(default_factory=dict)  # by the tokens that are skipped, and by kind

    @property
    def limit(self) -> int:
        """How many tokens of a text are read."""
        return self.model.max_seq_length

    def prompt(self, options: Options) -> str:
        """The text in front of every text; raises InputError if there is no such prompt, or if it is too long."""
        prompt = find_prompt(self.model.checkpoint, options)
        if len(prompt) > LONGEST_PROMPT:
            raise InputError(f"the prompt has {len(prompt)} characters: give up to {LONGEST_PROMPT}")
        return prompt

    def vectors(
        self,
        texts: Sequence[str],
        options: Options,
        truncate: bool | None = None,
        name: Callable[[int], str] = numbered,
    ) -> Job:
        """The job of encoding texts; raises InputError for options that the model does not have."""
        engine = self.model.engine
        engine.width(options.truncate_dim)
        prompt = self.prompt(options)
        skipped = engine.skipped(prompt)
        lane = self.lanes.get(skipped)
        if lane is None:
            lane = self.lanes[skipped] = VectorLane(engine, skipped)
        return self._job(lane, prompted(prompt, texts), options, truncate, name)

    def vectors_of_ids(self, lists: Sequence[Sequence[int]], options: Options) -> Job:
        """The job of encoding lists of token ids, including special ones; raises InputError for invalid ids."""
        engine = self.model.engine
        engine.width(options.truncate_dim)
        for i, ids in enumerate(lists):
            if not ids or len(ids) > self.limit:
                raise InputError(f"item {i} has {len(ids)} token ids: give 1 to {self.limit}")
            if min(ids) < 0 or max(ids) >= self.model.config.vocab_size:
                raise InputError(f"item {i} has a token id outside 0 to {self.model.config.vocab_size - 1}")
        lane = self.lanes.setdefault("ids", VectorLane(engine, of_ids=True))
        return Job(lane, Asked(lists, options), [len(ids) for ids in lists])

    def states(self, texts: Sequence[str], options: Options, truncate: bool | None = None) -> Job:
        """The job of computing the hidden states of each text's tokens."""
        prompt = self.prompt(options)
        lane = self.lanes.setdefault("states", StateLane(self.model.engine))
        return self._job(lane, prompted(prompt, texts), options, truncate)

    def counts(self, texts: Sequence[str], options: Options, truncate: bool | None = None) -> Job:
        """The job of counting each text's tokens."""
        lane = self.lanes.setdefault("counts", CountLane(self.model.engine))
        return self._job(lane, prompted(self.prompt(options), texts), options, truncate)

    def errand(self, items: Sequence[Any], work: Callable[[Any, Any], Any]) -> Job:
        """A job for the tokenizer: `work(tokenizer, item)` for each item."""
        lane = self.lanes.setdefault("tokens", TokenLane(self.model.engine.tokenizer.reference))
        return Job(lane, Errand(items, work), [1 + len(item) // CHEAPER for item in items])

    def _job(
        self,
        lane: Lane,
        texts: Sequence[str],
        options: Options,
        truncate: bool | None,
        name: Callable[[int], str] = numbered,
    ) -> Job:
        strict = self.strict if truncate is None else not truncate
        limit = self.limit
        return Job(lane, Asked(texts, options, strict, name), [estimate(text, limit) for text in texts])


@dataclass(frozen=True, slots=True, eq=False)
class ServedReranker:
    """A cross-encoder under its name."""

    name: str
    model: Reranker
    created: int
    strict: bool
    of_pairs: ScoreLane
    of_texts: ScoreLane

    @property
    def limit(self) -> int:
        """How many tokens of a pair are read."""
        return self.model.max_seq_length

    def scores(
        self, pairs: Sequence[tuple[str, str]], truncate: bool | None = None, name: Callable[[int], str] = numbered
    ) -> Job:
        """The job of computing the logits of pairs."""
        limit = self.limit
        sizes = [min(limit, estimate(query, limit) + estimate(text, limit)) for query, text in pairs]
        return Job(self.of_pairs, Asked(pairs, strict=self._strict(truncate), name=name), sizes)

    def scores_of_texts(
        self, texts: Sequence[str], truncate: bool | None = None, name: Callable[[int], str] = numbered
    ) -> Job:
        """The job of computing the logits of texts, for a model that reads one at a time."""
        asked = Asked(texts, strict=self._strict(truncate), name=name)
        return Job(self.of_texts, asked, [estimate(text, self.limit) for text in texts])

    def _strict(self, truncate: bool | None) -> bool:
        return self.strict if truncate is None else not truncate


@dataclass(frozen=True, slots=True, eq=False)
class ServedIndex:
    """An index under its name, with the model that embedded its texts."""

    name: str
    index: Index
    embedder: ServedEmbedder
    lane: SearchLane

    def search(self, vectors: Any, k: int) -> Job:
        """The job of finding the rows that are most similar to one or several vectors."""
        return Job(self.lane, Asked([(k, vectors)]), [1 + len(vectors) * len(self.index) // ROWS])


@dataclass(frozen=True, slots=True, eq=False)
class Models:
    """All models and indexes of a server; the first of each kind answers if a request names none."""

    embedders: Mapping[str, ServedEmbedder]
    rerankers: Mapping[str, ServedReranker] = field(default_factory=dict)
    indexes: Mapping[str, ServedIndex] = field(default_factory=dict)

    def first(self) -> "ServedEmbedder | ServedReranker":
        """The model that a server with several is described by: also that of an index, if there is nothing else."""
        own: list[ServedEmbedder | ServedReranker] = [*self.embedders.values(), *self.rerankers.values()]
        return own[0] if own else next(iter(self.indexes.values())).embedder


def short_name(name: str) -> str:
    """The last part of a name or a folder, which is also accepted as the name of a model.

    >>> short_name("sentence-transformers/all-MiniLM-L6-v2")
    'all-MiniLM-L6-v2'
    """
    return PurePath(name).name or name
