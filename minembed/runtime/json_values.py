"""Convert values of Python and NumPy to JSON."""

import json
from collections.abc import Mapping
from datetime import date, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from minembed.errors import InputError, InputTypeError

RULE = "JSON says texts, numbers, true, false, null, lists and objects"


def json_of(values: object, name: str) -> str:
    """A mapping with str keys as JSON on one line; `name` is its name in messages.

    NumPy's scalars and arrays become numbers, texts and lists; dates and times texts in ISO 8601; a Decimal or a UUID
    its text; tuples lists.  Raises InputError for any other value, including NaN and infinity, and names its key;
    InputTypeError if it is not a mapping, or a key is not a str.

    >>> json_of({"price": np.float64(2.5), "made": date(2024, 2, 29), "tags": ("a", "b")}, "fields[0]")
    '{"price": 2.5, "made": "2024-02-29", "tags": ["a", "b"]}'
    >>> json_of({"price": float("nan")}, "fields[0]")
    Traceback (most recent call last):
    minembed.errors.InputError: fields[0]['price'] is nan, which JSON cannot say: give None where a value is missing
    """
    if not isinstance(values, Mapping):
        raise InputTypeError(f"{name} is {type(values).__name__}, not a mapping from str to values (a dict), or None")
    key = next((key for key in values if not isinstance(key, str)), None)
    if key is not None:
        raise InputTypeError(f"{name} has the key {key!r}, a {type(key).__name__}; keys must be str")
    try:
        return _encode(dict(values))
    except (ValueError, TypeError, RecursionError):
        for key, value in values.items():
            _check(value, f"{name}[{key!r}]")
        raise  # unreachable: one of the values raises


def _check(value: object, name: str) -> None:
    try:
        _encode(value)
    except (ValueError, TypeError, RecursionError) as error:
        shown = repr(value) if isinstance(value, float | np.floating) else f"of type {type(value).__name__}"
        remedy = "give None where a value is missing"
        if isinstance(value, bytes | bytearray | memoryview):
            remedy = "decode it first, as in value.decode()"
        elif not isinstance(value, float | np.floating):
            remedy = f"{error}; {RULE}"
        raise InputError(f"{name} is {shown}, which JSON cannot say: {remedy}") from error


def _said(value: Any) -> Any:
    """The JSON equivalent of a value that json does not know."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufUO":
        return value.tolist()
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        return value.item()
    if isinstance(value, np.datetime64) and not np.isnat(value):
        return str(value)
    if isinstance(value, date | time) and str(value) != "NaT":  # pandas' NaT is a datetime too
        return value.isoformat()
    if isinstance(value, UUID) or (isinstance(value, Decimal) and value.is_finite()):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"it holds {str(value)[:40]!r}, of type {type(value).__name__}")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_said).encode
