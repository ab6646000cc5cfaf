"""Search and paraphrase mining, under the names and with the meanings of sentence-transformers' `util`.

Everything is exact: the scores are those of `top_k`.  No step holds more than blocks of rows, so memory is linear in
the rows, not in their pairs.  The size of blocks is chosen here: `query_chunk_size` and `corpus_chunk_size` are
accepted without effect.  Groups of similar rows are in communities.py.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import as_texts
from minembed.runtime.keywords import takes_options_of
from minembed.runtime.progress import Progress
from minembed.search import similarity as sim
from minembed.search.communities import as_rows
from minembed.search.topk import pieces
from minembed.search.topk import top_k as exact_top_k
from minembed.types import Array, Backend, Metric, TextModel

if TYPE_CHECKING:
    from typing_extensions import Unpack


ScoreFunction = Metric | Callable[[ArrayLike, ArrayLike], Array]
ROWS = 1024  # of one block of scores


def semantic_search(
    query_embeddings: ArrayLike,
    corpus_embeddings: ArrayLike,
    *,
    top_k: int = 10,
    score_function: ScoreFunction = "cosine",
    backend: Backend = "auto",
    threads: int | None = None,
    query_chunk_size: int | None = None,
    corpus_chunk_size: int | None = None,
) -> list[list[dict[str, Any]]]:  # (Q, D), (N, D) -> Q lists of min(top_k, N)
    """Find the rows of the corpus that are most similar to each query: `minembed.top_k` as lists of dictionaries.

    Each is {"corpus_id": int, "score": float}, best first; scores are float64.  `score_function` is "cosine", "dot",
    "euclidean" or "manhattan", or the corresponding function of `minembed.search.similarity`.
    A single vector is one query.  As sentence-transformers' `util.semantic_search`, but exact in float64, with ties in
    order of corpus_id.
    Raises InputError for an unknown score function, a negative top_k, widths that differ, NaN or infinity.

    >>> semantic_search([1.0, 0.0], [[0.0, 1.0], [2.0, 0.0], [1.0, 0.0]], top_k=2)
    [[{'corpus_id': 1, 'score': 1.0}, {'corpus_id': 2, 'score': 1.0}]]
    """
    found = exact_top_k(query_embeddings, corpus_embeddings, top_k, _metric(score_function), backend, threads)
    return [
        [{"corpus_id": row, "score": score} for score, row in zip(*best, strict=True)]
        for best in zip(*(x.tolist() for x in found), strict=True)
    ]


class MiningOptions(TypedDict, total=False):
    """The options of `paraphrase_mining_embeddings` that `paraphrase_mining` takes as well."""

    max_pairs: int
    top_k: int
    score_function: ScoreFunction
    backend: Backend
    threads: int | None
    query_chunk_size: int | None
    corpus_chunk_size: int | None


def paraphrase_mining_embeddings(
    embeddings: ArrayLike,
    *,
    max_pairs: int = 500_000,
    top_k: int = 100,
    score_function: ScoreFunction = "cosine",
    show_progress_bar: bool | None = None,
    backend: Backend = "auto",
    threads: int | None = None,
    query_chunk_size: int | None = None,
    corpus_chunk_size: int | None = None,
) -> list[list[Any]]:  # (N, D) -> up to max_pairs
    """Find the most similar pairs of rows: [score, i, j] with i < j, the highest score first.

    A pair is considered if one of its rows is among the `top_k` rows most similar to the other; of these pairs the best
    `max_pairs` are returned, ties in order of i, then of j.  As sentence-transformers' function of this name, which
    does not define the order of ties.  Raises InputError as `semantic_search` does.

    >>> paraphrase_mining_embeddings([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]], max_pairs=2)
    [[1.0, 0, 2], [0.0, 0, 1]]
    """
    metric, rows = _metric(score_function), as_rows(embeddings)
    max_pairs, top_k = check_whole("max_pairs", max_pairs, 0), check_whole("top_k", top_k, 0)
    pairs = np.empty(0), np.empty((0, 2), np.int64)
    with Progress(range(len(rows)), "row", show_progress_bar) as progress:
        for start, end in pieces(len(rows), ROWS):
            scores, found = exact_top_k(rows[start:end], rows, top_k + 1, metric, backend, threads)
            others = found != np.arange(start, end)[:, None]
            others &= np.cumsum(others, axis=1) <= top_k  # with many ties, the row itself may be missing
            which, place = np.nonzero(others)
            both = np.sort(np.stack([start + which, found[which, place]], axis=1), axis=1)
            pairs = _best_pairs(np.append(pairs[0], scores[which, place]), np.concatenate([pairs[1], both]), max_pairs)
            progress.advance(end - start)
    return [[score, i, j] for score, (i, j) in zip(pairs[0].tolist(), pairs[1].tolist(), strict=True)]


@takes_options_of(paraphrase_mining_embeddings, MiningOptions)
def paraphrase_mining(
    model: TextModel,
    sentences: Iterable[str],
    *,
    show_progress_bar: bool | None = None,
    batch_size: int | None = None,
    truncate_dim: int | None = None,
    prompt_name: str | None = None,
    prompt: str | None = None,
    **options: "Unpack[MiningOptions]",
) -> list[list[Any]]:
    """Find the most similar pairs of sentences: [score, i, j] with i < j, the highest score first.

    The sentences are encoded, and then compared by `paraphrase_mining_embeddings`; options and errors are those of
    `Embedder.encode` and of that function.

    >>> class Letters:
    ...     def encode(self, texts, **options):
    ...         return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32)
    >>> paraphrase_mining(Letters(), ["aab", "b", "baa"], max_pairs=1)
    [[1.0, 0, 2]]
    """
    embeddings = model.encode(
        as_texts(sentences, "sentences"),
        show_progress_bar=show_progress_bar,
        batch_size=batch_size,
        truncate_dim=truncate_dim,
        prompt_name=prompt_name,
        prompt=prompt,
    )
    return paraphrase_mining_embeddings(embeddings, show_progress_bar=show_progress_bar, **options)


def _best_pairs(scores: Array, pairs: Array, n: int) -> tuple[Array, Array]:  # (P,), (P, 2) -> up to n of both
    """Order pairs by score, then by i and j; each pair occurs once, with the better score of its two directions."""
    order = np.lexsort((-scores, pairs[:, 1], pairs[:, 0]))
    new = np.append(True, (np.diff(pairs[order], axis=0) != 0).any(axis=1))[: len(order)]
    order = order[new]
    order = order[np.argsort(-scores[order], kind="stable")[:n]]
    return scores[order], pairs[order]


def _metric(score_function: ScoreFunction) -> Metric:
    names = [name for name, f in sim.SIMILARITY.items() if score_function in (name, f)]
    if not names:
        raise InputError(
            f"score_function {score_function!r} is unknown; known: {', '.join(sim.SIMILARITY)}, and the functions "
            "of minembed.search.similarity"
        )
    return names[0]
