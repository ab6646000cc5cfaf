"""An explanation of a score: a matrix of tokens by tokens, and the difference of its sum from the score."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from minembed.runtime.checks import check_whole
from minembed.study.putting_to_test import Test
from minembed.types import Array

Level = Literal["output", "input", "integrated", "deletion"]
Bias = Literal["show", "spread", "hide"]
LEVELS: dict[Level, str] = {
    "output": "the similarity of the last hidden states",
    "input": "the contribution of each token's embedding, with gates frozen",
    "integrated": "integrated gradients, from average words to these tokens",
    "deletion": "the effect of leaving tokens out",
}


@dataclass(frozen=True, slots=True)
class Side:
    """The rows or columns of a text: its tokens, then contributions that come from no token."""

    text: str  # with its prompt
    pieces: tuple[str, ...]  # (N,) tokens as in the vocabulary, with special tokens
    special: Array  # (N,) bool
    constants: tuple[str, ...] = ()  # (C,) "(position)", "(bias)": N + C rows or columns

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of all rows or columns."""
        return self.pieces + self.constants


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """The contributions to a score of two texts.  `str()` shows the strongest pairs, the sum and the residual.

    Contributions that add up are not necessarily causes: `test` compares them with the effects of leaving tokens out.
    """

    level: Level
    similarity: str  # "cosine", "dot", or "score" of a Reranker
    score: float  # the model's own
    a: Side
    b: Side
    matrix: Array  # (rows of a, columns of b) float64
    hidden: float = 0.0  # the sum of the rows and columns that bias="hide" removed
    bias: Bias = "show"
    steps: tuple[tuple[int, float], ...] = ()  # of "integrated": numbers of steps, each with its residual
    notes: tuple[str, ...] = ()  # remarks on this model and level
    test: Test | None = None
    effects: tuple[Array, Array] | None = None  # of "deletion": the loss without each token, (N,) and (M,)

    @property
    def sum(self) -> float:
        """The sum of all contributions, with the hidden ones."""
        return float(self.matrix.sum()) + self.hidden

    @property
    def residual(self) -> float:
        """The absolute difference of the sum and the score."""
        return abs(self.sum - self.score)

    @property
    def tokens(self) -> Array:  # (N, M)
        """The part of the matrix whose rows and columns are tokens."""
        return self.matrix[: len(self.a.pieces), : len(self.b.pieces)]

    def of_tokens(self) -> tuple[Array, Array]:  # (N,), (M,)
        """The contribution of each token of a, and of b: the sum of its row or column; for "deletion" its effect."""
        if self.effects is not None:
            return self.effects
        n, m = len(self.a.pieces), len(self.b.pieces)
        return self.matrix[:n].sum(axis=1), self.matrix[:, :m].sum(axis=0)

    @property
    def constant(self) -> float:
        """The sum of all rows and columns that are not tokens."""
        return self.sum - float(self.tokens.sum())

    def pairs(self, top_k: int | None = None) -> list[tuple[str, str, float]]:
        """The pairs of tokens, those of the largest absolute value first; raises InputError for a `top_k` below 0."""
        if top_k is not None:
            check_whole("top_k", top_k, 0, also=", or None")
        order = np.argsort(-np.abs(self.tokens), axis=None, kind="stable")[:top_k]
        places = [divmod(int(i), self.tokens.shape[1]) for i in order]
        return [(self.a.pieces[i], self.b.pieces[j], float(self.tokens[i, j])) for i, j in places]

    def __str__(self) -> str:
        lines = [f"{self.similarity} {self.score:.6f}  by {self.level}: {LEVELS[self.level]}"]
        shown = self.pairs(10)
        wide = max((len(a) for a, _, _ in shown), default=0)
        lines += [f"  {value:+.4f}  {a:<{wide}}  {b}" for a, b, value in shown]
        if len(self.tokens.reshape(-1)) > len(shown):
            lines.append(f"  {self._others(shown):+.4f}  the other {self.tokens.size - len(shown)} pairs of tokens")
        constants = dict.fromkeys(self.a.constants + self.b.constants)
        if constants:
            lines.append(f"  {self.constant:+.4f}  with {', '.join(constants)} of either text")
        elif self.hidden:
            lines.append(f"  {self.hidden:+.4f}  hidden: contributions that come from no token")
        lines.append(f"sum {self.sum:.6f}, residual {self.residual:.1e}")
        if self.steps:
            lines.append("residual by steps: " + ", ".join(f"{n}: {off:.1e}" for n, off in self.steps))
        lines += self.notes
        if self.test is not None:
            lines.append(str(self.test))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from minembed.study.notebook import explanation_html  # late import: notebook.py needs this file

        return explanation_html(self)

    def _others(self, shown: list[tuple[str, str, float]]) -> float:
        return float(self.tokens.sum()) - sum(value for _, _, value in shown)


def with_bias(found: Explanation, bias: Bias) -> Explanation:
    """Show contributions that come from no token, spread them evenly over a text's tokens, or hide them.

    >>> side = Side("a b", ("a", "b"), np.zeros(2, bool), ("(bias)",))
    >>> shown = Explanation("input", "cosine", 1.0, side, side, np.diag([0.3, 0.3, 0.4]))
    >>> with_bias(shown, "spread").matrix.round(6).tolist()
    [[0.4, 0.1], [0.1, 0.4]]
    >>> with_bias(shown, "hide").hidden
    0.4
    """
    if bias == "show" or not (found.a.constants or found.b.constants):
        return found
    n, m = (len(side.pieces) for side in (found.a, found.b))
    a, b = (replace(side, constants=()) for side in (found.a, found.b))
    if bias == "hide":
        kept = found.matrix[:n, :m].copy()
        return replace(found, a=a, b=b, matrix=kept, hidden=float(found.matrix.sum() - kept.sum()), bias=bias)
    left, right = _spreading(n, len(found.matrix)), _spreading(m, found.matrix.shape[1])
    note = f"{found.constant:+.4f} from no token is spread over them evenly"
    notes = (*found.notes, note)
    return replace(found, a=a, b=b, matrix=left.T @ found.matrix @ right, bias=bias, notes=notes)


def _spreading(n: int, rows: int) -> Array:  # -> (rows, n)
    return np.concatenate([np.eye(n), np.full((rows - n, n), 1 / max(n, 1))])
