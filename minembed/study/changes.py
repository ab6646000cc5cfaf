"""The changes that can be made to an intermediate result, or to a part of it.

A change is one of `zero`, `scale`, `replace_by`, `patch` and `mean_over`, of the whole array of a step or of a part:
`head` (of "query", "key", "value", "scores", "probabilities", "context"), `token` (a row; of scores and probabilities,
the token that attends), `key` (of these two, the token that is attended to) and `neuron` (a number of each row, such as
neuron 17 of "layer.3.activated").  Each is a whole number or a sequence of them; negative ones count from the end.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError, InputTypeError
from minembed.runtime.checks import whole_number
from minembed.runtime.columns import as_texts
from minembed.study.step import Step
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.study.traced import Trace

Which = int | Sequence[int] | None  # None: all
Kind = Literal["zero", "scale", "replace", "patch", "mean"]
INDICES = {  # by the axes of a step, the argument that selects along each
    ("H", "N", "N"): ("head", "token", "key"),
    ("H", "N", "K"): ("head", "token", "neuron"),
    ("V",): ("neuron",),
}
ROWS = ("token", "neuron")  # for all other steps
LARGEST = float(np.finfo(np.float64).max)  # the largest factor


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a step's array; None selects all along an axis."""

    head: Which = None
    token: Which = None
    key: Which = None
    neuron: Which = None

    def __str__(self) -> str:
        """The part as it is written in a call: "head=5, token=2"."""
        chosen = ((name, getattr(self, name)) for name in ("head", "token", "key", "neuron"))
        return ", ".join(f"{name}={which}" for name, which in chosen if which is not None)

    def index(self, step: Step, tokens: int | None, heads: int, text: str = "") -> tuple[Array | None, ...]:
        """The selected indices along each axis of a step, one array per axis, for a text of `tokens` tokens.

        If `tokens` is None, the text is not known yet: the array of the axis of tokens is None.  Raises InputError for
        an index that does not exist, and for an argument for which the step has no axis.
        """
        names = INDICES.get(step.axes, ROWS)
        by_columns = step.axes == ("N", "HK")  # heads are side by side
        for name in ("head", "token", "key", "neuron"):
            if getattr(self, name) is not None and name not in names and not (name == "head" and by_columns):
                wanted = ", ".join((*names, *(("head",) if by_columns else ())))
                raise InputError(f"{step.name} has no {name} to choose: its axes are {step.axes}, chosen by {wanted}")
        found: list[Array | None] = []
        for name, axis, size in zip(names, step.axes, step.shape, strict=True):
            if by_columns and name == "neuron":
                found.append(self._columns(step, size, heads, text))
                continue
            length = size if axis != "N" else tokens
            which = getattr(self, name)
            if length is None:
                _whole_numbers(which, name)
                found.append(None)
            else:
                found.append(_places(which, length, name, step.name, text))
        return tuple(found)

    def _columns(self, step: Step, size: int, heads: int, text: str) -> Array:
        """The columns of the selected neurons of the selected heads."""
        columns = np.arange(size).reshape(heads, -1)
        rows = columns[_places(self.head, heads, "head", step.name, text)]
        if self.head is None:
            return _places(self.neuron, size, "neuron", step.name, text)
        return rows[:, _places(self.neuron, rows.shape[1], "neuron", step.name, text)].reshape(-1)


def _whole_numbers(which: Which, name: str) -> list[int] | None:
    if which is None:
        return None
    asked = list(which) if isinstance(which, Sequence | np.ndarray) and not isinstance(which, str) else [which]
    found = [whole_number(one) for one in asked]
    if None in found or not found:
        raise InputTypeError(f"{name} must be a whole number, or a sequence of them, not {which!r}")
    return [one for one in found if one is not None]


def _places(which: Which, size: int, name: str, step: str, text: str) -> Array:
    asked = _whole_numbers(which, name)
    if asked is None:
        return np.arange(size)
    for one in asked:
        if not -size <= one < size:
            raise InputError(f"{text}{step} has no {name} {one}: it has {size}, 0 to {size - 1}")
    return np.array(asked, dtype=np.int64) % size


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A change of a part of a step's array; the functions below create it."""

    kind: Kind
    part: Part
    value: Any = 0.0  # a factor, an Array, the Trace of another text, or a tuple of texts
    from_token: int | None = None  # of a patch: the token of the other text, if its index differs

    def __repr__(self) -> str:
        return f"{self.kind}({self.part})"


Changes = Mapping[str, Change | Sequence[Change]]


def zero(*, head: Which = None, token: Which = None, key: Which = None, neuron: Which = None) -> Change:
    """Replace a part by zeros.

    >>> zero(head=5)
    zero(head=5)
    """
    return Change("zero", Part(head, token, key, neuron), np.zeros(()))


def scale(factor: float, *, head: Which = None, token: Which = None, key: Which = None, neuron: Which = None) -> Change:
    """Multiply a part by a number.  Raises InputError if the number is not finite.

    >>> scale(0.5, token=[1, 2])
    scale(token=[1, 2])
    """
    if not isinstance(factor, int | float | np.integer | np.floating) or not abs(factor) <= LARGEST:
        raise InputError(f"factor must be a finite number, not {factor!r}")
    return Change("scale", Part(head, token, key, neuron), float(factor))


def replace_by(
    array: ArrayLike, *, head: Which = None, token: Which = None, key: Which = None, neuron: Which = None
) -> Change:
    """Replace a part by an array of its shape, or by one that NumPy broadcasts to it.

    An axis along which one index is selected has length 1.  Raises InputError unless `array` holds finite numbers.

    >>> replace_by([0.0, 1.0], token=-1)
    replace(token=-1)
    """
    try:
        numbers = np.array(array)
    except ValueError:  # rows of different lengths
        raise InputError("array must hold finite numbers; these are lists of several lengths") from None
    if numbers.dtype.kind not in "fiu" or not np.isfinite(numbers).all():
        raise InputError(f"array must hold finite numbers; it is {numbers.dtype} of shape {numbers.shape}")
    numbers.flags.writeable = False
    return Change("replace", Part(head, token, key, neuron), numbers)


def patch(
    trace: "Trace",
    *,
    head: Which = None,
    token: Which = None,
    key: Which = None,
    neuron: Which = None,
    from_token: int | None = None,
) -> Change:
    """Replace a part by the same part of another text, which its trace holds.

    The texts need the same number of tokens, unless `token` selects rows; `from_token` gives their indices in the other
    text, if they differ.  Raises InputError if `from_token` is given without one `token`.

    >>> from minembed import Embedder
    >>> from minembed.study import edit, trace
    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> edit(model, {"layer.2": patch(trace(model, "a dog"), token=2)}).encode("a cat").shape  # doctest: +SKIP
    (384,)
    """
    from minembed.study.traced import Trace

    if not isinstance(trace, Trace):
        raise InputTypeError(f"patch takes a Trace, as minembed.study.trace gives it, not {type(trace).__name__}")
    if from_token is not None and (whole_number(token) is None or whole_number(from_token) is None):
        raise InputError(f"from_token={from_token!r} needs one token in whose place it comes, not token={token!r}")
    return Change("patch", Part(head, token, key, neuron), trace, from_token)


def mean_over(texts: Iterable[str], *, head: Which = None, token: Which = None, neuron: Which = None) -> Change:
    """Replace a part by its mean over all tokens of reference texts: its value without information on the text.

    Scores and probabilities have no such mean, since their size depends on the text.  Raises InputError for no texts.

    >>> mean_over(["a cat", "a dog"], head=3)
    mean(head=3)
    """
    several = tuple(as_texts(texts))
    if not several:
        raise InputError("mean_over needs at least one text")
    return Change("mean", Part(head, token, None, neuron), several)


def ablate_head(layer: int, head: Which) -> dict[str, Change]:
    """Remove the output of a head of a layer: its part of "layer.i.context" becomes zero.

    >>> ablate_head(3, 5)
    {'layer.3.context': zero(head=5)}
    """
    return {f"layer.{_layer(layer)}.context": zero(head=head)}


def ablate_neuron(layer: int, neuron: Which) -> dict[str, Change]:
    """Keep a neuron of a layer's feed-forward block from firing: its part of "layer.i.activated" becomes zero.

    >>> ablate_neuron(3, 17)
    {'layer.3.activated': zero(neuron=17)}
    """
    return {f"layer.{_layer(layer)}.activated": zero(neuron=neuron)}


def ablate_layer(layer: int) -> dict[str, Change]:
    """Remove what a layer adds, from its attention and from its feed-forward block; the norms of its sums stay.

    >>> sorted(ablate_layer(3))
    ['layer.3.attention', 'layer.3.feed_forward']
    """
    return {f"layer.{_layer(layer)}.attention": zero(), f"layer.{_layer(layer)}.feed_forward": zero()}


def _layer(layer: int) -> int:
    number = whole_number(layer)
    if number is None or number < 0:
        raise InputError(f"layer must be a whole number, 0 or more, not {layer!r}")
    return number


def apply(change: Change, step: Step, x: Array, index: tuple[Array, ...]) -> Array:
    """Make a change to the array of one text; `index` comes from `Part.index`.

    >>> step = Step("pooled", (), ("V",), (3,), "", lambda: None)
    >>> apply(scale(2, neuron=1), step, np.ones(3), zero(neuron=1).part.index(step, 1, 1)).tolist()
    [1.0, 2.0, 1.0]
    """
    new, place = x.copy(), np.ix_(*index)
    new[place] = x[place] * x.dtype.type(change.value) if change.kind == "scale" else numbers_of(change, step, index)
    return new


def numbers_of(change: Change, step: Step, index: tuple[Array | None, ...]) -> Array:
    """The numbers that replace a part.

    >>> numbers_of(zero(), Step("pooled", (), ("V",), (3,), "", lambda: None), (np.arange(3),)).tolist()
    0.0
    """
    other: Array = change.value
    if isinstance(other, np.ndarray):
        return other
    other = change.value[step.name]  # of a Trace
    tokens = INDICES.get(step.axes, ROWS)
    for axis, (name, places) in enumerate(zip(tokens, index, strict=True)):
        wanted = places
        if name == "token" and change.from_token is not None:
            wanted = _places(change.from_token, other.shape[axis], "from_token", step.name, "the trace's ")
        if wanted is not None and (getattr(change.part, name) is not None or step.axes[axis] != "N"):
            other = np.take(other, wanted, axis=axis)
    return other


def misfit(shape: Sequence[int], selected: Sequence[int | None]) -> bool:
    """Whether an array cannot be broadcast to a part; None in `selected` is a length that is not known yet.

    >>> misfit((4,), (None, 4)), misfit((3,), (None, 4)), misfit((2, 3, 4), (3, 4))
    (False, True, True)
    """
    pairs = zip_longest(reversed(shape), reversed(selected), fillvalue=-1)
    return any(b == -1 or (a not in (1, -1) and b is not None and a != b) for a, b in pairs)


def each(changes: Change | Sequence[Change]) -> Iterator[Change]:
    """Iterate over one change, or over several.

    >>> list(each([zero(), scale(2)]))
    [zero(), scale()]
    """
    several = [changes] if isinstance(changes, Change) else changes
    if not isinstance(several, Sequence) or isinstance(several, str):
        raise InputTypeError(f"a change is made by zero(), scale(), ..., not {type(changes).__name__}")
    for change in several:
        if not isinstance(change, Change):
            raise InputTypeError(f"a change is made by zero(), scale(), ..., not {type(change).__name__}")
        yield change
