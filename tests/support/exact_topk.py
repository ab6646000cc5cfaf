"""The expected result of top-k: all rows, sorted by their float64 score."""

import math

import numpy as np

from minembed.search import topk

METRICS = sorted(topk.METRICS)


def score(query, row, metric):
    """One score with exactly rounded sums; of integers and of short rows the last bit is the same in any order."""
    q, x = query.tolist(), row.tolist()
    if metric == "euclidean":
        return -math.sqrt(math.fsum((a - b) ** 2 for a, b in zip(q, x, strict=True)))
    if metric == "manhattan":
        return -math.fsum(abs(a - b) for a, b in zip(q, x, strict=True))
    total = math.fsum(a * b for a, b in zip(q, x, strict=True))
    if metric == "dot":
        return total
    lengths = math.sqrt(math.fsum(a * a for a in q)) * math.sqrt(math.fsum(b * b for b in x))
    return total / lengths if lengths else 0.0


def assert_best(queries, corpus, k, metric, scores, indices):
    """Assert that these are the first k of all rows, sorted by their float64 score and then by index."""
    search = topk.Search.of(queries.astype(np.float64), k, topk.METRICS[metric])
    rows = corpus.astype(np.float64)
    assert scores.shape == indices.shape == (len(queries), min(k, len(corpus)))
    assert scores.dtype == np.float64 and indices.dtype == np.int64
    for q in range(len(queries)):
        every = search.metric.exact(np.broadcast_to(search.queries[q], rows.shape), rows)
        expected = sorted(range(len(corpus)), key=lambda i, every=every: (-every[i], i))[:k]
        assert indices[q].tolist() == expected
        assert scores[q].tolist() == every[expected].tolist()  # the same bits in every tier
        for found, i in list(zip(scores[q], expected, strict=True))[:5]:
            assert abs(found - score(queries[q].astype(float), rows[i], metric)) <= 1e-12 * max(1.0, abs(found))
