"""Checks of arguments: each says what was expected, what came, and what to do."""

from minembed.errors import InputTypeError


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
