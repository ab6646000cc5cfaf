"""Exact gradients of a number computed from a text's vector, with respect to any intermediate result."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from minembed.errors import InputError, InputTypeError, NumericalError
from minembed.models.embedder import Embedder
from minembed.runtime.pickling import reduced
from minembed.runtime.threads import single_threaded_blas
from minembed.study.backward import slopes_by
from minembed.study.given import as_names, as_slopes, check_text
from minembed.study.graph import Graph
from minembed.study.running import compute, dependents, widened
from minembed.study.tracing import trace
from minembed.types import Array

Number = Callable[[Array], tuple[float, Array]]  # y -> a number, and its gradient with respect to y
CHECKED = 16  # entries of each array that are checked by differences
STEP = 1e-5  # of these differences, relative to an array's mean size: float64 keeps half of its digits
CLOSE = 1e-5  # between gradient and difference, relative to the largest gradient of the array


@dataclass(frozen=True, slots=True, eq=False)
class Gradient(Mapping[str, Array]):
    """Gradients of a number by intermediate results of one text: a mapping from names to read-only arrays."""

    text: str
    of: str  # the step that the number is computed from: "vector"
    value: float  # the number itself
    slopes: Mapping[str, Array] = field(repr=False)
    off: Mapping[str, float] | None = None  # by name, the deviation from central differences, if checked

    def __getitem__(self, name: str) -> Array:
        """The gradient for a requested name, in the shape of its array."""
        return self.slopes[name]

    def __iter__(self) -> Iterator[str]:
        """The names, in the order of the encoder."""
        return iter(self.slopes)

    def __len__(self) -> int:
        return len(self.slopes)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make it picklable: its mappings are read-only."""
        return reduced(self)


def grad(
    model: Embedder,
    number: Number | Array,
    text: str,
    wrt: str | Iterable[str] = "embeddings.word",
    *,
    of: str = "vector",
    check: bool = False,
    prompt: str | None = None,
    prompt_name: str | None = None,
    normalize_embeddings: bool | None = None,
    truncate_dim: int | None = None,
) -> Gradient:
    """Compute exact gradients of a number with respect to intermediate results, by backpropagation.

    The number is computed from the array `of`, which is any name of `trace`: give a function from that array to the
    number and its gradient, or an array dy of its shape, which stands for the number (of * dy).sum().  `wrt` are the
    requested names; steps that the number does not depend on have gradients of 0.  They are float32, as the model.

    `check` computes the same in float64 and compares it with central differences at 16 entries of every array,
    including the largest gradient: `off` of the result is the deviation, relative to the largest gradient.  This takes
    32 passes for each name.

    Raises InputKeyError for an unknown name, InputError for a dy of another shape and for a model in bfloat16 or int8:
    rounding is a step function, whose gradients are 0 or infinite.  Raises NumericalError if the check fails.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> other = model.encode("a dog")  # doctest: +SKIP
    >>> slopes = grad(model, other, "a cat", wrt="layer.3.probabilities")  # of the cosine  # doctest: +SKIP
    >>> round(slopes.value, 3), slopes["layer.3.probabilities"].shape  # doctest: +SKIP
    (0.519, (12, 4, 4))
    """
    check_text(text)
    t = trace(
        model,
        text,
        prompt=prompt,
        prompt_name=prompt_name,
        normalize_embeddings=normalize_embeddings,
        truncate_dim=truncate_dim,
    )
    if t.dtype != "float32":
        raise InputError(
            f"the model computes in {t.dtype}, and rounding has no slopes: load it with dtype='float32' for grad"
        )
    asked = list(as_names(wrt, "wrt"))
    for name in (of, *asked):
        if name not in t.steps:
            t[name]  # raises InputKeyError, with similar names
    at = _as_number(number, t[of].shape)
    with np.errstate(under="ignore"), single_threaded_blas():
        value, dy = at(t[of])
        slopes = _asked(t.steps, dict(t.arrays), of, np.asarray(dy, t[of].dtype), asked)
        off = _differences(t.steps, at, of, asked) if check else None
    for array in slopes.values():
        array.flags.writeable = False
    return Gradient(t.text, of, float(value), MappingProxyType(slopes), off and MappingProxyType(off))


def _as_number(number: Number | Array, shape: tuple[int, ...]) -> Number:
    if callable(number):
        return partial(_called, number)
    dy = as_slopes(number, shape)
    return lambda y: (float((y.astype(np.float64) * dy).sum()), dy)


def _called(number: Number, y: Array) -> tuple[float, Array]:
    found = number(y)
    if not isinstance(found, tuple) or len(found) != 2:
        raise InputTypeError(f"number must return two values, a number and its slope, not {type(found).__name__}")
    return float(found[0]), as_slopes(found[1], y.shape)


def _asked(graph: Graph, values: Mapping[str, Array], of: str, dy: Array, names: list[str]) -> dict[str, Array]:
    """The gradients for some names, in the order of the graph."""
    found = slopes_by(graph, values, of, dy)
    return {name: np.array(found.get(name, np.zeros_like(values[name]))) for name in graph if name in names}


def _differences(graph: Graph, number: Number, of: str, names: list[str]) -> dict[str, float]:
    """For each name, the largest deviation of float64 gradients from central differences, by the largest gradient."""
    graph = widened(graph)
    values = compute(graph, {})
    dy = np.asarray(number(values[of])[1], np.float64)
    off = {}
    for name, slopes in _asked(graph, values, of, dy, names).items():
        largest = max(float(np.abs(slopes).max(initial=0)), 1e-300)
        below = dependents(graph, [name])
        given = {n: x for n, x in values.items() if n not in below}
        worst = 0.0
        for place in _places(slopes):
            x = values[name].copy()
            if not np.isfinite(x[place]):
                continue  # a masked score
            h = STEP * max(float(np.abs(x[np.isfinite(x)]).mean()), 1e-3)
            ends = []
            for sign in (1, -1):
                x[place] = values[name][place] + sign * h
                ends.append(number(compute(graph, given | {name: x}, of)[of])[0])
            worst = max(worst, abs((ends[0] - ends[1]) / (2 * h) - float(slopes[place])))
        off[name] = worst / largest if worst else 0.0
        if not off[name] <= CLOSE and worst > 1e-9:
            raise NumericalError(f"slopes by {name} are off from central differences by {off[name]:.1e} of the largest")
    return off


def _places(slopes: Array) -> list[tuple[int, ...]]:
    """Some entries of an array, the largest gradient first."""
    if not slopes.size:
        return []
    others = np.random.default_rng(0).permutation(slopes.size)[: CHECKED - 1]
    flat = [int(np.abs(slopes).argmax()), *others.tolist()]
    return [tuple(int(i) for i in np.unravel_index(place, slopes.shape)) for place in flat]
