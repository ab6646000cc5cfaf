"""The numba tier of `top_k`: what is found by kernels/scan.py, by threads that share the corpus out by pieces."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from minembed import topk
from minembed.kernels.packing import aligned, panels
from minembed.kernels.scan import ROWS, UNSAFE, drop_all, rescore_rows, scan_rows
from minembed.kernels.tiles import PANEL, TILE_ROWS
from minembed.params import Array
from minembed.threads import run
from minembed.topk import LANES, Search, pieces

PIECE = 1 << 15  # rows that a thread takes at a time
WORTH_A_THREAD = 20_000_000  # multiplications, below which a second thread costs more than it saves


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
        """Lists without an entry."""
        capacity = 2 * k + 3 * ROWS
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


def scan(search: Search, corpus: Array, threads: int) -> tuple[Array, Array]:
    """Find (query, row) of every row that could be among the k best."""
    number, width = search.queries.shape
    with np.errstate(over="ignore"):
        queries = np.ascontiguousarray(search.queries, np.float32)
    if not np.isfinite(queries).all():
        return topk.scan_numpy(search, corpus, threads)
    packed = panels(np.ascontiguousarray(queries.T), PANEL, 1, width)
    plain = corpus.dtype == np.float32 and corpus.flags.c_contiguous
    small = number * corpus.size < WORTH_A_THREAD
    size = len(corpus) if small else min(PIECE, -(-len(corpus) // threads)) if plain else topk.BLOCK
    idle: deque[Found] = deque()
    margins = search.margins(topk.SINGLE)

    def work(piece: tuple[int, int]) -> bool:
        try:
            found = idle.pop()
        except IndexError:
            found = Found.make(number, search.k)
        safe = _scan_piece(search, corpus, piece, plain, packed, queries.reshape(-1), margins, found)
        idle.append(found)
        return safe

    results = [safe for _, safe in run(work, list(pieces(len(corpus), size)), 1 if small else threads)]
    if not all(results):
        return topk.scan_numpy(search, corpus, threads)
    for f in idle:
        drop_all(
            number, search.k, margins.astype(np.float32).reshape(-1), f.longest, f.counts, f.values, f.indices,
            f.thresholds, f.capacity, f.room,
        )  # fmt: skip
    everyone = np.arange(number)
    parts = [f.entries(everyone) for f in idle]
    held = tuple(np.concatenate(part) for part in zip(*parts, strict=True))
    longest = max(float(f.longest[0]) for f in idle)
    held, _ = topk.keep(search, corpus, held, np.full(number, -np.inf), topk.margin_for(margins, longest))
    return held[0], held[1]


def _scan_piece(
    search: Search,
    corpus: Array,
    piece: tuple[int, int],
    plain: bool,
    packed: Array,
    queries: Array,
    margins: Array,
    f: Found,
) -> bool:
    """Scan some rows; False where float32 is not enough."""
    begin, end = piece
    offset = 0
    rows = corpus
    if not plain:
        with np.errstate(over="ignore"):  # what overflows is found by its length
            rows, offset, begin, end = np.ascontiguousarray(corpus[begin:end], np.float32), begin, 0, end - begin
    flat = rows.view(np.ndarray).reshape(-1)
    flat.flags.writeable = False
    coefficients = np.nextafter(margins.astype(np.float32), np.float32(np.inf)).reshape(-1)
    number, width = search.queries.shape
    while begin < end:
        begin = scan_rows(
            flat, begin, end, offset, width, packed, queries, number, search.metric, search.k, coefficients, f.longest,
            f.counts, f.values, f.indices, f.thresholds, f.capacity, f.room,
        )  # fmt: skip
        if begin == UNSAFE:
            return False
        if begin < end:
            _make_room(search, corpus, margins, f)
    return True


def _make_room(search: Search, corpus: Array, margins: Array, f: Found) -> None:
    """Of lists full of rows too alike for float32, keep the k best by their float64 scores."""
    margin = topk.margin_for(margins, float(f.longest[0]))
    for query in np.flatnonzero(f.counts > f.capacity - ROWS):
        own = Search(search.queries[query : query + 1], search.lengths[query : query + 1], search.k, search.metric)
        _, row, value = f.entries(np.array([query]))
        (_, row, value), floor = topk.keep_exact(own, corpus, (np.zeros(len(row), np.int64), row, value))
        part = slice(query * f.capacity, query * f.capacity + len(row))
        f.indices[part], f.values[part], f.counts[query] = row, value, len(row)
        reached = np.float32(floor[0] - margin[query])
        f.thresholds[query] = max(f.thresholds[query], np.nextafter(reached, np.float32(-np.inf)))


def rescore(search: Search, corpus: Array, which: Array, found: Array, threads: int) -> Array:
    """The float64 scores of pairs of a query and a row, bit for bit those of the NumPy tier."""
    if corpus.dtype != np.float32 or not corpus.flags.c_contiguous:
        return topk.rescore_numpy(search, corpus, which, found, threads)
    scores = np.empty(len(which))
    flat = corpus.view(np.ndarray).reshape(-1)
    flat.flags.writeable = False
    queries = np.ascontiguousarray(search.queries).reshape(-1)
    width = search.queries.shape[1]

    def work(part: tuple[int, int]) -> None:
        room = np.zeros(2 * LANES)
        rescore_rows(flat, width, queries, search.metric, which, found, *part, room, scores)

    for _ in run(work, list(pieces(len(which), topk.PAIRS)), threads):
        pass
    return scores
