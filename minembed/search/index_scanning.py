"""The scan of an index: each block is searched by itself, and the results are merged."""

from collections.abc import Sequence

import numpy as np

from minembed.search.index_blocks import PIECE, Block, locate, pack_bits
from minembed.search.index_marks import rank
from minembed.search.quantized import QuantizedCorpus
from minembed.search.topk import pieces, sound_top_k, top_k
from minembed.types import Array, Backend, Metric


def search(
    blocks: Sequence[Block], queries: Array, k: int, metric: Metric, backend: Backend, threads: int | None
) -> tuple[Array, Array]:  # (Q, D) -> (Q, min(k, N)) twice
    """Find the k best rows of each query, exactly: scores, and positions among the rows that are not removed.

    >>> one = Block(np.eye(2, dtype=np.float32), None, [("a", "A", None), ("b", "B", None)], np.arange(2))
    >>> search([one, one], np.array([[0.0, 1.0]]), 2, "dot", "numpy", 1)[1].tolist()
    [[1, 3]]
    """
    scores, positions, start = [np.zeros((len(queries), 0))], [np.zeros((len(queries), 0), np.int64)], 0
    for block in blocks:
        found = _search_block(block, queries, k, metric, backend, threads)
        scores.append(found[0])
        positions.append(start + found[1])
        start += block.count
    every, where = np.concatenate(scores, axis=1), np.concatenate(positions, axis=1)
    best = np.argsort(-every, axis=1, kind="stable")[:, :k]  # stable: equal scores of a block are already in order
    return np.take_along_axis(every, best, 1), np.take_along_axis(where, best, 1)


def _search_block(
    block: Block, queries: Array, k: int, metric: Metric, backend: Backend, threads: int | None
) -> tuple[Array, Array]:
    quantized = block.coded if isinstance(block.coded, QuantizedCorpus) else None
    wanted = asked = min(k, block.count)
    while True:
        scores, rows = sound_top_k(block.sound, queries, block.vectors, asked, metric, backend, threads, quantized)
        if block.alive is None:
            return scores, rows
        alive = block.alive[rows]
        if alive.sum(axis=1).min(initial=wanted) >= wanted:
            first = np.argsort(~alive, axis=1, kind="stable")[:, :wanted]
            rows = np.take_along_axis(rows, first, 1)
            return np.take_along_axis(scores, first, 1), rank(block.alive, rows)
        asked = min(len(block.vectors), 4 * asked)  # too many of the rows found are removed


def search_bits(
    blocks: Sequence[Block],
    queries: Array,
    k: int,
    metric: Metric,
    multiplier: int,
    backend: Backend,
    threads: int | None,
) -> tuple[Array, Array]:  # (Q, D) -> (Q, min(k, N)) twice
    """Score the k times `multiplier` rows whose bits differ least from the query's, and return the k best of them.

    >>> rows = np.float32([[1, 1], [-1, 1], [1, 2]])
    >>> one = Block(rows, pack_bits(rows), [("a", "A", None), ("b", "B", None), ("c", "C", None)], np.arange(3))
    >>> search_bits([one], np.array([[1.0, 1.0]]), 1, "dot", 2, "numpy", 1)[1].tolist()
    [[2]]
    """
    total = sum(block.count for block in blocks)
    k = min(k, total)
    scores, positions = np.zeros((len(queries), k)), np.zeros((len(queries), k), np.int64)
    for block in blocks:
        block.sound.coded()
    for i, (query, bits) in enumerate(zip(queries, pack_bits(queries), strict=True)):
        distances = [np.zeros(0, np.uint32)]
        for block in blocks:
            assert isinstance(block.coded, np.ndarray)
            distance = hamming(block.coded, bits)
            distances.append(distance if block.alive is None else distance[block.alive])
        candidates = nearest(np.concatenate(distances), k * multiplier)
        rows = np.empty((len(candidates), queries.shape[1]), np.float32)
        for block, which, found in locate(blocks, candidates):
            block.sound.vectors(found)
            rows[which] = block.vectors[found]
        own, best = top_k(query, rows, k, metric, backend, threads)
        scores[i], positions[i] = own[0], candidates[best[0]]
    return scores, positions


def hamming(bits: Array, query: Array) -> Array:  # (n, words), (words,) uint64 -> (n,) uint32
    """The number of bits in which each row differs from the query.

    >>> hamming(np.uint64([[5], [4]]), np.uint64([4])).tolist()
    [1, 0]
    """
    distances = np.zeros(len(bits), np.uint32)
    for start, end in pieces(len(bits), PIECE):
        for word in range(bits.shape[1]):
            distances[start:end] += np.bitwise_count(bits[start:end, word] ^ query[word])
    return distances


def nearest(distances: Array, m: int) -> Array:  # (n,) -> (min(m, n),) int64, rising
    """The indices of the m smallest numbers; of equal ones the first.

    >>> nearest(np.array([3, 1, 2, 2]), 2).tolist()
    [1, 2]
    """
    if m >= len(distances):
        return np.arange(len(distances))
    bound = np.partition(distances, m - 1)[m - 1] if m else 0
    below = np.flatnonzero(distances < bound)
    equal = np.flatnonzero(distances == bound)[: m - len(below)]
    return np.sort(np.concatenate([below, equal]))
