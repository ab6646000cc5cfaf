"""The numba tier of `top_k`: runs kernels/topk/scan.py on threads that take pieces of the corpus in turn."""

from collections import deque
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.encoder.packing import panels
from minembed.kernels.entries import Entries
from minembed.kernels.helpers import share
from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.kernels.topk.lists import DONE, FULL, ROWS, UNSAFE, Lists, Span
from minembed.search import scan as tier
from minembed.search.metrics import EUCLIDEAN, FLOAT32_UNIT, PARTIAL_SUMS, SHORTEST_DISTANCE
from minembed.search.quantized import ZERO_POINT, QuantizedCorpus
from minembed.search.topk import Search, best_of, pieces
from minembed.transformer.quantization import pad_to
from minembed.types import Array

PIECE = 1 << 12  # rows that a thread takes at a time
WIDEST_ROW = 1 << 16  # bytes of a row: 255 * 127 times as many fit into int32
FEWEST_PAIRS, MOST_PAIRS = 1 << 8, 1 << 15  # of a query and a row, that a thread scores at a time
TURNS = 4  # that a thread has, if there are so many pairs: one that is slowed down leaves more to the others
THREAD_WORK = 20_000_000  # multiplications per thread: with fewer, another thread costs more than it saves


Scan = Callable[[Span, Array, Lists, int], int]  # (span, place, lists, thread) -> why it stopped


def scan(
    search: Search, corpus: Array, threads: int, quantized: QuantizedCorpus | None = None, entries: Entries = JIT
) -> tuple[Array, Array]:
    """Find (query, row) of every row that could be among the k best, on the rows or their quantised form."""
    if not search.fits_float32():
        return tier.scan_numpy(search, corpus, threads)
    queries = np.ascontiguousarray(search.queries, np.float32)
    whole = corpus.dtype == np.float32 and corpus.flags.c_contiguous
    if quantized is not None and search.metric.from_products and _can_be_rounded(search, quantized):
        search.sound.coded()
        go, whole = _scan_quantized(search, quantized, entries), True
    else:
        search.sound.vectors()
        go = _scan_floats(search, queries, corpus, entries)
    threads = min(threads, 1 + len(queries) * corpus.size // THREAD_WORK)
    spans = [Span.of(0, len(corpus))] * threads if whole else [Span.of(*x) for x in pieces(len(corpus), tier.BLOCK)]
    lists = Lists.make(threads, len(queries), search.k)
    idle = deque(range(threads))

    def work(span: Span) -> bool:
        place, thread = np.zeros(2, np.int64), idle.pop()
        while (stopped := go(span, place, lists, thread)) == FULL:
            _make_room(search, corpus, lists, thread, entries)
        idle.append(thread)
        return stopped == DONE

    if not all(share(work, spans, threads)):
        return tier.scan_numpy(search, corpus, threads)
    return _join(search, lists, entries)


def _scan_floats(search: Search, queries: Array, corpus: Array, entries: Entries) -> Scan:
    scan_rows, (number, width) = entries["scan_rows"], queries.shape
    packed = queries.reshape(-1) if number == 1 else panels(np.ascontiguousarray(queries.T), PANEL, 1, width)
    a, b, c = _up(search.margins(FLOAT32_UNIT))
    padded = pad_to(number, PANEL)
    margins = np.zeros((3, padded), np.float32)
    margins[0, :number], margins[1, :number], square = a, b, c.max()
    flat_margins, flat_queries = margins.reshape(-1), queries.reshape(-1)

    def go(span: Span, place: Array, lists: Lists, thread: int) -> int:
        original = corpus[span.begin : span.end]
        with np.errstate(over="ignore"):  # overflows are detected by the length
            rows = np.ascontiguousarray(original, np.float32)
        if search.metric.is_direction and original.dtype == np.float64 and original[~rows.any(axis=1)].any():
            return UNSAFE  # tiny rows still have directions
        stopped: int = scan_rows(
            _flat(rows), span.turn, PIECE, len(rows), place, span.begin, width, packed, flat_queries, number,
            search.metric.number, search.k, flat_margins, padded, square, lists.of(thread), lists.capacity,
            lists.rooms[thread],
        )  # fmt: skip
        return stopped

    return go


def _can_be_rounded(search: Search, corpus: QuantizedCorpus) -> bool:
    """Whether no product of these queries with a quantised row can overflow float32, and no sum of bytes int32."""
    lengths = search.lengths
    safe = (lengths == 0) | ((lengths > 1e-15) & (lengths < 1e15))
    return bool(safe.all()) and corpus.levels.shape[1] <= WIDEST_ROW


def _scan_quantized(search: Search, corpus: QuantizedCorpus, entries: Entries) -> Scan:
    round_queries, scan_bytes = entries["round_queries"], entries["scan_bytes"]
    number, width = len(search.lengths), corpus.levels.shape[1]
    padded = pad_to(number, PANEL)
    once, rest = np.zeros((2, number, width), np.int8)
    scales, sums, margins = (np.zeros((n, padded), t) for n, t in ((2, np.float32), (2, np.int32), (6, np.float32)))
    euclidean = search.metric.number == EUCLIDEAN
    own_margins = search.margins(FLOAT32_UNIT)[0] if euclidean else np.zeros(number)
    queries = search.queries.copy()
    round_queries(queries, search.lengths, search.metric.number, own_margins, once, rest, scales, sums, margins)
    packed = once.reshape(-1) if number == 1 else panels(once.T, PANEL, 4, width)
    square = np.float32(16 * FLOAT32_UNIT if euclidean else 0)
    plain, left = once.view(np.uint8).reshape(-1), rest.view(np.uint8).reshape(-1)
    zero_points = np.full(TILE_ROWS, ZERO_POINT, np.int32)
    rows = _flat(corpus.levels), _flat(corpus.scales), _flat(corpus.lengths), _flat(corpus.errors)

    def go(span: Span, place: Array, lists: Lists, thread: int) -> int:
        stopped: int = scan_bytes(
            *rows, span.turn, PIECE, span.end, place, width, packed, plain, scales[0], sums[0], left,
            scales[1], sums[1], zero_points, number, search.metric.number, search.k, margins.reshape(-1), padded,
            square, lists.of(thread), lists.capacity, lists.rooms[thread],
        )  # fmt: skip
        return stopped

    return go


def _up(x: Array) -> Array:
    return np.nextafter(x.astype(np.float32), np.float32(np.inf))


def _flat(array: Array) -> Array:
    """A flat read-only array: mapped files are read-only, and Numba would compile for both kinds."""
    flat = array.view(np.ndarray).reshape(-1)
    flat.flags.writeable = False
    return flat


def _join(search: Search, lists: Lists, entries: Entries) -> tuple[Array, Array]:
    """The candidates of all threads, without those that k others beat."""
    slots, number = lists.counts.shape
    total = int(lists.counts.sum())
    which, rows, scratch = np.empty(total, np.int64), np.empty(total, np.int64), np.empty(total, np.float32)
    n = entries["join"](
        slots, number, search.k, lists.capacity, lists.counts.reshape(-1), lists.lows.reshape(-1),
        lists.highs.reshape(-1), lists.indices.reshape(-1), lists.thresholds.reshape(-1), lists.thresholds.shape[1],
        scratch, which, rows,
    )  # fmt: skip
    return which[:n], rows[:n]


def _make_room(search: Search, corpus: Array, lists: Lists, thread: int, entries: Entries) -> None:
    """Shorten lists that are full of rows too similar for the scan to the k best by their float64 scores."""
    counts, lows, highs, indices, thresholds, marks = lists.of(thread)
    for query in np.flatnonzero(counts > lists.capacity - ROWS):
        own = replace(search, queries=search.queries[query : query + 1], lengths=search.lengths[query : query + 1])
        first, none = query * lists.capacity, np.zeros(counts[query], np.int64)
        row = indices[first : first + counts[query]].copy()
        scores = rescore(own, corpus, none, row, 1, entries)
        best = best_of(own, none, row, scores)[0]
        for x in (lows, highs, indices):
            x[first : first + search.k] = x[first + best]
        counts[query], marks[query] = search.k, lists.capacity - ROWS
        floor = np.float32(own.scan_value(scores[best[-1:]], none[:1])[0])
        thresholds[query] = max(thresholds[query], np.nextafter(floor, np.float32(-np.inf)))


def rescore(search: Search, corpus: Array, which: Array, found: Array, threads: int, entries: Entries = JIT) -> Array:
    """The float64 scores of pairs of a query and a row, with the same bits as the NumPy tier."""
    if corpus.dtype != np.float32 or not corpus.flags.c_contiguous:
        return tier.rescore_numpy(search, corpus, which, found, threads)
    search.sound.vectors(found)
    scores, flat, width = np.empty(len(which)), _flat(corpus), search.queries.shape[1]
    rescore_rows = entries["rescore_rows"]
    queries = np.zeros((len(search.queries), pad_to(width, PARTIAL_SUMS)))
    queries[:, :width] = search.queries

    def work(part: tuple[int, int]) -> None:
        rescore_rows(
            flat, width, queries.reshape(-1), queries.shape[1], search.metric.number, which, found, *part, scores
        )

    turn = -(-len(which) // (TURNS * threads))
    share(work, list(pieces(len(which), min(max(turn, FEWEST_PAIRS), MOST_PAIRS))), threads)
    if search.metric.number == EUCLIDEAN:  # the kernel does not scale
        short = np.flatnonzero(scores >= -SHORTEST_DISTANCE)
        scores[short] = tier.rescore_numpy(search, corpus, which[short], found[short], threads)
    return scores
