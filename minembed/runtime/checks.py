"""Checks of arguments: each says what was expected, what came, and what to do."""

import operator

from minembed.errors import InputError, InputTypeError


def check_texts(texts: object) -> None:
    """Raise InputTypeError, with what to do, for what cannot be an iterable of texts.

    >>> check_texts(["a", "b"])
    """
    if isinstance(texts, bytes | bytearray | memoryview):
        raise InputTypeError(f"texts is {type(texts).__name__}, not str: decode it first, as in texts.decode()")
    if isinstance(texts, str):
        return
    try:
        iter(texts)  # type: ignore[call-overload]
    except TypeError:
        kind = type(texts).__name__
        raise InputTypeError(f"texts is {kind}; give a str, or a list or other iterable of str") from None


def whole_number(value: object) -> int | None:
    """Return a whole number of Python or NumPy as an int, and None for anything else, True and 3.0 included.

    >>> import numpy as np
    >>> whole_number(np.int64(3)), whole_number(True), whole_number(3.0)
    (3, None, None)
    """
    try:
        return None if isinstance(value, bool) else operator.index(value)  # type: ignore[arg-type]
    except TypeError:  # NumPy's bool is one of those that have no index
        return None


def check_whole(name: str, value: object, least: int = 1, most: int | None = None, also: str = "") -> int:
    """Return a whole number of Python or NumPy as an int; raises InputError for others, and outside of its range.

    `also` says what else may be given, as in ", or None".

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
    """Return a whole number of 64 bits, a seed or a step, as an int; raises InputError for others.

    >>> check_seed("seed", -1)
    Traceback (most recent call last):
    minembed.errors.InputError: seed must be a whole number from 0 to 2^64 - 1, not -1
    """
    number = whole_number(value)
    if number is None or not 0 <= number < 1 << 64:
        raise InputError(f"{name} must be a whole number from 0 to 2^64 - 1, not {value!r}")
    return number


def check_length(max_seq_length: object, positions: int) -> int:
    """Return a maximal length in tokens as an int; raises InputError beyond a model's `positions`.

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
