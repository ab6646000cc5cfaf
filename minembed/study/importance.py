"""How much each head matters for the cosines of pairs: by ablation, and estimated by a gradient."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from minembed.evaluation.pairs import spearman
from minembed.models.embedder import Embedder
from minembed.runtime.checks import check_whole
from minembed.study.changes import ablate_head
from minembed.study.editing import edit
from minembed.study.effects import cosines, rows_of
from minembed.study.given import check_embedder, check_layers
from minembed.study.gradients import Number, grad
from minembed.study.on_numpy import on_numpy
from minembed.study.tracing import trace
from minembed.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class HeadImportance:
    """By layer and head, the mean absolute change of a pair's cosine if the head's output is zero."""

    ablation: Array  # (L, H) float64: computed
    gradient: Array  # (L, H): estimated by the gradient, as if the cosine were linear down to zero
    correlation: float  # Spearman's, of the two over all heads

    def table(self, top: int = 10) -> str:
        """The most important heads, with both numbers side by side."""
        check_whole("top", top, 0)
        order = np.argsort(-self.ablation, axis=None, kind="stable")[:top]
        lines = ["layer  head  ablation  gradient"]
        for layer, head in zip(*np.unravel_index(order, self.ablation.shape), strict=True):
            lines.append(f"{layer:5d}  {head:4d}  {self.ablation[layer, head]:8.4f}  {self.gradient[layer, head]:8.4f}")
        return "\n".join([*lines, f"rank correlation of all {self.ablation.size} heads: {self.correlation:.3f}"])


def head_importance(model: Embedder, pairs: Iterable[Sequence[str]]) -> HeadImportance:
    """Measure every head on pairs of texts, in both ways (Michel et al., 2019).

    By ablation, each head is left out in both texts, and the cosine is computed again: L H + 1 passes.  By gradient x
    activation, its context times the gradient of the cosine is summed: one backward pass per text, for all heads.  Both
    leave out one head at a time; heads that replace each other are found by neither.

    Raises InputError for pairs of another form, or none, and for a model that does not compute in float32.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> head_importance(model, [("a cat", "a kitten")]).ablation.shape  # doctest: +SKIP
    (6, 12)
    """
    check_embedder(model, "head_importance")
    check_layers(model, "head_importance")
    rows, model = rows_of(pairs, 2, "pairs"), on_numpy(model)
    L, H = model.config.num_hidden_layers, model.config.num_attention_heads
    guessed = np.mean([np.abs(_guessed(model, a, b)) for a, b in rows], axis=0)
    before, measured = cosines(model, rows), np.zeros((L, H))
    for layer in range(L):
        for head in range(H):
            after = cosines(edit(model, ablate_head(layer, head)), rows)
            measured[layer, head] = np.abs(after - before).mean()
    return HeadImportance(measured, guessed, spearman(measured.reshape(-1), guessed.reshape(-1)))


def _guessed(model: Embedder, a: str, b: str) -> Array:  # (L, H)
    """For one pair, the decrease of the cosine without each head, if it were linear."""
    L, H = model.config.num_hidden_layers, model.config.num_attention_heads
    names = [f"layer.{i}.context" for i in range(L)]
    traces, fall = trace(model, [a, b], names=[*names, "vector"]), np.zeros((L, H))
    one, two = traces
    for text, own, other in ((a, one, two), (b, two, one)):  # not own.text, which has the prompt already
        slopes = grad(model, cosine_to(other["vector"]), text, names)
        for i, name in enumerate(names):
            by_head = (own[name].astype(np.float64) * slopes[name]).reshape(len(own.pieces), H, -1)
            fall[i] += by_head.sum(axis=(0, 2))
    return fall


def cosine_to(other: Array) -> Number:
    """The cosine of a vector with a constant one, and its gradient with respect to the first.

    >>> value, slope = cosine_to(np.float64([0, 2]))(np.float64([3, 4]))
    >>> value, slope.round(3).tolist()
    (0.8, [-0.096, 0.072])
    """
    unit = other.astype(np.float64) / np.linalg.norm(other.astype(np.float64))

    def number(x: Array) -> tuple[float, Array]:
        x = x.astype(np.float64)
        length = np.linalg.norm(x)
        value = float(x @ unit / length)
        return value, (unit - value * x / length) / length

    return number
