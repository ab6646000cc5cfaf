"""What people do with many vectors, under the names and with the meanings of sentence-transformers' `util`.

Everything is exact: where a float32 product does not decide, float64 does.  No step holds more than blocks of rows, so
memory grows with the rows and never with their pairs.  The size of blocks is chosen here: `query_chunk_size`,
`corpus_chunk_size` and the `batch_size` of communities are taken, and change nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.runtime.checks import check_whole
from minembed.runtime.keywords import takes_options_of
from minembed.runtime.progress import Progress
from minembed.search import similarity as sim
from minembed.search.topk import pieces
from minembed.search.topk import top_k as exact_top_k
from minembed.types import Array, Backend, Metric, TextModel

if TYPE_CHECKING:
    from typing_extensions import Unpack


ScoreFunction = Metric | Callable[[ArrayLike, ArrayLike], Array]
ROWS, COLUMNS = 1024, 4096  # of one block of scores
PAIRS = 1 << 13  # compared in float64 at a time
CENTERS = 128  # rows whose communities are looked at together
ROUNDING = 1e-12  # cosines this little below a threshold reach it: of two equal rows it may come out as 1 - 1e-16


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
    """Find the rows of the corpus that are most alike to each query: `minembed.top_k` as lists of dictionaries.

    Each is {"corpus_id": int, "score": float}, best first; scores are float64.  `score_function` is "cosine", "dot",
    "euclidean" or "manhattan", or a function of `minembed.search.similarity` with that meaning.
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
    """Find the pairs of rows that are most alike: [score, i, j] with i < j, the highest score first.

    A pair is looked at if one of the two is among the `top_k` others that are most alike to the other; of these pairs
    the best `max_pairs` are returned, ties in order of i, then of j.  As sentence-transformers' function of this
    name, which leaves the order of ties open.  Raises InputError as `semantic_search` does.

    >>> paraphrase_mining_embeddings([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]], max_pairs=2)
    [[1.0, 0, 2], [0.0, 0, 1]]
    """
    metric, rows = _metric(score_function), _matrix(embeddings)
    _check_counts(max_pairs=max_pairs, top_k=top_k)
    pairs = np.empty(0), np.empty((0, 2), np.int64)
    with Progress(range(len(rows)), "row", show_progress_bar) as progress:
        for start, end in pieces(len(rows), ROWS):
            scores, found = exact_top_k(rows[start:end], rows, top_k + 1, metric, backend, threads)
            others = found != np.arange(start, end)[:, None]
            others &= np.cumsum(others, axis=1) <= top_k  # where many tie, the row itself may be missing
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
    """Find the pairs of sentences that are most alike: [score, i, j] with i < j, the highest score first.

    The sentences are encoded, and then compared by `paraphrase_mining_embeddings`; the options are those of
    `Embedder.encode` and of that function, and so are the errors.

    >>> class Letters:
    ...     def encode(self, texts, **options):
    ...         return np.array([[text.count("a"), text.count("b")] for text in texts], np.float32)
    >>> paraphrase_mining(Letters(), ["aab", "b", "baa"], max_pairs=1)
    [[1.0, 0, 2]]
    """
    embeddings = model.encode(
        list(sentences),
        show_progress_bar=show_progress_bar,
        batch_size=batch_size,
        truncate_dim=truncate_dim,
        prompt_name=prompt_name,
        prompt=prompt,
    )
    return paraphrase_mining_embeddings(embeddings, show_progress_bar=show_progress_bar, **options)


def _best_pairs(scores: Array, pairs: Array, n: int) -> tuple[Array, Array]:  # (P,), (P, 2) -> up to n of both
    """Order pairs by score, then by i and j, each pair once: by the better of what its two directions gave."""
    order = np.lexsort((-scores, pairs[:, 1], pairs[:, 0]))
    new = np.append(True, (np.diff(pairs[order], axis=0) != 0).any(axis=1))[: len(order)]
    order = order[new]
    order = order[np.argsort(-scores[order], kind="stable")[:n]]
    return scores[order], pairs[order]


def community_detection(
    embeddings: ArrayLike,
    threshold: float = 0.75,
    min_community_size: int = 10,
    *,
    show_progress_bar: bool | None = None,
    batch_size: int | None = None,
) -> list[list[int]]:  # (N, D) -> lists of rows, the largest first
    """Find groups of rows whose cosine with one of them, the centre, is at least `threshold`.

    Each group begins with its centre; the others follow by falling cosine, ties in order of the row.  Centres with
    many rows around them take theirs first; a row is in one group or in none, and a group has `min_community_size` rows
    or more.  As sentence-transformers' function of this name, with cosines compared in float64 (one that is less than
    1e-12 below the threshold reaches it).  Memory: a float32 copy of the rows, and blocks of scores.
    Raises InputError for a size below 1, a threshold outside -1 to 1, vectors of other shapes, NaN or infinity.

    >>> community_detection([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0], [2.0, 0.0]], min_community_size=2)
    [[0, 3, 2]]
    """
    rows = _matrix(embeddings)
    _check_counts(1, min_community_size=min_community_size)
    alike = Alike(rows, threshold)
    counts = alike.counts(show_progress_bar)
    order = np.argsort(-counts, kind="stable")
    order = order[: np.count_nonzero(counts >= min_community_size)]
    groups: list[list[int]] = []
    free = np.ones(len(rows), bool)
    for center, near in alike.of_each(order, free):
        near = near[free[near] & (near != center)]
        if free[center] and len(near) + 1 >= min_community_size:
            members = [int(center), *near[np.lexsort((near, -alike.cosines(center, near)))].tolist()]
            free[members] = False
            groups.append(members)
    return sorted(groups, key=len, reverse=True)


def near_duplicates(
    embeddings: ArrayLike, threshold: float = 0.95, *, show_progress_bar: bool | None = None
) -> Array:  # (N, D) -> (N,) int64
    """Say which earlier row each row repeats: the first kept one with a cosine of at least `threshold`, or itself.

    Rows are taken in order: a row is kept unless it is that near to one that was kept before it.  So no two kept rows
    are near each other, and every row is near the kept one that stands for it.  Cosines are compared as in
    `community_detection`; that of a row of zeros is 0.  Memory: a float32 copy of the rows, and blocks of scores.
    Raises InputError for a threshold outside -1 to 1, vectors of other shapes, NaN or infinity.

    >>> near_duplicates([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1], [0.1, 3.0]]).tolist()
    [0, 1, 0, 1]
    """
    rows = _matrix(embeddings)
    alike = Alike(rows, threshold)
    first = np.arange(len(rows))
    kept = np.empty(len(rows), np.int64)  # the first `n` of it
    n = 0
    with Progress(range(len(rows)), "row", show_progress_bar) as progress:
        for start, end in pieces(len(rows), ROWS):
            left = np.arange(start, end)
            for begin, stop in pieces(n, COLUMNS):
                i, j = alike.pairs(left, kept[begin:stop])
                known, at = np.unique(i, return_index=True)  # the first j of each
                first[left[known]] = kept[begin:stop][j[at]]
                left = np.delete(left, known)
            i, j = alike.pairs(left, left)
            bounds = np.searchsorted(i, np.arange(len(left) + 1))
            for row, begin, stop in zip(left, bounds[:-1], bounds[1:], strict=True):
                if first[row] == row:  # known by now: the rows before it had their turn
                    later = left[j[begin:stop]]
                    first[later[(later > row) & (first[later] == later)]] = row
            new = left[first[left] == left]
            kept[n : n + len(new)] = new
            n += len(new)
            progress.advance(end - start)
    return first


def deduplicate(
    embeddings: ArrayLike, threshold: float = 0.95, *, show_progress_bar: bool | None = None
) -> Array:  # (N, D) -> (K,) int64
    """The rows that remain when near duplicates are left out, in order: those that `near_duplicates` keeps.

    >>> deduplicate([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1], [0.1, 3.0]]).tolist()
    [0, 1]
    """
    first = near_duplicates(embeddings, threshold, show_progress_bar=show_progress_bar)
    return np.flatnonzero(first == np.arange(len(first)))


class Alike:
    """Which rows have a cosine of at least a threshold: a float32 product decides, and float64 where that is close.

    >>> Alike(np.array([[1.0, 0.0], [3.0, 0.1], [0.0, 0.0]]), 0.9).pairs(np.array([0, 2]), np.array([2, 1]))
    (array([0]), array([1]))
    """

    def __init__(self, rows: Array, threshold: float) -> None:
        if not -1 <= threshold <= 1:
            raise InputError(f"threshold must be a cosine, from -1 to 1, not {threshold!r}")
        self.rows, self.threshold = rows, float(threshold) - ROUNDING
        self.units = np.empty(rows.shape, np.float32)
        for start, end in pieces(len(rows), COLUMNS):
            self.units[start:end] = unit_rows(rows[start:end], start)
        # of a float32 product: Higham, 2002, section 3.1; with room for the rounding of the rows
        self.margin = (2 * rows.shape[1] + 16) * 2.0**-24

    def pairs(self, a: Array, b: Array) -> tuple[Array, Array]:  # (n,), (m,) rows -> (P,), (P,) places in a and b
        """Find all i, j for which row a[i] is alike to row b[j], in order of i, then of j."""
        cosines = self.units[a] @ self.units[b].T
        i, j = np.nonzero(cosines >= self.threshold - self.margin)
        close = np.flatnonzero(cosines[i, j] <= self.threshold + self.margin)
        if not len(close):
            return i, j
        near = np.ones(len(i), bool)
        for start, end in pieces(len(close), PAIRS):
            some = close[start:end]
            near[some] = self.cosines(a[i[some]], b[j[some]]) >= self.threshold
        return i[near], j[near]

    def cosines(self, a: Array, b: Array) -> Array:  # (n,), (n,) or scalars -> (n,) float64
        """The cosine of row a[i] and row b[i]."""
        x, y = (unit_rows(self.rows[np.atleast_1d(i)], 0) for i in (a, b))
        return np.clip((x * y).sum(axis=1), -1, 1)

    def counts(self, show: bool | None) -> Array:  # -> (N,)
        """How many rows are alike to each, itself included; every block of pairs is computed once."""
        N = len(self.rows)
        counts, every = np.zeros(N, np.int64), np.arange(N)
        with Progress(every, "row", show) as progress:
            for start, end in pieces(N, ROWS):
                for left, right in pieces(N - start, COLUMNS):
                    left, right = start + left, start + right
                    i, j = self.pairs(every[start:end], every[left:right])
                    counts[start:end] += np.bincount(i, minlength=end - start)
                    beyond = j[j >= end - left]  # these rows do not come as i and meet this block
                    counts[left:right] += np.bincount(beyond, minlength=right - left)
                progress.advance(end - start)
        return counts

    def of_each(self, centers: Array, free: Array) -> Iterator[tuple[Any, Array]]:
        """Yield those centers that are free when their turn comes, and the rows alike to each that were free before."""
        at = 0
        while at < len(centers):
            ahead = np.flatnonzero(free[centers[at : at + ROWS]])[:CENTERS]
            if not len(ahead):
                at += ROWS
                continue
            some, rows = centers[at + ahead], np.flatnonzero(free)
            parts = [(*self.pairs(some, rows[i:j]), i) for i, j in pieces(len(rows), COLUMNS)]
            which = np.concatenate([x for x, _, _ in parts])
            found = rows[np.concatenate([y + i for _, y, i in parts])]
            for i, center in enumerate(some):
                if free[center]:
                    yield center, found[which == i]
            at += int(ahead[-1]) + 1


def unit_rows(rows: Array, start: int) -> Array:  # (n, D) -> (n, D) float64
    """Scale rows to length 1 in float64, whatever their size; zeros stay.  Raises InputError for NaN or infinity.

    >>> unit_rows(np.array([[3e200, 4e200], [0.0, 0.0]]), 0).round(6).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise InputError(f"embeddings holds NaN or infinity, first in row {start + int(np.argmax(bad))}")
    x = rows.astype(np.float64)
    largest = np.abs(x).max(axis=1, keepdims=True, initial=0.0)
    x /= np.where(largest == 0, 1, largest)
    lengths = np.sqrt((x * x).sum(axis=1))[:, None]
    x /= np.where(lengths == 0, 1, lengths)
    return x


def _matrix(embeddings: ArrayLike) -> Array:
    rows = np.asarray(embeddings)
    if rows.ndim == 1:
        rows = rows.reshape(1, -1) if len(rows) else rows.reshape(0, 0)
    if rows.ndim != 2 or rows.dtype.kind not in "fiub":
        raise InputError(f"embeddings must be numbers of shape (N, D); got shape {rows.shape} of {rows.dtype}")
    return rows


def _metric(score_function: ScoreFunction) -> Metric:
    names = [name for name, f in sim.SIMILARITY.items() if score_function in (name, f)]
    if not names:
        raise InputError(
            f"score_function {score_function!r} is unknown; known: {', '.join(sim.SIMILARITY)}, and the functions "
            "of minembed.search.similarity"
        )
    return names[0]


def _check_counts(least: int = 0, **counts: int) -> None:
    for name, n in counts.items():
        check_whole(name, n, least)
