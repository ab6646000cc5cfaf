"""Checks of the arguments of this package's functions: the model, the text, the names of steps."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from minembed.errors import InputError, InputTypeError, UnsupportedModelError
from minembed.models.embedder import Embedder
from minembed.transformer.tokens import Tokens
from minembed.types import Array


def check_embedder(model: object, who: str) -> None:
    """Raise InputTypeError for anything but an Embedder.

    >>> check_embedder("all-MiniLM-L6-v2", "trace")
    Traceback (most recent call last):
    minembed.errors.InputTypeError: trace takes an Embedder, not str: Embedder.load gives one
    """
    if not isinstance(model, Embedder):
        raise InputTypeError(f"{who} takes an Embedder, not {type(model).__name__}: Embedder.load gives one")


def check_layers(model: Embedder, who: str) -> None:
    """Raise UnsupportedModelError for a static model, which has no layers.

    >>> check_layers(Embedder.load("all-MiniLM-L6-v2"), "fires_most")  # doctest: +SKIP
    """
    if not model.config.num_hidden_layers:
        raise UnsupportedModelError(f"{who} needs layers, and a static model has none: it averages rows of a table")


def check_text(text: object, name: str = "text") -> None:
    """Raise InputTypeError for anything but a single text, such as a list of texts.

    >>> check_text(["a cat"])
    Traceback (most recent call last):
    minembed.errors.InputTypeError: text must be a str, not list
    """
    if not isinstance(text, str):
        raise InputTypeError(f"{name} must be a str, not {type(text).__name__}")


def as_names(names: object, argument: str = "names") -> tuple[str, ...]:
    """Return one name, or several, as a tuple; raises InputTypeError for anything but str.

    >>> as_names("layer.0.*"), as_names(["pooled", "vector"])
    (('layer.0.*',), ('pooled', 'vector'))
    """
    if isinstance(names, str):
        return (names,)
    if isinstance(names, bytes) or not isinstance(names, Iterable):
        raise InputTypeError(f"{argument} must be a str or several, not {names!r}")
    several = tuple(names)
    for i, name in enumerate(several):
        if not isinstance(name, str):
            raise InputTypeError(f"{argument}[{i}] must be a str, not {name!r}")
    return several


def as_slopes(dy: Any, shape: tuple[int, ...]) -> Array:
    """Return gradients as an array; raises InputError for other shapes, and for numbers that are not finite.

    >>> as_slopes([1, 2], (2,))
    array([1, 2])
    """
    try:
        found = np.asarray(dy)
    except ValueError:  # rows of several lengths
        raise InputError(f"dy must be numbers of shape {shape}; these are lists of several lengths") from None
    if found.shape != shape:
        raise InputError(f"dy must be numbers of the shape of what they are slopes by, {shape}, not {found.shape}")
    if found.dtype.kind not in "fiu" or not np.isfinite(found).all():
        raise InputError(f"dy must be finite numbers; these are {found.dtype}, and not all are finite numbers")
    return found


def cut_texts(tokens: Tokens, start: int = 0) -> list[int]:
    """The indices of the truncated texts, for a warning; `start` is that of the first text.

    >>> cut_texts(Tokens(np.arange(2), np.zeros(2, int), np.arange(3), truncated=np.array([False, True])), start=10)
    [11]
    """
    return [] if tokens.truncated is None else (start + np.flatnonzero(tokens.truncated)).tolist()
