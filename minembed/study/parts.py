"""A vector as a sum of parts: one for each token, and one for each contribution that is not of a token."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minembed.runtime.threads import available_cores, run, single_threaded_blas
from minembed.study.explanation import Side
from minembed.study.frozen import Stage, carry, freeze
from minembed.study.graph import Graph
from minembed.study.running import compute, widened
from minembed.study.traced import Trace
from minembed.types import Array

ROWS = 2048  # of a block of parts: its widest array has some 10 MB
BESIDE_WORDS = {"embeddings.position": "(position)", "embeddings.token_type": "(token type)"}


@dataclass(frozen=True, slots=True)
class Work:
    """The parts of one text, before they are propagated."""

    names: tuple[str, ...]  # of the steps where parts begin: those of tokens, then those with a separate part
    values: tuple[Array, ...]  # (N, D) each
    stages: list[Stage]

    @property
    def count(self) -> int:
        """The number of parts: N of tokens, one for each other beginning, and last that of the biases."""
        return len(self.values[0]) + len(self.names)

    def block(self, some: range) -> Array:  # -> (len(some), V)
        """Propagate some of the parts to the vector."""
        N, parts = len(self.values[0]), {}
        for at, (name, x) in enumerate(zip(self.names, self.values, strict=True)):
            own = np.zeros((len(some), *x.shape), x.dtype)
            for row, which in enumerate(some):
                if at == 0 and which < N:
                    own[row, which] = x[which]
                elif at > 0 and which == N + at - 1:
                    own[row] = x
            parts[name] = own
        return carry(self.stages, parts, biases=self.count - 1 in some)


def begin(graph: Graph, values: Mapping[str, Array], names: tuple[str, ...]) -> Work:
    """Prepare the parts of a text that begin at some steps, those of tokens first; in the dtype of the values."""
    return Work(names, tuple(values[name] for name in names), freeze(graph, values, names))


def begin_wide(graph: Graph, names: tuple[str, ...]) -> Work:
    """The same in float64, with gates that are computed in float64."""
    wide = widened(graph)
    with np.errstate(under="ignore"), single_threaded_blas():
        values = compute(wide, {})
    return begin(wide, values, names)


def beginnings(graph: Graph, level: str) -> tuple[str, ...]:
    """The steps where parts begin: for "output" the last hidden states, for "input" the embedding rows.

    >>> beginnings({"embeddings.word": None, "pooled": None}, "input")
    ('embeddings.word',)
    """
    if level == "output":
        names = list(graph)
        return (names[names.index("pooled") - 1],)
    return ("embeddings.word", *(name for name in BESIDE_WORDS if name in graph))


def vectors_of_parts(works: Sequence[Work]) -> list[Array]:  # -> for each text (count, V) float64
    """Propagate the parts of several texts, some at a time, on all cores."""
    blocks: list[tuple[int, range]] = []
    for which, work in enumerate(works):
        size = max(1, ROWS // max(len(work.values[0]), 1))
        blocks += [(which, range(i, min(i + size, work.count))) for i in range(0, work.count, size)]
    send: Callable[[tuple[int, range]], Array] = lambda block: works[block[0]].block(block[1])  # noqa: E731
    found: list[list[Array]] = [[np.empty(0)] * work.count for work in works]
    with single_threaded_blas(), np.errstate(under="ignore"):
        for at, vectors in run(send, blocks, available_cores()):
            which, some = blocks[at]
            for row, part in zip(some, vectors, strict=True):
                found[which][row] = part
    return [np.array(rows, np.float64) for rows in found]


def side_of(t: Trace, names: tuple[str, ...], vectors: Array) -> tuple[Side, Array]:
    """Name the parts of a text; other parts than those of tokens are left out if they are exactly 0.

    The order of `vectors` is that of `Work`: tokens, other beginnings, biases.
    """
    labels = [*(BESIDE_WORDS[name] for name in names[1:]), "(bias)"]
    N = len(t.pieces)
    kept = [i for i in range(len(labels)) if vectors[N + i].any()]
    side = Side(t.text, t.pieces, t.special, tuple(labels[i] for i in kept))
    return side, np.concatenate([vectors[:N], vectors[[N + i for i in kept]]])
