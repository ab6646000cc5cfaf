"""Groups of points, for colour and legend: the values of a column, or clusters named by their most typical words."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.maps.colours import KINDS
from minembed.maps.extra import LARGEST_SEED, scikit_learn
from minembed.maps.marks import visible
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import as_labels
from minembed.transformer.vectors import l2_normalize
from minembed.types import Array

NONE, METHODS = -1, ("kmeans", "hdbscan")
MOST = 16  # clusters by default: as many as can be distinguished by colour and shape
WORDS = 3  # in the name of a cluster
WORD = re.compile(r"[^\W\d_]{2,}(?:['\u2019\-][^\W\d_]+)*")
UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)  # Han and kana: words of two characters
LIFT = 1.6  # a typical word is this many times more frequent than in all texts, if there are such words
COMMON = frozenset(  # English words that say nothing about a topic
    """
    about after all also an and any are as at be been before but by can could did do does for from had has have he her
    his how if in into is it its just may me more my no not of on one only or other our out over she should so
    some such than that the their them then there these they this those to under until up us was we were what when
    where which who will with without would you your
    """.split()
)
LONGEST = 40  # characters of a name that are shown


@dataclass(frozen=True, slots=True)
class Groups:
    """The group of each point, and the names of the groups, the largest first."""

    labels: Array  # (N,) int64, -1 for none
    names: tuple[str, ...]
    origin: str = ""  # how they were found, in words
    rest: str = "none of these"  # the name of points in no group

    def counts(self) -> list[int]:
        """How many points each group has.

        >>> Groups(np.array([0, 1, 0, -1]), ("a", "b")).counts()
        [2, 1]
        """
        return np.bincount(self.labels[self.labels >= 0], minlength=len(self.names)).tolist()

    @classmethod
    def none(cls, n: int) -> "Groups":
        """No groups."""
        return cls(np.full(n, NONE), (), "", "all points")

    @classmethod
    def of_values(cls, values: Iterable[Any], column: str = "label") -> "Groups":
        """A group for each value of a column of labels; only the most frequent ones, if there are too many.

        >>> groups = Groups.of_values(["b", "a", "b"])
        >>> groups.names, groups.labels.tolist()
        (('b', 'a'), [0, 1, 0])
        """
        values = as_labels(values, "values")
        counts = Counter(values)
        order = sorted(counts, key=lambda value: (-counts[value], value))
        kept = order if len(order) <= KINDS else order[: KINDS - 1]
        place = {value: i for i, value in enumerate(kept)}
        labels = np.array([place.get(value, NONE) for value in values], np.int64)
        names = tuple(shorten(value) for value in kept)
        rest = f"{len(order) - len(kept):,} more values"
        return cls(labels, names, f"{visible(column)} ({len(order):,} values)", rest)

    @classmethod
    def found(
        cls,
        vectors: Array,
        points: Array,
        texts: Sequence[str],
        method: str = "kmeans",
        count: int | None = None,
        seed: int = 0,
    ) -> "Groups":
        """Find clusters, and name each by its most typical words.

        "kmeans" divides the vectors themselves, so distortions of the map do not matter; "hdbscan" finds the islands of
        the map, as the eye does, and leaves out points between them.  Raises InputError for an impossible count or
        seed, MissingExtraError without the extra `viz`.
        """
        N = len(vectors)
        if method not in METHODS:
            raise InputError(f"clusters={method!r} is unknown; known: {', '.join(METHODS)}")
        if count is not None and (method != "kmeans" or not 1 <= count <= min(N, KINDS)):
            raise InputError(f"a number of clusters goes with k-means, and is 1 to {min(N, KINDS)}, not {count}")
        seed = check_whole("seed", seed, 0, LARGEST_SEED)
        if method == "kmeans":
            unit = l2_normalize(np.asarray(vectors, np.float64))
            raw = kmeans(unit, count or min(MOST, max(2, round(N**0.5 / 5))), seed)
            origin = "k-means of the vectors"
        else:
            raw, origin = hdbscan(np.asarray(points, np.float64)), "islands of the map (HDBSCAN)"
        sizes = Counter(raw[raw >= 0].tolist())
        order = [label for label, _ in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))][: KINDS - 1]
        place = {label: i for i, label in enumerate(order)}
        labels = np.array([place.get(label, NONE) for label in raw.tolist()], np.int64)
        return cls(labels, typical_words(texts, labels, len(order)), origin, "in no cluster")


def kmeans(unit: Array, count: int, seed: int) -> Array:  # (N, D) -> (N,)
    """Divide rows among `count` centres, on one thread, so that sums always have the same order."""
    from threadpoolctl import threadpool_limits

    _, cluster = scikit_learn("finding clusters")
    count = min(count, len(np.unique(unit, axis=0)) if len(unit) < 1000 else count)
    with threadpool_limits(1):
        labels: Array = cluster.KMeans(count, n_init=4, random_state=int(seed)).fit_predict(unit)
    return labels


def hdbscan(points: Array) -> Array:  # (N, d) -> (N,), -1 for none
    """Find dense islands of at least a hundredth of the points each."""
    _, cluster = scikit_learn("finding clusters")
    if len(points) < 5:
        return np.zeros(len(points), np.int64)
    least = max(5, len(points) // 100)
    labels: Array = cluster.HDBSCAN(min_cluster_size=min(least, len(points)), min_samples=5, copy=True).fit_predict(
        points
    )
    return labels


def words_of(text: str) -> set[str]:
    """The words of a text, in lower case; Han and kana, written without spaces, in pairs of characters.

    >>> sorted(words_of("A cat's 2 eyes, a CAT"))
    ['cat', "cat's", 'eyes']
    """
    text = text[:10_000].lower()
    pairs = (run[i : i + 2] for run in UNSPACED.findall(text) for i in range(max(len(run) - 1, 1)))
    return {*WORD.findall(UNSPACED.sub(" ", text)), *pairs}


def typical_words(texts: Sequence[str], labels: Array, count: int, first: int = 1) -> tuple[str, ...]:
    """Name each cluster by the words that distinguish it from the others (class-based tf-idf).

    A word's weight is its share (of the cluster's texts that contain it), times the logarithm of this share divided by
    its share among all texts: words that occur everywhere have no weight, in any language.  A cluster without typical
    words is named by its number, from `first`.

    >>> typical_words(["the cat", "the cat", "the dog", "a dog"], np.array([0, 0, 1, 1]), 2)
    ('cat', 'dog')
    """
    every: Counter[str] = Counter()
    own: list[Counter[str]] = [Counter() for _ in range(count)]
    for text, label in zip(texts, labels.tolist(), strict=True):
        words = words_of(text)
        every.update(words)
        if label >= 0:
            own[label].update(words)
    names = []
    for i, words_here in enumerate(own):
        size = max(int((labels == i).sum()), 1)
        often = {word: n for word, n in words_here.items() if n > 1}
        best = _telling(often, size, every, len(texts)) or _telling(words_here, size, every, len(texts))
        names.append(shorten(" · ".join(without_kin(best)) or f"cluster {i + first}"))
    return tuple(names)


def _telling(own: Mapping[str, int], size: int, every: Mapping[str, int], total: int) -> list[str]:
    """The words that distinguish a cluster of `size` texts from all texts, the most typical first."""
    share = {word: n / size for word, n in own.items() if word not in COMMON}
    weight = {word: p * np.log(p * total / every[word]) for word, p in share.items()}
    telling = [word for word in weight if share[word] * total >= LIFT * every[word]]
    telling = telling or [word for word in weight if weight[word] > 0]
    return sorted(telling, key=lambda word: (-weight[word], word))


def without_kin(words: Sequence[str]) -> list[str]:
    """The first few words, without those that begin like an earlier one.

    >>> without_kin(["file", "files", "open", "path"])
    ['file', 'open', 'path']
    """
    kept: list[str] = []
    for word in words:
        if not any(word.startswith(other[:4]) and len(other) >= 4 for other in kept):
            kept.append(word)
        if len(kept) == WORDS:
            break
    return kept


def shorten(name: str, limit: int = LONGEST) -> str:
    """A name on one line, with control characters made visible, truncated if it is too long.

    >>> shorten("a\\nb"), shorten("x" * 50, 5)
    ('a b', 'xxxx…')
    """
    line = visible(" ".join(name[: 4 * limit].split())) or "(empty)"
    return line if len(line) <= limit else line[: limit - 1] + "…"
