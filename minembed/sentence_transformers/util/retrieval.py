"""Exact search and mining under the reference's names: minembed's own functions with the reference's signatures.

Equal scores are ordered by row; the reference leaves their order open.
"""

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

import numpy as np

from minembed.errors import InputError, InputTypeError
from minembed.runtime.checks import check_whole
from minembed.search import communities, mining
from minembed.search.topk import pieces
from minembed.sentence_transformers.tensors import as_array, tensor
from minembed.sentence_transformers.util.similarity import METRIC_OF, cos_sim, matrix
from minembed.types import Array, Metric

if TYPE_CHECKING:
    from minembed.sentence_transformers.sentence_transformer.model import SentenceTransformer

Hit = dict[str, int | float]
ScoreFunction = Callable[[Any, Any], Any]


def best_by(
    score_function: ScoreFunction, queries: Array, corpus: Array, k: int, chunk: int
) -> tuple[Array, Array]:  # (Q, D), (N, D) -> (Q, min(k, N)) twice
    """The k best rows for each query by the caller's function, which gets one chunk of the corpus at a time.

    >>> scores, rows = best_by(lambda q, c: q @ c.T, np.eye(2), np.eye(2), 1, 10)
    >>> rows.tolist()
    [[0], [1]]
    """
    scores: Array = np.empty((len(queries), 0))
    rows: Array = np.empty((len(queries), 0), np.int64)
    for start, end in pieces(len(corpus), chunk):
        own = as_array(score_function(tensor(queries), tensor(corpus[start:end])), "score_function(...)")
        if own.shape != (len(queries), end - start):
            raise InputError(f"score_function gave shape {own.shape}, not {(len(queries), end - start)}")
        scores = np.concatenate([scores, own], axis=1)
        rows = np.concatenate([rows, np.broadcast_to(np.arange(start, end), own.shape)], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
        scores, rows = (np.take_along_axis(x, order, axis=1) for x in (scores, rows))
    return scores, rows


def _metric_of(score_function: Any, *chunk_sizes: object) -> Metric | None:
    """The metric of one of `util`'s functions; None for the caller's own function.

    Raises InputTypeError if it is not a function, InputError for chunk sizes below 1; they have no other effect.
    """
    for name, size in zip(("query_chunk_size", "corpus_chunk_size"), chunk_sizes, strict=True):
        check_whole(name, size)
    if not callable(score_function):
        raise InputTypeError(
            f"score_function must be a function of two matrices, as util.dot_score; not {score_function!r}"
        )
    return METRIC_OF.get(score_function) if isinstance(score_function, Hashable) else None


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500000,
    top_k: int = 10,
    score_function: ScoreFunction = cos_sim,
) -> list[list[Hit]]:  # (Q, D), (N, D) -> Q lists of min(top_k, N)
    """Find the rows of the corpus that are most similar to each query: {"corpus_id", "score"}, the best first.

    `score_function` is one of `util`'s, or any function of two matrices.  Raises InputError if widths differ, and for
    NaN or infinity.

    >>> semantic_search([1.0, 0.0], [[0.0, 1.0], [2.0, 0.0]], top_k=1)
    [[{'corpus_id': 1, 'score': 1.0}]]
    """
    queries, corpus = matrix(query_embeddings, "query_embeddings"), matrix(corpus_embeddings, "corpus_embeddings")
    metric = _metric_of(score_function, query_chunk_size, corpus_chunk_size)
    if not corpus.size:
        return [[] for _ in queries]
    if metric is not None:
        return mining.semantic_search(queries, corpus, top_k=top_k, score_function=metric)
    hits: list[list[Hit]] = []
    for start, end in pieces(len(queries), query_chunk_size):
        found = best_by(score_function, queries[start:end], corpus, check_whole("top_k", top_k, 0), corpus_chunk_size)
        for scores, rows in zip(*(x.tolist() for x in found), strict=True):
            hits.append([{"corpus_id": row, "score": score} for score, row in zip(scores, rows, strict=True)])
    return hits


def information_retrieval(*args: Any, **kwargs: Any) -> list[list[Hit]]:
    """The same as `semantic_search`, under its old name.

    >>> information_retrieval([1.0, 0.0], [[2.0, 0.0]])
    [[{'corpus_id': 0, 'score': 1.0}]]
    """
    return semantic_search(*args, **kwargs)


def paraphrase_mining(
    model: "SentenceTransformer",
    sentences: list[str],
    show_progress_bar: bool = False,
    batch_size: int = 32,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100000,
    max_pairs: int = 500000,
    top_k: int = 100,
    score_function: ScoreFunction = cos_sim,
    truncate_dim: int | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
) -> list[list[Any]]:
    """Find the most similar pairs of sentences: [score, i, j] with i < j, the highest score first.

    >>> class Letters:
    ...     def encode(self, texts, **options):
    ...         return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32)
    >>> paraphrase_mining(Letters(), ["aab", "b", "baa"], max_pairs=1)
    [[1.0, 0, 2]]
    """
    embeddings = model.encode(
        sentences,
        show_progress_bar=show_progress_bar,
        batch_size=batch_size,
        truncate_dim=truncate_dim,
        prompt_name=prompt_name,
        prompt=prompt,
    )
    return paraphrase_mining_embeddings(
        embeddings, query_chunk_size, corpus_chunk_size, max_pairs, top_k, score_function
    )


def paraphrase_mining_embeddings(
    embeddings: Any,
    query_chunk_size: int = 5000,
    corpus_chunk_size: int = 100000,
    max_pairs: int = 500000,
    top_k: int = 100,
    score_function: ScoreFunction = cos_sim,
) -> list[list[Any]]:  # (N, D) -> up to max_pairs
    """Find the most similar pairs of rows: [score, i, j] with i < j, the highest score first.

    A pair is considered if one of the two is among the `top_k` rows that are most similar to the other.

    >>> paraphrase_mining_embeddings([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]], max_pairs=1)
    [[1.0, 0, 2]]
    """
    rows, metric = matrix(embeddings), _metric_of(score_function, query_chunk_size, corpus_chunk_size)
    if not rows.size:
        return []
    if metric is not None:
        return mining.paraphrase_mining_embeddings(
            rows, max_pairs=max_pairs, top_k=top_k, score_function=metric, show_progress_bar=False
        )
    scores, found = best_by(score_function, rows, rows, top_k + 1, corpus_chunk_size)
    best: dict[tuple[int, int], float] = {}
    for i, (own, others) in enumerate(zip(scores.tolist(), found.tolist(), strict=True)):
        for score, j in [(s, j) for s, j in zip(own, others, strict=True) if j != i][:top_k]:
            best.setdefault((min(i, j), max(i, j)), score)
    order = sorted(best.items(), key=lambda pair: (-pair[1], pair[0]))[:max_pairs]
    return [[score, i, j] for (i, j), score in order]


def community_detection(
    embeddings: Any,
    threshold: float = 0.75,
    min_community_size: int = 10,
    batch_size: int = 1024,
    show_progress_bar: bool = False,
) -> list[list[int]]:  # (N, D) -> lists of rows, the largest first
    """Find groups of rows around a central row: each has a cosine of at least `threshold` with it; it comes first.

    >>> community_detection([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]], min_community_size=2)
    [[0, 2]]
    """
    rows = matrix(embeddings)
    if not rows.size:
        return []
    check_whole("batch_size", batch_size)
    return communities.community_detection(
        rows, float(threshold), min_community_size, show_progress_bar=show_progress_bar
    )
