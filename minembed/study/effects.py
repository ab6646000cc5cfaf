"""The effects of an edit on common tasks: cosines of pairs, rankings, agreement with human judgements."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.evaluation.pairs import spearman
from minembed.models.embedder import Embedder
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import as_texts, column
from minembed.runtime.pickling import reduced
from minembed.search.similarity import cosine_similarity, pairwise
from minembed.study.changes import Changes
from minembed.study.editing import Edited, edit
from minembed.study.given import check_embedder
from minembed.study.on_numpy import on_numpy
from minembed.types import Array

Edits = Edited | Changes | Sequence[Changes]


@dataclass(frozen=True, slots=True, eq=False)
class Effect:
    """Cosines with and without an edit, and measures of the difference."""

    before: Array  # (P,) of pairs, (Q, N) of queries and documents; float64
    after: Array
    measures: Mapping[str, float]

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it picklable: its mappings are read-only."""
        return reduced(self)

    def __repr__(self) -> str:
        return f"Effect({', '.join(f'{name} {value:.4f}' for name, value in self.measures.items())})"


def effect(
    model: Embedder,
    edits: Edits,
    *,
    pairs: Iterable[Sequence[str]] | None = None,
    queries: Iterable[str] | None = None,
    corpus: Iterable[str] | None = None,
    sts: Iterable[Sequence[Any]] | None = None,
    top_k: int = 10,
) -> Effect:
    """Compare a model with its edited self on one of three tasks.

    - `pairs` of texts: the mean and the largest change of their cosine, "mean_change" and "largest_change" (in size);
    - `queries` and a `corpus`: how far the ranking of the documents stays as it was, averaged over the queries:
      "kendall" (tau-b of Kendall, 1945, over all documents: 1 unchanged, -1 reversed) and "overlap", the share of the
      first `top_k` that are still among them;
    - `sts`, rows of two texts and a score by people: Spearman's correlation "before" and "after", and its "change".

    `edits` are what `edit` takes, or what it gives.  Both models compute on the NumPy tier, so that only the edit
    differs.  Raises InputError unless one task is given, and for rows of another form.

    >>> from minembed.study import ablate_head
    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> effect(model, ablate_head(3, 5), pairs=[("a cat", "a kitten")])  # doctest: +SKIP
    Effect(mean_change -0.0001, largest_change 0.0001)
    """
    tasks = [name for name, given in (("pairs", pairs), ("queries", queries), ("sts", sts)) if given is not None]
    if len(tasks) != 1 or (corpus is None) != (queries is None):
        raise InputError("give one of pairs, queries with corpus, and sts")
    check_embedder(model, "effect")
    plain = on_numpy(model)
    edited = edits if isinstance(edits, Edited) else edit(plain, *_several(edits))
    if queries is not None and corpus is not None:
        return _ranking(plain, edited, as_texts(queries, "queries"), as_texts(corpus, "corpus"), top_k)
    width, name = (2, "pairs") if pairs is not None else (3, "sts")
    rows = rows_of(pairs if pairs is not None else sts, width, name)
    before, after = (cosines(which, rows) for which in (plain, edited))
    change = after - before
    if pairs is not None:
        measures = {"mean_change": float(change.mean()), "largest_change": float(np.abs(change).max())}
        return Effect(before, after, MappingProxyType(measures))
    scores = np.array([_score(row[2], i) for i, row in enumerate(rows)])
    was, now = spearman(before, scores), spearman(after, scores)
    return Effect(before, after, MappingProxyType({"before": was, "after": now, "change": now - was}))


def _several(edits: Any) -> Sequence[Changes]:
    if isinstance(edits, Sequence) and not isinstance(edits, str | bytes):
        return edits
    return [edits]  # `edit` raises an error if it is invalid


def _score(score: Any, row: int) -> float:
    try:
        found = float(score)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"sts[{row}]: the score must be a finite number, not {score!r}")
    return found


def rows_of(rows: Any, width: int, name: str) -> list[tuple[Any, ...]]:
    """Rows of two texts, and of width 3 a score; raises InputError for others, and for none.

    >>> rows_of([["a", "b"]], 2, "pairs")
    [('a', 'b')]
    """
    found = [tuple(row) if isinstance(row, Sequence) and not isinstance(row, str) else () for row in column(rows, name)]
    for i, row in enumerate(found):
        if len(row) != width:
            raise InputError(f"{name}[{i}] must be two texts{' and a score' if width == 3 else ''}")
        as_texts(row[:2], f"{name}[{i}]")
    if not found:
        raise InputError(f"{name} is empty")
    return found


def cosines(model: Embedder | Edited, rows: Sequence[Sequence[str]]) -> Array:  # (P,) float64
    """The cosines of pairs; a text that occurs several times is computed once.

    >>> cosines(Embedder.load("all-MiniLM-L6-v2"), [("a cat", "a cat")]).round(6).tolist()  # doctest: +SKIP
    [1.0]
    """
    texts = list(dict.fromkeys(text for row in rows for text in row[:2]))
    place = {text: i for i, text in enumerate(texts)}
    vectors = model.encode(texts).astype(np.float64)
    a, b = (vectors[[place[row[i]] for row in rows]] for i in (0, 1))
    return np.asarray(pairwise(a, b, "cosine"), np.float64)


def _ranking(plain: Embedder, edited: Edited, queries: list[str], corpus: list[str], top_k: int) -> Effect:
    check_whole("top_k", top_k, 1)
    if not queries or len(corpus) < 2:
        raise InputError("a ranking needs at least one query and two documents")
    before, after = (
        cosine_similarity(*(model.encode(texts).astype(np.float64) for texts in (queries, corpus)))
        for model in (plain, edited)
    )
    first = [np.argsort(-scores, axis=1, kind="stable")[:, :top_k] for scores in (before, after)]
    kept = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(*first, strict=True)]
    taus = [kendall(a, b) for a, b in zip(before, after, strict=True)]
    return Effect(before, after, MappingProxyType({"kendall": float(np.mean(taus)), "overlap": float(np.mean(kept))}))


def kendall(x: ArrayLike, y: ArrayLike) -> float:  # (N,), (N,) -> -1 to 1
    """How many pairs of places have the same order in x and y, less those of the other order: tau-b (Kendall, 1945).

    Ties count for neither, and take their part out of what is divided by; 0 where all of x, or of y, are equal.
    Takes time in the square of N, and memory in N.

    >>> kendall([1, 2, 3], [10, 30, 20]), kendall([1, 2], [5, 5])
    (0.3333333333333333, 0.0)
    """
    a, b = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise InputError(f"x and y must be two lists of as many numbers, not of shapes {a.shape} and {b.shape}")
    same = of_x = of_y = 0
    for i in range(len(a) - 1):
        by_x, by_y = np.sign(a[i + 1 :] - a[i]), np.sign(b[i + 1 :] - b[i])
        same += int(by_x @ by_y)
        of_x, of_y = of_x + int(np.count_nonzero(by_x)), of_y + int(np.count_nonzero(by_y))
    return same / math.sqrt(of_x * of_y) if of_x and of_y else 0.0
