"""The fields of a row of an index beside its text: values by name, kept as a line of JSON.

A line takes a fraction of a dict's memory, and each hit gets its own dict.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from minembed.errors import InputError, InputTypeError
from minembed.runtime.json_values import json_of

Fields = Iterable[Mapping[str, Any] | None]


def as_fields(fields: Fields | None) -> list[str | None] | None:
    """Check the fields of rows, one mapping or None each, and convert them; raises InputError with row and key.

    >>> as_fields([{"price": 3}, None])
    ['{"price": 3}', None]
    """
    if fields is None:
        return None
    if isinstance(fields, Mapping | str | bytes) or not isinstance(fields, Iterable) or hasattr(fields, "columns"):
        raise InputTypeError(
            f"fields is {type(fields).__name__}; give a list with one mapping (dict) or None a row, as in "
            "table.to_dict('records') of a DataFrame of pandas"
        )
    return [None if row is None else json_of(row, f"fields[{i}]") for i, row in enumerate(fields)]


def check_count(fields: list[str | None] | None, rows: int) -> None:
    """Raise InputError unless there are as many fields as rows, or none.

    >>> check_count(None, 3)
    """
    if fields is not None and len(fields) != rows:
        raise InputError(f"{rows} rows need as many fields, one mapping or None a row; got {len(fields)}")


def fields_of(kept: str | None) -> dict[str, Any] | None:
    """The fields of a row, as a new dict.

    >>> fields_of('{"price": 3}'), fields_of(None)
    ({'price': 3}, None)
    """
    return None if kept is None else json.loads(kept)
