"""The metrics of information retrieval: how well a search finds the documents that people judged relevant.

Names and definitions are those of sentence-transformers' InformationRetrievalEvaluator.  With R the relevant documents
of a query, averaged over the queries that have any:

- accuracy@k: 1 if one of the first k is relevant, else 0;
- precision@k, recall@k: how many of the first k are relevant, divided by k, and by |R|;
- mrr@k: 1 / the rank of the first relevant one, 0 if that is beyond k;
- ndcg@k: the sum of gain / log2(rank + 1) over the first k, divided by the largest possible (Järvelin and Kekäläinen,
  2002); the gain is 1, or the grade if relevance is graded;
- map@k: the mean, over min(k, |R|), of the precision at each relevant one among the first k.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.runtime.checks import whole_number
from minembed.runtime.columns import column
from minembed.runtime.keywords import takes_options_of
from minembed.search.topk import top_k
from minembed.types import Backend, Metric

if TYPE_CHECKING:
    from typing_extensions import Unpack

Relevant = Mapping[Any, Collection[Any] | Mapping[Any, float]]  # by query: the documents, or the grade of each
AT = {  # the values of k in sentence-transformers
    "accuracy": (1, 3, 5, 10),
    "precision": (1, 3, 5, 10),
    "recall": (1, 3, 5, 10),
    "ndcg": (10,),
    "mrr": (10,),
    "map": (100,),
}


class PlacesOptions(TypedDict, total=False):
    """The values of k for `evaluate_retrieval`, by metric."""

    accuracy_at_k: Sequence[int]
    precision_recall_at_k: Sequence[int]
    mrr_at_k: Sequence[int]
    ndcg_at_k: Sequence[int]
    map_at_k: Sequence[int]


def _places(
    *,
    accuracy_at_k: Sequence[int] = AT["accuracy"],
    precision_recall_at_k: Sequence[int] = AT["precision"],
    mrr_at_k: Sequence[int] = AT["mrr"],
    ndcg_at_k: Sequence[int] = AT["ndcg"],
    map_at_k: Sequence[int] = AT["map"],
) -> dict[str, Sequence[int]]:
    at = {"accuracy": accuracy_at_k, "precision": precision_recall_at_k, "recall": precision_recall_at_k}
    return at | {"ndcg": ndcg_at_k, "mrr": mrr_at_k, "map": map_at_k}


@takes_options_of(_places, PlacesOptions)
def evaluate_retrieval(
    query_embeddings: ArrayLike,
    corpus_embeddings: ArrayLike,
    query_ids: Iterable[Any],
    corpus_ids: Iterable[Any],
    relevant_docs: Relevant,
    *,
    metric: Metric = "cosine",
    backend: Backend = "auto",
    threads: int | None = None,
    **at_k: "Unpack[PlacesOptions]",
) -> dict[str, float]:  # (Q, D), (N, D)
    """Search the corpus for every query, exactly, and measure the rankings as `ranking_metrics` does.

    Names begin with the metric, as in "cosine_ndcg@10"; queries without relevant documents are left out; equal scores
    are ranked by id.  As sentence-transformers' InformationRetrievalEvaluator, with scores in float64.  Raises
    InputError if ids and vectors do not pair up, for duplicate ids, if no query has a relevant document, for a k below
    1, and as `minembed.top_k` does.

    >>> found = evaluate_retrieval([[1.0, 0.0]], [[0.0, 1.0], [1.0, 1.0], [1.0, 0.1]], ["q"], "abc", {"q": {"b"}})
    >>> found["cosine_accuracy@1"], found["cosine_mrr@10"], found["cosine_recall@3"]
    (0.0, 0.5, 1.0)
    """
    at = _places(**at_k)
    largest = _check_places(at)
    queries, corpus = (np.atleast_2d(np.asarray(x)) for x in (query_embeddings, corpus_embeddings))
    query_ids, corpus_ids = _as_ids(query_ids, len(queries), "query"), _as_ids(corpus_ids, len(corpus), "corpus")
    judged = [i for i, query in enumerate(query_ids) if _grades(relevant_docs, query)]
    if not judged:
        raise InputError("relevant_docs has no document for any of the queries")
    order = sorted(range(len(corpus_ids)), key=corpus_ids.__getitem__)  # so that ties are in the order of ids
    if order != list(range(len(order))):
        corpus = corpus[order]
    found = top_k(queries[judged], corpus, largest, metric, backend, threads)[1]
    rankings = {
        query_ids[i]: [corpus_ids[order[row]] for row in rows] for i, rows in zip(judged, found.tolist(), strict=True)
    }
    return {f"{metric}_{name}": value for name, value in ranking_metrics(rankings, relevant_docs, at).items()}


def ranking_metrics(
    rankings: Mapping[Any, Sequence[Any]], relevant_docs: Relevant, at: Mapping[str, Sequence[int]] = AT
) -> dict[str, float]:
    """Measure rankings: by query, the ids of documents, the best first.

    `at` gives the values of k by metric: "accuracy", "precision", "recall", "ndcg", "mrr" and "map".  Relevance may be
    graded (a mapping of id to grade, above 0 if relevant): then ndcg weights by grade, as trec_eval does.  Returns
    means over the queries, {"accuracy@1": ...}.
    Raises InputError for a query without relevant documents, no queries, an unknown metric, or a k below 1.

    >>> ranking_metrics({"q": ["b", "a", "c"]}, {"q": {"a"}}, {"mrr": [10], "recall": [1, 2]})
    {'mrr@10': 0.5, 'recall@1': 0.0, 'recall@2': 1.0}
    """
    _check_places(at)
    if not rankings:
        raise InputError("rankings has no query")
    values: dict[str, list[float]] = {f"{name}@{k}": [] for name, places in at.items() for k in places}
    for query, ranking in rankings.items():
        grades = _grades(relevant_docs, query)
        ideal = sorted(grades.values(), reverse=True)
        if not ideal:
            raise InputError(f"query {query!r} has no relevant document; leave it out")
        gains = [grades.get(document, 0.0) for document in ranking]
        for name, places in at.items():
            for k in places:
                values[f"{name}@{k}"].append(MEASURES[name](gains, ideal, k))
    return {name: math.fsum(each) / len(each) for name, each in values.items()}


def _grades(relevant_docs: Relevant, query: Any) -> dict[Any, float]:
    """The relevant documents of a query, each with its grade."""
    relevant = relevant_docs.get(query, ())
    if isinstance(relevant, Mapping):
        return {document: grade for document, grade in relevant.items() if grade > 0}
    return dict.fromkeys(relevant, 1.0)


def _accuracy(gains: list[float], ideal: list[float], k: int) -> float:
    return float(any(gains[:k]))


def _precision(gains: list[float], ideal: list[float], k: int) -> float:
    return sum(gain > 0 for gain in gains[:k]) / k


def _recall(gains: list[float], ideal: list[float], k: int) -> float:
    return sum(gain > 0 for gain in gains[:k]) / len(ideal)


def _mrr(gains: list[float], ideal: list[float], k: int) -> float:
    return next((1 / place for place, gain in enumerate(gains[:k], 1) if gain > 0), 0.0)


def _dcg(gains: list[float], k: int) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains[:k], 1))


def _ndcg(gains: list[float], ideal: list[float], k: int) -> float:
    return _dcg(gains, k) / _dcg(ideal, k)


def _map(gains: list[float], ideal: list[float], k: int) -> float:
    places = [place for place, gain in enumerate(gains[:k], 1) if gain > 0]
    return sum(n / place for n, place in enumerate(places, 1)) / min(k, len(ideal))


MEASURES = {
    "accuracy": _accuracy,
    "precision": _precision,
    "recall": _recall,
    "ndcg": _ndcg,
    "mrr": _mrr,
    "map": _map,
}


def _check_places(at: Mapping[str, Sequence[int]]) -> int:
    """The largest k."""
    largest = 0
    for name, places in at.items():
        if name not in MEASURES:
            raise InputError(f"metric {name!r} is unknown; known: {', '.join(MEASURES)}")
        for k in places:
            number = whole_number(k)
            if number is None or number < 1:
                raise InputError(f"{name}@k needs whole numbers of at least 1, not {k!r}")
            largest = max(largest, number)
    return largest


def _as_ids(values: Iterable[Any], n: int, name: str) -> Sequence[Any]:
    ids = values if isinstance(values, str) else list(column(values, f"{name}_ids", "ids"))
    if len(ids) != n:
        raise InputError(f"each vector needs its id: {n} of {name}_embeddings, {len(ids)} of {name}_ids")
    seen = set()
    for i, one in enumerate(ids):
        if one in seen:
            raise InputError(f"{name}_ids[{i}] is {one!r}, which came before")
        seen.add(one)
    return ids
