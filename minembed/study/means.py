"""The mean of a step over all tokens of reference texts, for mean ablation."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from minembed.models.embedder import Embedder
from minembed.study.changes import Change
from minembed.study.graph import Graph
from minembed.study.tracing import trace
from minembed.types import Array


def mean_of(model: Embedder, texts: Iterable[str], names: Iterable[str]) -> dict[str, Array]:
    """The mean of steps over all tokens of all texts, summed in float64; axes of tokens have length 1.

    Texts are computed one after another, so that memory does not grow with their number.

    >>> mean_of(Embedder.load("all-MiniLM-L6-v2"), ["a cat"], ["layer.0"])["layer.0"].shape  # doctest: +SKIP
    (1, 384)
    """
    wanted = tuple(names)
    sums: dict[str, Array] = {}
    counts = dict.fromkeys(wanted, 0)
    for text in texts:
        t = trace(model, text, names=wanted)
        for name in wanted:
            axis = t.steps[name].axes.index("N") if "N" in t.steps[name].axes else None
            x = t[name].astype(np.float64)
            own = x if axis is None else x.sum(axis=axis, keepdims=True)
            sums[name] = own if name not in sums else sums[name] + own
            counts[name] += 1 if axis is None else x.shape[axis]
    return {name: sums[name] / max(1, counts[name]) for name in wanted}


def with_means(
    model: Embedder, steps: Graph, changes: Mapping[str, tuple[Change, ...]]
) -> dict[str, tuple[Change, ...]]:
    """Replace every `mean_over` by numbers: each set of texts is computed once.

    >>> with_means(None, {}, {})
    {}
    """
    asked: dict[tuple[str, ...], list[str]] = {}
    for name, several in changes.items():
        for change in several:
            if isinstance(change.value, tuple):
                asked.setdefault(change.value, []).append(name)
    means = {texts: mean_of(model, texts, names) for texts, names in asked.items()}
    heads = 0 if model is None else model.config.num_attention_heads
    return {
        name: tuple(
            _replaced(change, means[change.value][name], steps, name, heads)
            if isinstance(change.value, tuple)
            else change
            for change in several
        )
        for name, several in changes.items()
    }


def _replaced(change: Change, mean: Array, steps: Graph, name: str, heads: int) -> Change:
    for axis, places in enumerate(change.part.index(steps[name], None, heads)):
        if places is not None:
            mean = np.take(mean, places, axis=axis)
    return replace(change, kind="replace", value=mean)
