"""Score weights during training: by scored pairs, by retrieval, or by the user's own function."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from minembed.data.examples import Examples
from minembed.errors import InputError
from minembed.evaluation.pairs import spearman
from minembed.evaluation.retrieval import evaluate_retrieval
from minembed.models.embedder import Embedder
from minembed.search.similarity import pairwise
from minembed.train.model import Trainee
from minembed.train.settings import Settings
from minembed.types import Array

Evaluation: TypeAlias = Examples | Callable[[Embedder], float]  # larger is better
NDCG = "ndcg@10"


def measure_of(evaluation: Evaluation) -> str:
    """What an evaluation measures: "spearman" for pairs with scores, "ndcg@10" for pairs without, else "score".

    Raises InputError for examples that cannot measure anything: fewer than two different texts to choose from, or
    scores that are all equal.

    >>> measure_of(Examples((("a", "c"), ("b", "d")), np.array([0.0, 1.0]))), measure_of(Examples((("a",), ("b",))))
    Traceback (most recent call last):
    minembed.errors.InputError: the evaluation has 1 text to choose from: give it at least two different ones
    >>> measure_of(Examples((("a", "c"), ("b", "d"))))
    'ndcg@10'
    """
    if not isinstance(evaluation, Examples):
        return "score"
    if len(evaluation.columns) < 2:
        raise InputError("the evaluation needs pairs of texts")
    if evaluation.labels is None:
        choice = len({text for column in evaluation.columns[1:] for text in column})
        if choice < 2:
            raise InputError(f"the evaluation has {choice} text to choose from: give it at least two different ones")
        return NDCG
    if not np.ptp(evaluation.labels):
        raise InputError(
            f"all {len(evaluation)} scores of the evaluation are {evaluation.labels[0]:g}: they must differ"
        )
    return "spearman"


def evaluate(trainee: Trainee, evaluation: Evaluation, settings: Settings) -> float:
    """The score of the current weights; raises InputError as `measure_of` does."""
    measure = measure_of(evaluation)
    model = trainee.embedder(settings.backend, settings.threads)
    if not isinstance(evaluation, Examples):
        return float(evaluation(model))
    return (retrieval_score if measure == NDCG else sts_score)(model, evaluation)


def sts_score(model: Embedder, pairs: Examples) -> float:
    """Spearman's correlation of the cosines of scored pairs with their scores; 0 if all cosines are equal."""
    if pairs.labels is None:
        raise InputError("these pairs have no scores")
    different, (a, b) = _numbered(pairs.columns[:2])
    vectors = _vectors(model, different)
    cosines = pairwise(vectors[a], vectors[b], "cosine")
    return spearman(cosines, pairs.labels) if np.ptp(cosines) else 0.0  # else the model has collapsed


def retrieval_score(model: Embedder, pairs: Examples) -> float:
    """How well each first text finds its second texts among all texts of the other columns.

    nDCG of the first ten found, as in evaluation.retrieval.  Negatives are not relevant.
    """
    queries, (asks,) = _numbered(pairs.columns[:1])
    documents, (answers, *_) = _numbered(pairs.columns[1:])
    relevant: dict[int, set[int]] = {}
    for query, document in zip(asks.tolist(), answers.tolist(), strict=True):
        relevant.setdefault(query, set()).add(document)
    ids = range(len(queries)), range(len(documents))
    found = evaluate_retrieval(_vectors(model, queries), _vectors(model, documents), *ids, relevant)
    return found[f"cosine_{NDCG}"]


def _numbered(columns: Sequence[Sequence[str]]) -> tuple[list[str], list[Array]]:
    """The different texts of columns, in order, and each column as indices into them."""
    different = list(dict.fromkeys(text for column in columns for text in column))
    row = {text: i for i, text in enumerate(different)}
    return different, [np.array([row[text] for text in column]) for column in columns]


def _vectors(model: Embedder, texts: list[str]) -> Array:
    vectors: Array = model.encode(texts, truncation="silent", show_progress_bar=False)
    return vectors
