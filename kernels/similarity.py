"""The numba tier of `top_k`: what is found by kernels/scan.py, by threads that share the corpus out by pieces."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed import scan as tier
from minembed import topk
from minembed.corpus import ZERO_POINT, QuantizedCorpus
from minembed.kernels.candidates import ROWS, drop_all
from minembed.kernels.packing import aligned, panels
from minembed.kernels.rescoring import rescore_rows
from minembed.kernels.scan import UNSAFE, scan_bytes, scan_rows
from minembed.kernels.tiles import PANEL, TILE_ROWS
from minembed.params import Array
from minembed.threads import run
from minembed.topk import COSINE, EUCLIDEAN, LANES, MANHATTAN, Search, pieces

ENTRIES = 1 << 21
PIECE = 1 << 15  # rows that a thread takes at a time
REST = PANEL // 2  # where in a panel the second roundings of queries begin
WORTH_A_THREAD = 20_000_000  # multiplications, below which a second thread costs more than it saves


Scan = Callable[[int, int, "Found"], int]


@dataclass(frozen=True, slots=True)
class Found:
    """The lists of one thread; their contents change."""

    counts: Array  # (Q,) int64
    values: Array  # (Q * capacity,) float32
    indices: Array  # (Q * capacity,) int64
    thresholds: Array  # (Q, padded to panels) float32
    longest: Array  # (1,) float32
    room: Array  # float32
    capacity: int

    @classmethod
    def make(cls, number: int, k: int) -> "Found":
        """Lists without an entry, of some million entries in all where that is enough."""
        capacity = 2 * k + max(3 * ROWS, min(8 * k + 4096, ENTRIES // number))
        thresholds = np.full(-(-number // PANEL) * PANEL, np.inf, np.float32)
        thresholds[:number] = -np.inf
        room = aligned(2 * PANEL + TILE_ROWS * PANEL + 3 * ROWS + capacity, np.float32)
        lists = np.empty(number * capacity, np.float32), np.empty(number * capacity, np.int64)
        return cls(np.zeros(number, np.int64), *lists, thresholds, np.zeros(1, np.float32), room, capacity)

    def entries(self, queries: Array) -> tuple[Array, Array, Array]:
        """Query, row and value of what some queries hold."""
        places = [q * self.capacity + np.arange(self.counts[q]) for q in queries.tolist()]
        place = np.concatenate([np.zeros(0, np.int64), *places])
        return np.repeat(queries, self.counts[queries]), self.indices[place], self.values[place]


def scan(search: Search, corpus: Array, threads: int, quantized: QuantizedCorpus | None = None) -> tuple[Array, Array]:
    """Find (query, row) of every row that could be among the k best, on the rows or on what they were quantised to."""
    with np.errstate(over="ignore"):
        queries = np.ascontiguousarray(search.queries, np.float32)
    if not np.isfinite(queries).all():
        return tier.scan_numpy(search, corpus, threads)
    rounded = None
    if quantized is not None and search.metric != MANHATTAN and _is_worth_rounding(search.lengths):
        rounded = Rounded.of(search, quantized)
        margins, plain = rounded.margins(), True
        go = _scan_quantized(rounded, search, quantized, margins)
    else:
        margins, plain = search.margins(topk.SINGLE), corpus.dtype == np.float32 and corpus.flags.c_contiguous
        go = _scan_floats(search, queries, corpus, plain, margins)
    small = len(queries) * corpus.size < WORTH_A_THREAD
    size = len(corpus) if small else _piece(len(corpus), threads) if plain else tier.BLOCK
    idle: deque[Found] = deque()

    def work(piece: tuple[int, int]) -> bool:
        try:
            found = idle.pop()
        except IndexError:
            found = Found.make(len(queries), search.k)
        begin, end = piece
        while begin < end:
            begin = go(begin, end, found)
            if begin == UNSAFE:
                return False
            if begin < end:
                _make_room(search, corpus, margins, found)
        idle.append(found)
        return True

    if not all([safe for _, safe in run(work, list(pieces(len(corpus), size)), 1 if small else threads)]):
        return tier.scan_numpy(search, corpus, threads)
    held = _join(search, corpus, margins, list(idle))
    if rounded is not None:
        held = _thin(search, corpus, held, rounded, threads)
    return held[0], held[1]


def _piece(rows: int, threads: int) -> int:
    """How many rows a thread takes at a time: about PIECE, and each of them as often."""
    turns = -(-rows // (threads * PIECE))
    return -(-rows // (threads * turns))


def _scan_floats(search: Search, queries: Array, corpus: Array, plain: bool, margins: Array) -> Scan:
    number, width = queries.shape
    packed, flat_queries = panels(np.ascontiguousarray(queries.T), PANEL, 1, width), queries.reshape(-1)
    coefficients = _up(margins)

    def go(begin: int, end: int, f: Found) -> int:
        offset, rows = 0, corpus
        if not plain:
            with np.errstate(over="ignore"):  # what overflows is found by its length
                rows, offset = np.ascontiguousarray(corpus[begin:end], np.float32), begin
        stopped: int = scan_rows(
            _flat(rows), begin - offset, end - offset, offset, width, packed, flat_queries, number, search.metric,
            search.k, coefficients, f.longest, f.counts, f.values, f.indices, f.thresholds, f.capacity, f.room,
        )  # fmt: skip
        return stopped if stopped == UNSAFE else stopped + offset

    return go


def _is_worth_rounding(lengths: Array) -> bool:
    """Whether few queries wait for the memory, and no product of theirs with a quantised row might leave float32."""
    return len(lengths) <= REST and bool(((lengths == 0) | ((lengths > 1e-15) & (lengths < 1e15))).all())


@dataclass(frozen=True, slots=True)
class Rounded:
    """Queries as int8 columns of a panel, of which one half holds the queries, and the other what was rounded off."""

    search: Search
    corpus: QuantizedCorpus
    columns: Array  # (width, PANEL) int8
    scales: Array  # (PANEL,) float32
    off: Array  # (Q,) float64: the length of what is still left of a query

    @classmethod
    def of(cls, search: Search, corpus: QuantizedCorpus) -> "Rounded":
        """Round the queries twice."""
        (number, D), width = search.queries.shape, corpus.levels.shape[1]
        columns = np.zeros((width, PANEL), np.int8)
        scales, left = np.zeros(PANEL, np.float32), search.queries.copy()
        for first in (0, REST):
            own = slice(first, first + number)
            scales[own] = np.abs(left).max(axis=1, initial=0) / 127
            steps = np.where(scales[own] == 0, np.float32(1), scales[own]).astype(np.float64)[:, None]
            whole = np.clip(np.rint(left / steps), -127, 127)
            columns[:D, own], left = whole.T, left - whole * steps
        return cls(search, corpus, columns, scales, np.sqrt((left * left).sum(axis=1)))

    def margins(self) -> Array:  # (3, Q), as Search.margins
        """How far a value may be from the true one in any row."""
        errors, lengths = self.corpus.errors, self.corpus.lengths
        if self.search.metric == COSINE:
            errors, lengths = errors / np.where(lengths == 0, np.float32(1), lengths), np.ones(1)
        margin = self._margin(float(errors.max()) * (1 + 1e-6), float(lengths.max()), slice(None))
        return np.stack([margin, 0 * margin, 0 * margin])

    def margins_of(self, which: Array, found: Array) -> Array:  # (m,), (m,) -> (m,)
        """The same for each pair of a query and a row: most rows are rounded less than the worst of them."""
        errors, lengths = (x[found].astype(np.float64) for x in (self.corpus.errors, self.corpus.lengths))
        if self.search.metric == COSINE:
            errors, lengths = errors / np.where(lengths == 0, 1, lengths), np.ones(1)
        return self._margin(errors, lengths, which)

    def _margin(self, error: Any, length: Any, which: Any) -> Array:
        """What both roundings can do: |q| |x - x'| + |q - q'| |x'|, and what float32 does to the sums."""
        own, off = self.search.lengths[which], self.off[which]
        margin = own * error + off * (length + error)
        margin = margin + 16 * topk.SINGLE * (own + off) * (length + error)
        if self.search.metric == EUCLIDEAN:
            margin = 2 * margin + 16 * topk.SINGLE * length**2 + self.search.margins(topk.SINGLE)[0][which]
        return margin * (1 + 1e-6) + 2.0**-126


def _scan_quantized(rounded: Rounded, search: Search, corpus: QuantizedCorpus, margins: Array) -> Scan:
    number, width, columns = len(search.lengths), corpus.levels.shape[1], rounded.columns
    packed, sums = panels(columns, PANEL, 4, width), columns.sum(axis=0, dtype=np.int32)
    plain = np.ascontiguousarray(columns[:, [0, REST]].T).view(np.uint8).reshape(-1)  # for a single query
    coefficients, levels = _up(margins), _flat(corpus.levels)
    zero_points = np.full(TILE_ROWS, ZERO_POINT, np.int32)
    row_scales, lengths = _flat(corpus.scales), _flat(corpus.lengths)

    def go(begin: int, end: int, f: Found) -> int:
        stopped: int = scan_bytes(
            levels, row_scales, lengths, begin, end, width, packed, plain, rounded.scales, sums, zero_points, number,
            REST, search.metric, search.k, coefficients, f.longest, f.counts, f.values, f.indices, f.thresholds,
            f.capacity, f.room,
        )  # fmt: skip
        return stopped

    return go


def _flat(array: Array) -> Array:
    """One read-only row of numbers: mapped files are read-only, and Numba compiles for either."""
    flat = array.view(np.ndarray).reshape(-1)
    flat.flags.writeable = False
    return flat


def _up(margins: Array) -> Array:
    return np.nextafter(margins.astype(np.float32), np.float32(np.inf)).reshape(-1)


def _join(search: Search, corpus: Array, margins: Array, lists: list[Found]) -> tuple[Array, Array, Array]:
    """What all threads found, without what k others surely beat."""
    number = len(search.lengths)
    for f in lists:
        drop_all(
            number, search.k, _up(margins), f.longest, f.counts, f.values, f.indices, f.thresholds, f.capacity, f.room
        )  # fmt: skip
    parts = [f.entries(np.arange(number)) for f in lists]
    held = tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    longest = max(float(f.longest[0]) for f in lists)
    held, _ = tier.keep(search, corpus, held, np.full(number, -np.inf), tier.margin_for(margins, longest))
    return held


def _thin(search: Search, corpus: Array, held: Any, rounded: Rounded, threads: int) -> Any:
    """Drop candidates that cannot reach the true scores of the k best so far, each by its own margin."""
    which, row, value = held
    best = topk.best_of(search, which, row, value)
    first = best.reshape(-1)
    scores = rescore(search, corpus, which[first], row[first], threads)
    floors = search.scan_value(scores, which[first]).reshape(best.shape).min(axis=1)
    kept = value + rounded.margins_of(which, row) >= floors[which]  # the margins have room for float64's rounding
    return which[kept], row[kept], value[kept]


def _make_room(search: Search, corpus: Array, margins: Array, f: Found) -> None:
    """Of lists full of rows too alike for float32, keep the k best by their float64 scores."""
    margin = tier.margin_for(margins, float(f.longest[0]))
    for query in np.flatnonzero(f.counts > f.capacity - ROWS):
        own = Search(search.queries[query : query + 1], search.lengths[query : query + 1], search.k, search.metric)
        _, row, value = f.entries(np.array([query]))
        (_, row, value), floor = tier.keep_exact(own, corpus, (np.zeros(len(row), np.int64), row, value), rescore)
        part = slice(query * f.capacity, query * f.capacity + len(row))
        f.indices[part], f.values[part], f.counts[query] = row, value, len(row)
        reached = np.float32(floor[0] - margin[query])
        f.thresholds[query] = max(f.thresholds[query], np.nextafter(reached, np.float32(-np.inf)))


def rescore(search: Search, corpus: Array, which: Array, found: Array, threads: int) -> Array:
    """The float64 scores of pairs of a query and a row, bit for bit those of the NumPy tier."""
    if corpus.dtype != np.float32 or not corpus.flags.c_contiguous:
        return tier.rescore_numpy(search, corpus, which, found, threads)
    scores = np.empty(len(which))
    flat = _flat(corpus)
    queries = np.ascontiguousarray(search.queries).reshape(-1)
    width = search.queries.shape[1]

    def work(part: tuple[int, int]) -> None:
        room = np.zeros(2 * LANES)
        rescore_rows(flat, width, queries, search.metric, which, found, *part, room, scores)

    for _ in run(work, list(pieces(len(which), tier.PAIRS)), threads):
        pass
    return scores
