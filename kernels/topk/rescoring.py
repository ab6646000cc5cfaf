"""The float64 scores of candidates: `exact` of minembed/search/metrics.py, in the same order, with the same bits."""

import math

import numpy as np
from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.elementwise import ZERO
from minembed.kernels.vectors.float64 import absolute_float64, load_float64, sum_float64, widen, zeros_float64
from minembed.kernels.vectors.simd import address, at, load, load_part, prefetch, splat
from minembed.search.metrics import COSINE, EUCLIDEAN, MANHATTAN, PARTIAL_SUMS

ROWS_AHEAD = 16  # rows to prefetch ahead, since they are not consecutive
ONE = np.float64(1)


@njit
def load_row(row, j, width):
    """16 numbers of a row as float64; zeros beyond its end."""
    return widen(load(at(row, j)) if j + PARTIAL_SUMS <= width else load_part(at(row, j), width - j, splat(ZERO)))


@njit
def score(row, query, width, metric):
    """The score of a row for a query, which is padded with zeros."""
    total = squares = zeros_float64()
    if metric == MANHATTAN:
        for j in range(0, width, PARTIAL_SUMS):
            total = total + absolute_float64(load_row(row, j, width) - load_float64(at(query, j)))
        return -sum_float64(total)
    if metric == EUCLIDEAN:
        for j in range(0, width, PARTIAL_SUMS):
            d = load_row(row, j, width) - load_float64(at(query, j))
            total = total + d * d
        return -math.sqrt(sum_float64(total))
    for j in range(0, width, PARTIAL_SUMS):
        v = load_row(row, j, width)
        total = total + v * load_float64(at(query, j))
        if metric == COSINE:
            squares = squares + v * v
    product = sum_float64(total)
    if metric == COSINE:
        length = math.sqrt(sum_float64(squares))
        return min(max(product / (ONE if length == 0 else length), -ONE), ONE)
    return product


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def rescore_rows(rows, width, queries, stride, metric, which, found, begin, end, scores):
    """The float64 scores of pairs of a query and a row; queries are `stride` apart, padded with zeros."""
    x, q = address(rows, 0), address(queries, 0)
    for pair in range(begin, end):
        if pair + ROWS_AHEAD < end:
            for j in range(0, width, PARTIAL_SUMS):
                prefetch(at(x, found[pair + ROWS_AHEAD] * width + j))
        scores[pair] = score(at(x, found[pair] * width), at(q, which[pair] * stride), width, metric)
