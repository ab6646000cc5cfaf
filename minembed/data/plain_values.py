"""Convert values to what JSON and CSV can represent, by one rule."""

import base64
import json
import math
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any


def plain_value(value: Any) -> Any:
    """A value as JSON can represent it: texts, numbers, true, false, null, lists and objects stay as they are.

    Dates, times and durations (in seconds) become texts in ISO 8601; bytes become base64; NaN becomes null, infinity
    "inf" or "-inf"; everything else, such as decimals, becomes its text.

    >>> plain_value([date(2024, 2, 29), timedelta(hours=1), b"abc", float("nan"), {"a": (1, 2)}])
    ['2024-02-29', 'PT3600S', 'YWJj', None, {'a': [1, 2]}]
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {str(plain_value(name)): plain_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(one) for one in value]
    if isinstance(value, timedelta):
        seconds, rest = divmod(abs(value) // timedelta(microseconds=1), 10**6)
        fraction = f".{rest:06d}".rstrip("0") if rest else ""
        return f"{'-' if value < timedelta() else ''}PT{seconds}{fraction}S"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode("ascii")
    return str(value)


def plain_row(row: Mapping[str, Any], columns: tuple[str, ...] | None = None) -> dict[str, Any]:
    """A row as JSON values, with all columns or those named; columns that it does not have are left out.

    >>> plain_row({"id": 1, "day": date(2024, 2, 29)}, ("day", "price"))
    {'day': '2024-02-29'}
    """
    return {name: plain_value(row[name]) for name in (row if columns is None else columns) if name in row}


def as_cell(value: Any) -> str:
    """A value as a cell of CSV: a text as it is, a missing one as "", everything else as JSON.

    >>> as_cell("a"), as_cell(None), as_cell(True), as_cell(date(2024, 2, 29)), as_cell([1, "a"])
    ('a', '', 'true', '2024-02-29', '[1, "a"]')
    """
    plain = plain_value(value)
    if plain is None:
        return ""
    return plain if isinstance(plain, str) else json.dumps(plain, ensure_ascii=False)
