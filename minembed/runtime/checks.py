"""Checks of arguments: each error says what was expected, what was given, and what to do."""

import operator
from typing import Any

import numpy as np

from minembed.errors import InputError, InputTypeError
from minembed.types import Array


def whole_number(value: object) -> int | None:
    """Return a whole number of Python or NumPy as an int, and None for anything else, True and 3.0 included.

    >>> whole_number(np.int64(3)), whole_number(True), whole_number(3.0)
    (3, None, None)
    """
    try:
        return None if isinstance(value, (bool, np.bool_)) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return None


def check_whole(name: str, value: object, least: int = 1, most: int | None = None, also: str = "") -> int:
    """Return a whole number of Python or NumPy as an int; raises InputError for anything else and outside the range.

    `also` is what else the message allows, as in ", or None".

    >>> check_whole("k", 0)
    Traceback (most recent call last):
    minembed.errors.InputError: k must be a whole number of at least 1, not 0
    >>> check_whole("k", 2.0, 0, 9)
    Traceback (most recent call last):
    minembed.errors.InputError: k must be a whole number from 0 to 9, not 2.0
    """
    number = whole_number(value)
    if number is None or number < least or (most is not None and number > most):
        span = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} must be a whole number {span}{also}, not {value!r}")
    return number


def check_seed(name: str, value: object) -> int:
    """Return a whole number of 64 bits, a seed or a step, as an int; raises InputError for anything else.

    >>> check_seed("seed", -1)
    Traceback (most recent call last):
    minembed.errors.InputError: seed must be a whole number from 0 to 2^64 - 1, not -1
    """
    number = whole_number(value)
    if number is None or not 0 <= number < 1 << 64:
        raise InputError(f"{name} must be a whole number from 0 to 2^64 - 1, not {value!r}")
    return number


def check_length(max_seq_length: object, positions: int) -> int:
    """Return a maximum length in tokens as an int; raises InputError if it is above the model's `positions`.

    >>> check_length(513, 512)
    Traceback (most recent call last):
    minembed.errors.InputError: max_seq_length must be a whole number up to the model's 512 positions, not 513
    """
    number = whole_number(max_seq_length)
    if number is None or not 1 <= number <= positions:
        raise InputError(
            f"max_seq_length must be a whole number up to the model's {positions} positions, not {max_seq_length!r}"
        )
    return number


def as_matrix(
    name: str,
    values: Any,
    what: str = "numbers of shape (N, D)",
    *,
    one: bool = False,
    least: tuple[int, int] = (0, 0),
    dtype: Any = None,
) -> Array:  # (N, D) or, with `one`, (D,) -> (N, D)
    """Return a matrix of numbers as an array: `values` itself if it is one, a copy only if NumPy needs it.

    `one` accepts a single vector as one row; `least` is the smallest shape; `what` says in words what is expected.
    NaN and infinity are accepted: see `check_finite`.
    Raises InputError for another shape, InputTypeError if the values are not numbers.

    >>> as_matrix("queries", [1.0, 2.0], one=True).shape
    (1, 2)
    >>> as_matrix("corpus", [1.0, 2.0])
    Traceback (most recent call last):
    minembed.errors.InputError: corpus must be numbers of shape (N, D); got (2,)
    """
    try:
        array = np.asarray(values, dtype)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name} must be numbers, in vectors of one width: {error}") from error
    if array.dtype.kind not in "fiub":
        raise InputTypeError(f"{name} must be {what}; got {type(values).__name__} of {array.dtype}")
    if one and array.ndim == 1:
        array = array[None]
    if array.ndim != 2 or array.shape[0] < least[0] or array.shape[1] < least[1]:
        raise InputError(f"{name} must be {what}; got {array.shape}")
    return array


def as_matrices(names: tuple[str, str], a: Any, b: Any) -> tuple[Array, Array]:  # (N, D), (M, D)
    """Return two matrices of equal width as arrays, as `as_matrix` does; a single vector is one row.

    >>> as_matrices(("a", "b"), [1.0, 2.0], [[1.0, 2.0, 3.0]])
    Traceback (most recent call last):
    minembed.errors.InputError: a and b must be numbers of one width, shapes (N, D) and (M, D); got (1, 2) and (1, 3)
    """
    what = "numbers of one width, shapes (N, D) and (M, D)"
    x, y = (as_matrix(name, values, what, one=True) for name, values in zip(names, (a, b), strict=True))
    if x.shape[1] != y.shape[1]:
        raise InputError(f"{' and '.join(names)} must be {what}; got {x.shape} and {y.shape}")
    return x, y


def check_finite(name: str, rows: Array, start: int = 0) -> None:  # (n, D), of which the first is row `start`
    """Raise InputError if a row holds NaN or infinity.

    >>> check_finite("corpus", np.array([[0.0], [np.nan]]), 4096)
    Traceback (most recent call last):
    minembed.errors.InputError: corpus holds NaN or infinity, first in row 4097
    """
    bad = ~np.isfinite(rows).all(axis=1)
    if bad.any():
        raise InputError(f"{name} holds NaN or infinity, first in row {start + int(np.argmax(bad))}")
