"""The numba tier of `top_k`: what is found by kernels/scan.py, by threads that share the corpus out by pieces."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minembed import scan as tier
from minembed import topk
from minembed.corpus import ZERO_POINT, QuantizedCorpus
from minembed.kernels.packing import aligned, panels
from minembed.kernels.scan import ROWS, UNSAFE, drop_all, rescore_rows, scan_bytes, scan_rows
from minembed.kernels.tiles import PANEL, TILE_ROWS
from minembed.params import Array
from minembed.quantization import pad_to
from minembed.threads import run
from minembed.topk import COSINE, EUCLIDEAN, LANES, MANHATTAN, Search, pieces

ENTRIES = 1 << 21
PIECE = 1 << 15  # rows that a thread takes at a time
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
    if quantized is not None and search.metric != MANHATTAN and _is_worth_rounding(search.lengths):
        margins, go = _scan_quantized(search, queries, quantized)
        plain = True
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
    return _join(search, corpus, margins, list(idle))


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
    return len(lengths) <= PANEL // 2 and bool(((lengths == 0) | ((lengths > 1e-15) & (lengths < 1e15))).all())


def _scan_quantized(search: Search, queries: Array, corpus: QuantizedCorpus) -> tuple[Array, Scan]:
    """Queries as int8 columns; the margin is what both roundings can do: |q| |x - x'| + |q - q'| |x'|."""
    number, width = len(queries), corpus.levels.shape[1]
    rest = PANEL // 2  # that half of the panel is free: it takes what is rounded off
    columns = np.zeros((width, pad_to(number, PANEL)), np.int8)
    scales, left = np.zeros(columns.shape[1], np.float32), search.queries.copy()
    for first in (0, rest):
        own = slice(first, first + number)
        scales[own] = np.abs(left).max(axis=1, initial=0) / 127
        steps = np.where(scales[own] == 0, np.float32(1), scales[own]).astype(np.float64)[:, None]
        whole = np.clip(np.rint(left / steps), -127, 127)
        columns[: queries.shape[1], own], left = whole.T, left - whole * steps
    off = np.sqrt((left * left).sum(axis=1))
    packed, sums = panels(columns, PANEL, 4, width), columns.sum(axis=0, dtype=np.int32)
    plain = np.ascontiguousarray(columns[:, [0, rest]].T).view(np.uint8).reshape(-1)  # for a single query
    error, length = corpus.errors.astype(np.float64), corpus.lengths.astype(np.float64)
    if search.metric == COSINE:
        error, length = error / np.where(length == 0, 1, length), np.ones(1)
    worst, longest = float(error.max()), float(length.max())
    margin = search.lengths * worst + off * (longest + worst)
    margin += 16 * topk.SINGLE * (search.lengths + off) * (longest + worst)
    if search.metric == EUCLIDEAN:
        margin = 2 * margin + 16 * topk.SINGLE * longest**2 + search.margins(topk.SINGLE)[0]
    margins = np.stack([margin * (1 + 1e-6) + 2.0**-126, 0 * margin, 0 * margin])
    coefficients, levels = _up(margins), _flat(corpus.levels)
    zero_points = np.full(TILE_ROWS, ZERO_POINT, np.int32)
    row_scales, lengths = _flat(corpus.scales), _flat(corpus.lengths)

    def go(begin: int, end: int, f: Found) -> int:
        stopped: int = scan_bytes(
            levels, row_scales, lengths, begin, end, width, packed, plain, scales, sums, zero_points, number, rest,
            search.metric, search.k, coefficients, f.longest, f.counts, f.values, f.indices, f.thresholds, f.capacity,
            f.room,
        )  # fmt: skip
        return stopped

    return margins, go


def _flat(array: Array) -> Array:
    """One read-only row of numbers: mapped files are read-only, and Numba compiles for either."""
    flat = array.view(np.ndarray).reshape(-1)
    flat.flags.writeable = False
    return flat


def _up(margins: Array) -> Array:
    return np.nextafter(margins.astype(np.float32), np.float32(np.inf)).reshape(-1)


def _join(search: Search, corpus: Array, margins: Array, lists: list[Found]) -> tuple[Array, Array]:
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
    return held[0], held[1]


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
