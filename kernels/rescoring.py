"""The float64 scores of candidates: minembed.topk.exact_scores, summed in the same order, to the same bits."""

import math

import numpy as np
from numba import njit

from minembed.kernels.cached import on_disk
from minembed.kernels.simd import address, prefetch
from minembed.topk import COSINE, EUCLIDEAN, LANES, MANHATTAN

NEXT = 4  # rows that are asked for ahead, since they lie anywhere
ZERO64, ONE64 = np.float64(0), np.float64(1)


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def rescore_rows(rows, width, queries, metric, which, found, begin, end, room, scores):
    """The float64 scores of pairs of a query and a row: minembed.topk.exact_scores, summed in the same order."""
    for pair in range(begin, end):
        x, q, total = found[pair] * width, which[pair] * width, ZERO64
        if pair + NEXT < end:
            for j in range(0, width, 16):
                prefetch(address(rows, found[pair + NEXT] * width + j))
        if metric == MANHATTAN or metric == EUCLIDEAN:
            for lane in range(LANES):
                room[lane] = ZERO64
            for j in range(width):
                d = np.float64(rows[x + j]) - queries[q + j]
                room[j % LANES] += abs(d) if metric == MANHATTAN else d * d
            total = fold(room)
            scores[pair] = -total if metric == MANHATTAN else -math.sqrt(total)
            continue
        for lane in range(LANES):
            room[lane] = room[LANES + lane] = ZERO64
        for j in range(0, width - LANES + 1, LANES):
            for lane in range(LANES):
                v = np.float64(rows[x + j + lane])
                room[lane] += v * queries[q + j + lane]
                room[LANES + lane] += v * v
        for j in range(width // LANES * LANES, width):
            v = np.float64(rows[x + j])
            room[j % LANES] += v * queries[q + j]
            room[LANES + j % LANES] += v * v
        total = fold(room)
        if metric == COSINE:
            length = math.sqrt(fold(room[LANES:]))
            total = min(max(total / (ONE64 if length == ZERO64 else length), -ONE64), ONE64)
        scores[pair] = total


@njit
def fold(room):
    """Add the upper half of the partial sums to the lower, until one is left."""
    half = LANES // 2
    while half:
        for lane in range(half):
            room[lane] += room[half + lane]
        half //= 2
    return room[0]
