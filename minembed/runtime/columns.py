"""Columns of texts, ids or labels: this module decides what is accepted as one.

Columns of pandas, polars and pyarrow are recognised by their attributes; none of these libraries is imported.
"""

import json
from collections.abc import Iterable, Iterator, KeysView, Mapping, Reversible, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.errors import InputTypeError

PIECE = 4096  # items of an Arrow column that are converted at a time


def column(values: Any, name: str, of: str = "str") -> Iterable[Any]:
    """Return an iterable of the items of a column, in order; for most columns that is the argument itself.

    A column is any iterable (list, tuple, generator, `dict.values()`, a one-dimensional array, a Series of pandas or
    polars, an array of pyarrow), except those that do not yield their values or have no order: a table, a dict, a set,
    an array of another shape, a single str, bytes.  These raise InputTypeError, which says what to write instead.
    The items are not checked: `as_text` does that.

    >>> list(column({"a": "one", "b": "two"}.values(), "texts"))
    ['one', 'two']
    >>> column({"a": "one", "b": "two"}, "texts")
    Traceback (most recent call last):
    minembed.errors.InputTypeError: texts is dict: give texts.values() or texts.keys()
    """
    if isinstance(values, list | tuple):
        return values
    remedy = _remedy(values, name, of)
    if remedy:
        raise InputTypeError(f"{name} is {type(values).__name__}{remedy}")
    return _Arrow(values) if hasattr(values, "to_pylist") else values


def as_texts(texts: Any, name: str = "texts", *, one: bool = False) -> list[str]:
    """A column of texts, or with `one` also a single text, as a new list of str.

    Raises InputTypeError if it is not a column, or an item is not a text.

    >>> as_texts("one", one=True), as_texts(np.array(["one", "two"]))
    (['one'], ['one', 'two'])
    >>> as_texts(["one", None])
    Traceback (most recent call last):
    minembed.errors.InputTypeError: texts[1] is missing (None); leave such rows out, or put "" in their place
    """
    several = [texts] if one and isinstance(texts, str) else list(column(texts, name))
    for i, text in enumerate(several):
        if type(text) is not str:
            several[i] = as_text(text, i, name)
    return several


def as_text(value: object, i: int, name: str = "texts") -> str:
    """Item `i` of a column as a plain str; raises InputTypeError, which says what to do, if it is not a text.

    >>> as_text(np.str_("one"), 0)
    'one'
    >>> as_text(b"one", 7)
    Traceback (most recent call last):
    minembed.errors.InputTypeError: texts[7] is bytes, not str: decode it first
    """
    if isinstance(value, str):
        return str.__str__(value)  # str() of an enum member would be its name
    absent = missing(value)
    if absent:
        raise InputTypeError(f'{name}[{i}] is missing ({absent}); leave such rows out, or put "" in their place')
    hint = ""
    if isinstance(value, bytes | bytearray):
        hint = ": decode it first"
    elif isinstance(value, Mapping):
        hint = f": give one of its values for each row, as in [row[{next(iter(value), 'text')!r}] for row in {name}]"
    elif hasattr(value, "as_py"):
        hint = f": give the array itself, or [text.as_py() for text in {name}]"
    elif isinstance(value, Iterable):
        hint = f": give one text a row, as in [row[0] for row in {name}]"
    raise InputTypeError(f"{name}[{i}] is {type(value).__name__}, not str{hint}")


def as_labels(labels: Any, name: str = "labels") -> list[str]:
    """A column of labels as a list of str, each converted by `as_label`.

    >>> as_labels([1, 2.5, True, None, "a"])
    ['1', '2.5', 'true', '', 'a']
    """
    return [as_label(label) for label in column(labels, name, "labels")]


def as_label(value: Any) -> str:
    """Convert a value to a label: a str as it is, a missing one to "", numbers and the like to JSON, others by str.

    >>> as_label(np.int64(7)), as_label(np.float32(0.1)), as_label(np.nan), as_label(["a", 1])
    ('7', '0.1', '', '["a", 1]')
    """
    if isinstance(value, str):
        return str.__str__(value)
    if missing(value):
        return ""
    if isinstance(value, np.floating):
        return json.dumps(float(str(value)))  # only the digits of a float32
    if isinstance(value, np.integer | np.bool_):
        value = value.item()
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, _JSON) else str(value)


_JSON = (bool, int, float, list, tuple, dict)
_MISSING = {"NoneType": "None", "NAType": "NA", "NaTType": "NaT", "MaskedConstant": "masked"}  # of pandas, of NumPy


def missing(value: object) -> str | None:
    """The name of a missing value: None, NaN, NA, NaT or masked; None if the value is not missing.

    >>> missing(None), missing(float("nan")), missing(np.ma.masked), missing("")
    ('None', 'NaN', 'masked', None)
    """
    if isinstance(value, float | np.floating):
        return "NaN" if value != value else None
    if isinstance(value, np.datetime64):
        return "NaT" if np.isnat(value) else None
    return _MISSING.get(type(value).__name__)


def is_table(values: object) -> bool:
    """Whether something is a table: a DataFrame of pandas or polars, a Table of pyarrow, or similar.

    >>> is_table(["a", "b"])
    False
    """
    kind = type(values)
    return hasattr(kind, "columns") and (hasattr(kind, "dtypes") or hasattr(kind, "column_names"))


@dataclass(frozen=True, slots=True)
class _Arrow:
    """The items of an Arrow array as Python objects, converted in pieces; iterating the array itself gives scalars."""

    values: Any

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.values), PIECE):
            yield from self.values.slice(start, PIECE).to_pylist()


def _remedy(values: Any, name: str, of: str) -> str:
    """What to write instead of something that is not a column; "" if it may be one."""
    dtype, ndim = getattr(values, "dtype", None), getattr(values, "ndim", 1)
    if is_table(values):
        return _one_column(values, name)
    if isinstance(values, str) or not _is_iterable(values):
        return f"; give a list or other iterable of {of}"
    if isinstance(values, bytes | bytearray | memoryview):
        decodable = f"bytes({name})" if isinstance(values, memoryview) else name
        return f", not str: decode it first, as in {decodable}.decode()"
    if isinstance(values, Mapping):
        return f": give {name}.values() or {name}.keys()"
    if isinstance(values, Set) and not isinstance(values, KeysView | Reversible):
        return f", which has no order: give sorted({name})"
    if isinstance(dtype, np.dtype) and dtype.names:
        return f" of records: give one of its fields, as in {name}[{dtype.names[0]!r}]"
    if ndim != 1:
        one = f"{name}[:, 0]" if ndim == 2 else f"{name}.ravel()"
        return f" of {ndim} dimensions: a column has one, as in {one}"
    if isinstance(dtype, np.dtype) and dtype.kind == "S":
        return f" of bytes, not str: decode it first, as in numpy.char.decode({name})"
    return ""


def _is_iterable(values: Any) -> bool:
    try:
        iter(values)
    except TypeError:
        return False
    return True


def _one_column(table: Any, name: str) -> str:
    if not hasattr(type(table), "__len__"):  # a lazy table: its columns are not known before it is computed
        return ": collect it, and give one of its columns"
    names = list(table.column_names if hasattr(type(table), "column_names") else table.columns)
    shown = [f"{name}[{column!r}]" for column in names[:4]] + ["..."] * (len(names) > 4)
    return f": give one of its columns, {', '.join(shown)}" if names else ", which has no columns"
