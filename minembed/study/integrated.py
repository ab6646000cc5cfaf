"""Gradients summed along the path from average words to the words of a text: integrated gradients, and Jacobians.

The path begins with every token that is not special replaced by the average word, the mean row of the word table;
positions, segments and special tokens stay.  It is a straight line in the rows of words.  The integral of gradients
along it is the difference between its ends (Sundararajan et al., 2017); here it is a Gauss-Legendre sum, whose
residual shows its error.  For a pair of vectors the sums of Jacobians are multiplied (Möller et al., 2023, arXiv
2310.05703), which gives a table of token by token.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from minembed.runtime.threads import available_cores, run, single_threaded_blas
from minembed.study.backward import slopes_by
from minembed.study.graph import Graph
from minembed.study.rules import Rows
from minembed.study.running import compute
from minembed.study.tangents import pushforward
from minembed.types import Array

WORDS = "embeddings.word"
STEPS = (8, 16, 32, 64, 128)  # tried one after another, until the residual is small enough
ENOUGH = 1e-3
NUMBERS = 1 << 23  # in the largest array of a block of changes


@dataclass(frozen=True, slots=True)
class Way:
    """The path from average words to those of a text."""

    graph: Graph
    end: Array  # (N, D) the rows of the text
    start: Array  # (N, D)
    moving: tuple[int, ...]  # the tokens that are not special

    def at(self, part: float) -> Array:
        """The rows at a fraction of the path, 0 to 1."""
        return self.start + self.end.dtype.type(part) * (self.end - self.start)

    def last(self, part: float) -> Array:
        """The result of the last step there."""
        name = next(reversed(list(self.graph)))
        return compute(self.graph, {WORDS: self.at(part)}, name)[name]


def way_of(graph: Graph, special: Array) -> Way:
    """The path of one text; `special` (N,) marks the tokens that stay unchanged.

    >>> from minembed.study.step import Step
    >>> graph = {WORDS: Step(WORDS, (), (), (), "", Rows(np.float64([[1], [3]]), np.array([0, 1, 1])))}
    >>> way_of(graph, np.array([True, False, False])).start.tolist()
    [[1.0], [2.0], [2.0]]
    """
    rule = graph[WORDS].rule
    assert isinstance(rule, Rows)
    end = rule()
    start = np.where(special[:, None], end, rule.table.mean(axis=0, dtype=np.float64).astype(end.dtype))
    return Way(graph, end, start, tuple(np.flatnonzero(~special).tolist()))


def points(steps: int) -> list[tuple[float, float]]:
    """Gauss-Legendre points on 0 to 1, and their weights.

    >>> points(1)
    [(0.5, 1.0)]
    """
    places, weights = np.polynomial.legendre.leggauss(steps)
    return [(float(x + 1) / 2, float(w) / 2) for x, w in zip(places, weights, strict=True)]


def vectors_of_tokens(ways: tuple[Way, Way], steps: int) -> list[Array]:  # -> of each text (N, V) float64
    """The contribution of each token along the path: the sum of its changes of the vector; 0 for special tokens."""
    work = [(which, at, weight) for which in (0, 1) for at, weight in points(steps)]

    def part(item: tuple[int, float, float]) -> Array:
        which, at, weight = item
        return weight * _changes_at(ways[which], at)

    totals = [np.zeros((len(way.end), way.last(1.0).shape[0])) for way in ways]
    with single_threaded_blas(), np.errstate(under="ignore"):
        found: list[Array] = [np.empty(0)] * len(work)
        for i, moved in run(part, work, available_cores()):
            found[i] = moved
        for (which, _, _), moved in zip(work, found, strict=True):  # always in the same order: the same bits
            totals[which][list(ways[which].moving)] += moved
    return totals


def _changes_at(way: Way, at: float) -> Array:  # -> (moving, V)
    values = compute(way.graph, {WORDS: way.at(at)})
    largest = max((int(np.prod(step.shape)) for step in way.graph.values()), default=1)
    size = max(1, NUMBERS // max(largest, 1))
    out = []
    for begin in range(0, len(way.moving), size):
        some = way.moving[begin : begin + size]
        dx = np.zeros((len(some), *way.end.shape), way.end.dtype)
        for row, token in enumerate(some):
            dx[row, token] = way.end[token] - way.start[token]
        out.append(pushforward(way.graph, values, WORDS, dx).astype(np.float64))
    return np.concatenate(out) if out else np.zeros((0, values[next(reversed(values))].shape[0]))


def parts_of_score(way: Way, steps: int) -> Array:  # -> (N,) float64
    """The contribution of each token to the number that the last step gives: integrated gradients."""
    total = np.zeros(len(way.end))
    name = next(reversed(list(way.graph)))
    with single_threaded_blas(), np.errstate(under="ignore"):
        for at, weight in points(steps):
            values = compute(way.graph, {WORDS: way.at(at)}, name)
            slopes = slopes_by(way.graph, values, name, np.ones_like(values[name]))[WORDS]
            total += weight * ((way.end - way.start).astype(np.float64) * slopes).sum(axis=1)
    return total


def until_close(
    parts: Callable[[int], Mapping[str, Array]], residual: Callable[[Mapping[str, Array]], float]
) -> tuple[Mapping[str, Array], tuple[tuple[int, float], ...]]:
    """Increase the steps until the residual is below 1e-3; returns the parts, and the residual for each count.

    >>> until_close(lambda n: {"x": np.float64([1 / n**3])}, lambda parts: float(parts["x"][0]))[1]
    ((8, 0.001953125), (16, 0.000244140625))
    """
    told: list[tuple[int, float]] = []
    found: Mapping[str, Array] = {}
    for steps in STEPS:
        found = parts(steps)
        told.append((steps, residual(found)))
        if told[-1][1] <= ENOUGH:
            break
    return found, tuple(told)
