"""Search of a corpus in parts, each in a separate process: the search of a part, and the exact merge."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path  # noqa: F401, for the examples
from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.jobs.indexing import finished_plan, rows_of
from minembed.runtime.store import Place, StorePath
from minembed.search.index_blocks import Block, Record, code, coded_rows, locate, pack_bits, records_of
from minembed.search.index_files import MANIFEST, Facts, read_manifest
from minembed.search.index_scanning import hamming, search, search_bits
from minembed.search.index_stored import Stored, blocks_of, facts_in
from minembed.search.soundness import Sound
from minembed.types import Array, Backend, IndexPrecision


@dataclass(frozen=True, slots=True)
class Corpus:
    """The corpus, an index or the shards of a finished job, and its division into parts."""

    folder: Place
    facts: Facts
    state: Any  # must be the same on every node
    sizes: tuple[int, ...]  # the rows of an index, as one number; or the texts of each shard
    is_index: bool

    def spans(self, parts: int) -> list[tuple[int, int]]:
        """The start and end of each part, in rows or in shards; at most as many parts as there are of these.

        >>> Corpus(None, None, None, (10,), True).spans(3), Corpus(None, None, None, (5, 5), False).spans(3)
        ([(0, 3), (3, 6), (6, 10)], [(0, 1), (1, 2)])
        """
        units = self.sizes[0] if self.is_index else len(self.sizes)
        parts = max(1, min(parts, units))
        return [(units * i // parts, units * (i + 1) // parts) for i in range(parts)]


def corpus_of(folder: Place, precision: IndexPrecision | None = None) -> Corpus:
    """The index or finished job in a folder; `precision` is that of the scan in parts of a job.

    Raises InputError if there is neither, or the vectors of the job cannot be searched; IndexFileError for a damaged
    index.

    >>> corpus_of(Path("no such folder"))
    Traceback (most recent call last):
    minembed.errors.InputError: no such folder holds no job: minembed embed INPUT -o no such folder/ begins one
    """
    if not isinstance(folder, StorePath) and (folder / MANIFEST).exists():
        body = read_manifest(folder)
        facts = facts_in(body)
        if precision not in (None, facts.precision):
            raise InputError(f"{folder} is an index in {facts.precision}: precision is of the shards of a job")
        return Corpus(folder, facts, body["parts"], (sum(part["count"] for part in body["parts"]),), True)
    plan = finished_plan(folder)
    model = plan.search["model"]
    facts = Facts(len(model["probe"]), plan.search["metric"], precision or "float32", model)
    return Corpus(folder, facts, plan.identity(), tuple(shard.texts for shard in plan.shards), False)


@dataclass(frozen=True, slots=True)
class Found:
    """The results of a part: for each query its m best rows, best first."""

    scores: Array  # (Q, m) float64
    positions: Array  # (Q, m) int64, among the rows of the part
    distances: Array | None  # (Q, m): differing bits, if the corpus is binary
    records: list[Record]  # Q x m; empty if not requested


class Part:
    """Some rows of a corpus, open."""

    def __init__(self, corpus: Corpus, span: tuple[int, int]) -> None:
        self._corpus, self._span = corpus, span
        self._blocks: list[Block] | None = None

    def here(self) -> bool:
        """Return True once the process of this part runs."""
        return True

    def count(self) -> int:
        """Open the part, if it is not open yet, and count its rows."""
        return sum(block.count for block in self._opened())

    def _opened(self) -> list[Block]:
        if self._blocks is None:
            self._blocks = _index_part(self._corpus, self._span) if self._corpus.is_index else self._job_part()
        return self._blocks

    def _job_part(self) -> list[Block]:
        corpus, (first, last) = self._corpus, self._span
        plan = finished_plan(corpus.folder)
        _check_state(corpus, plan.identity())
        ends = np.cumsum([0, *corpus.sizes])
        wanted = np.zeros(ends[-1], bool)
        wanted[ends[first] : ends[last]] = True
        vectors = np.empty((int(ends[last] - ends[first]), corpus.facts.dimension), np.float32)
        records, start = list[Record](), 0
        for rows in rows_of(corpus.folder, plan, wanted):
            vectors[start : start + len(rows.vectors)] = rows.vectors
            start += len(rows.vectors)
            records += rows.records
        return [Block(vectors, code(vectors, corpus.facts.precision), records, range(len(vectors)))]

    def search(
        self, queries: Array, k: int, multiplier: int, backend: Backend, threads: int | None, with_records: bool
    ) -> Found:
        """Find the best rows of this part for each query; for a binary corpus all its candidates."""
        blocks, facts = self._opened(), self._corpus.facts
        if facts.precision == "binary":
            scores, positions = search_bits(blocks, queries, k * multiplier, facts.metric, 1, backend, threads)
            distances = _distances(blocks, queries, positions)
        else:
            scores, positions = search(blocks, queries, k, facts.metric, backend, threads)
            distances = None
        return Found(scores, positions, distances, records_of(blocks, positions.reshape(-1)) if with_records else [])


def _check_state(corpus: Corpus, state: Any) -> None:
    if state != corpus.state:
        raise InputError(f"{corpus.folder} changed since it was opened: open it again")


def _index_part(corpus: Corpus, span: tuple[int, int]) -> list[Block]:
    """A range of rows of an index, memory-mapped."""
    assert not isinstance(corpus.folder, StorePath)
    body = read_manifest(corpus.folder)
    _check_state(corpus, body["parts"])
    found, start = list[Block](), 0
    for block in blocks_of(corpus.folder, body, corpus.facts):
        size = len(block.vectors)
        first, last = max(span[0] - start, 0), min(span[1] - start, size)
        if first < last:
            found.append(_cut(block, first, last))
        start += size
    return found


def _cut(block: Block, first: int, last: int) -> Block:
    return replace(
        block,
        vectors=block.vectors[first:last],
        coded=coded_rows(block.coded, slice(first, last)),
        records=_Window(block.records, first, last),
        serials=block.serials[first:last],
        alive=None if block.alive is None else block.alive[first:last],
        sound=_Cut(block.sound, first, last, len(block.vectors)),
    )


class _Window(Sequence[Record]):
    """A range of records of a sequence, each read when it is accessed."""

    def __init__(self, records: Sequence[Record], first: int, last: int) -> None:
        self._records, self._first, self._last = records, first, last

    def __len__(self) -> int:
        return self._last - self._first

    def __getitem__(self, i: Any) -> Any:
        return self._records[self._first + i]


class _Cut(Sound):
    """What is known of some rows of a part."""

    def __init__(self, whole: Sound, first: int, last: int, count: int) -> None:
        self._whole, self._first, self._last, self._count = whole, first, last, count

    def coded(self) -> None:
        """The quantised form for scanning, only of these rows if it is in a file."""
        if not isinstance(self._whole, Stored):
            return self._whole.coded()
        for name, (start, end) in self._whole.spans.items():
            if name not in ("offsets", "vectors"):
                size = (end - start) // self._count
                self._whole.file.check(start + self._first * size, start + self._last * size)

    def vectors(self, rows: Array | None = None) -> None:
        """The vectors of some rows; by default of all."""
        if rows is None:
            rows = np.arange(self._last - self._first)
        self._whole.vectors(rows + self._first)


def _distances(blocks: Sequence[Block], queries: Array, positions: Array) -> Array:  # (Q, m) -> (Q, m) uint32
    found = np.empty(positions.shape, np.uint32)
    for i, bits in enumerate(pack_bits(queries)):
        for block, which, rows in locate(blocks, positions[i]):
            assert isinstance(block.coded, np.ndarray)
            found[i, which] = hamming(block.coded[rows], bits)
    return found


def merged(found: Sequence[Found], counts: Sequence[int], k: int, multiplier: int) -> tuple[Array, Array, Array]:
    """Merge the results of parts: (Q, min(k, N)) scores, positions among all rows, and places among the results.

    They are the same rows with the same scores as from a search of all rows at once, in the same order: for equal
    scores, the earlier row comes first.

    >>> one = Found(np.array([[3.0, 2.0]]), np.array([[1, 0]]), None, [])
    >>> [a.tolist() for a in merged([one, one], [2, 2], 3, 1)]
    [[[3.0, 3.0, 2.0]], [[1, 3, 0]], [[0, 2, 1]]]
    """
    starts = np.cumsum([0, *counts])[:-1]
    scores = np.concatenate([one.scores for one in found], axis=1)
    positions = np.concatenate([one.positions + start for one, start in zip(found, starts, strict=True)], axis=1)
    k = min(k, sum(counts))
    places = np.empty((len(scores), k), np.int64)
    for i in range(len(scores)):
        some = np.arange(scores.shape[1])
        if found[0].distances is not None:
            distances = np.concatenate([one.distances[i] for one in found if one.distances is not None])
            some = np.lexsort((positions[i], distances))[: k * multiplier]
        places[i] = some[np.lexsort((positions[i, some], -scores[i, some]))[:k]]
    return np.take_along_axis(scores, places, 1), np.take_along_axis(positions, places, 1), places
