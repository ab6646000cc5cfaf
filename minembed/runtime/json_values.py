"""Values of Python and NumPy as JSON says them."""

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
    """Write a mapping from str to what JSON can say, as JSON on one line; `name` is what messages call it.

    NumPy's scalars and arrays are numbers, texts and lists; dates and times are texts of ISO 8601; a Decimal or a UUID
    is its text; tuples are lists.  Raises InputError for any other value, NaN and infinity among them, and names its
    key; InputTypeError for what is no mapping, or has a key that is no str.

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
        raise  # never: one of the values is to blame


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
    """What JSON says in place of a value that it does not know."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufUO":
        return value.tolist()
    if isinstance(value, np.generic) and value.dtype.kind in "biufU":
        return value.item()
    if isinstance(value, np.datetime64) and not np.isnat(value):
        return str(value)
    if isinstance(value, date | time) and str(value) != "NaT":  # as pandas has it, which calls itself a datetime
        return value.isoformat()
    if isinstance(value, UUID) or (isinstance(value, Decimal) and value.is_finite()):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"it holds {str(value)[:40]!r}, of type {type(value).__name__}")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_said).encode
