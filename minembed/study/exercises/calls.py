"""Calling each exercise's function with plain arrays, in place of the rules of steps."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minembed.study.exercises.exercise import Compared, Place, checked
from minembed.study.traced import Trace
from minembed.train.backward.vjp import softmax_vjp
from minembed.types import Array

Function = Callable[..., Any]
SEED = 12


def each(call: Callable[[Function, Place], Any]) -> Callable[[Function, Sequence[Place]], list[Any]]:
    """A call for one text at a time."""
    return lambda function, places: [call(function, place) for place in places]


def scores(function: Function, place: Place) -> Any:
    """The function of queries, before their division by sqrt(K), and keys."""
    q, k = (place.values[name] for name in place.step.inputs)
    return function(q * np.float32(np.sqrt(q.shape[-1])), k.copy())


def of_input(function: Function, place: Place) -> Any:
    """The function of the step's only input."""
    return function(place.values[place.step.inputs[0]].copy())


def embed(function: Function, place: Place) -> Any:
    """The three rows of each token."""
    return function(*(place.values[name].copy() for name in place.step.inputs))


def positions(function: Function, place: Place) -> Any:
    """The rows of the table that the function names."""
    step, table = place.step, place.step.rule.table  # type: ignore[attr-defined]
    rows = np.asarray(function(step.shape[0]))
    if rows.dtype.kind not in "iu" or rows.shape != step.shape[:1] or rows.min() < 0 or rows.max() >= len(table):
        raise ValueError(f"positions must be {step.shape[0]} whole numbers from 0 to {len(table) - 1}, not {rows!r}")
    return table[rows]


def split_heads(function: Function, place: Place) -> Any:
    """Queries, keys or values; queries are divided by sqrt(K) afterwards."""
    step, rule = place.step, place.step.rule
    parts = function(place.values[place.step.inputs[0]].copy(), step.shape[0])
    if not isinstance(parts, tuple | list) or len(parts) != 3:
        raise ValueError("split_heads must return three arrays: queries, keys and values")
    found = checked(step.name, parts[rule.which], step.shape)  # type: ignore[attr-defined]
    return found / np.float32(np.sqrt(step.shape[-1])) if rule.which == 0 else found  # type: ignore[attr-defined]


def attend(function: Function, places: Sequence[Place]) -> list[Array]:
    """All texts at once, end to end."""
    at = places[0].step.name.removesuffix(".context")
    parts = "query", "key", "value"
    packed = [np.concatenate([place.values[f"{at}.{part}"] for place in places], axis=1) for part in parts]
    cu_seqlens = np.cumsum([0, *(place.step.shape[0] for place in places)])
    out = checked(f"{at}.context", function(*packed, cu_seqlens), packed[0].shape)
    cut = np.split(out, cu_seqlens[1:-1], axis=1)
    return [x.transpose(1, 0, 2).reshape(place.step.shape) for x, place in zip(cut, places, strict=True)]


def add_and_norm(function: Function, place: Place) -> Any:
    """The function of a block's input and output, and the weights of its norm."""
    name, values = place.step.name, place.values
    layer, _, part = name.removeprefix("layer.").partition(".")
    if part:  # attention, in the middle of the layer
        before = "embeddings" if layer == "0" else f"layer.{int(layer) - 1}"
        return function(values[before].copy(), values[f"layer.{layer}.attention"].copy(), place.step.rule)
    return function(values[f"{name}.attention_norm"].copy(), values[f"{name}.feed_forward"].copy(), place.step.rule)


def layer_norm(function: Function, place: Place) -> Any:
    """A row and the weights of its norm."""
    p = place.step.rule.p  # type: ignore[attr-defined]
    return function(place.values[place.step.inputs[0]].copy(), p.weight, p.bias)


def quantize(function: Function, place: Place) -> Any:
    """x @ numbers * scale + bias, with the weight as quantised by the function."""
    p = place.step.rule.p  # type: ignore[attr-defined]
    numbers, scale = function(p.weight.copy())
    numbers, scale = np.asarray(numbers), np.asarray(scale)
    if numbers.dtype != np.int8 or numbers.shape != p.weight.shape or scale.shape != p.weight.shape[1:]:
        raise ValueError(
            f"quantize must return int8 numbers {p.weight.shape} and scales {p.weight.shape[1:]}; "
            f"it gave {numbers.dtype} {numbers.shape} and {scale.shape}"
        )
    return place.values[place.step.inputs[0]] @ numbers.astype(np.float32) * scale + p.bias


def pool(function: Function, place: Place) -> Any:
    """The hidden states of a text, and which of its tokens are special ones."""
    return function(place.values[place.step.inputs[0]].copy(), place.special.copy())


def mean_pool(function: Function, places: Sequence[Place]) -> list[Array]:
    """The function of all texts as a padded rectangle; hidden states of padding are those of an encoder, not zero."""
    hidden = [place.values[place.step.inputs[0]] for place in places]
    lengths = np.array([len(x) for x in hidden])
    longest = int(lengths.max())
    padded = np.stack([np.concatenate([x, np.resize(-x[::-1], (longest - len(x), x.shape[1]))]) for x in hidden])
    out = checked("pooled", function(padded, lengths), (len(hidden), hidden[0].shape[1]))
    return list(out)


def slopes(function: Function, traces: Sequence[Trace]) -> Compared:
    """The backward pass of the softmax in every layer, last first, for random gradients."""
    rng = np.random.default_rng(SEED)
    names = [name for name in traces[0] if name.endswith(".probabilities")]
    for name in reversed(names):
        ys = [trace[name] for trace in traces]
        dys = [rng.standard_normal(y.shape, np.float32) for y in ys]
        label = f"slopes of {name.replace('probabilities', 'scores')}"
        mine = [checked(label, function(y.copy(), dy.copy()), y.shape) for y, dy in zip(ys, dys, strict=True)]
        yield label, mine, [softmax_vjp(y, dy) for y, dy in zip(ys, dys, strict=True)]
