"""Labels from a column beside the texts, for the colours of a map."""

import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from minembed.data.old_texts import csv_rows, json_rows, parquet_module
from minembed.errors import InputError


def read_labels(file: BinaryIO, name: str, file_format: str, label: str) -> Iterator[str]:
    """Yield the field or column `label` of every object or row; numbers and the like as they are written.

    Raises InputError where there is none, and for .txt, which has no columns.

    >>> import io
    >>> list(read_labels(io.BytesIO(b'{"text": "a", "year": 1999}\\n'), "x.jsonl", "jsonl", "year"))
    ['1999']
    """
    if file_format == "txt":
        raise InputError(f"{name} is a text a line, without columns; --label needs .jsonl, .csv or .parquet")
    if file_format == "jsonl":
        return (written(field_of(value, label, place)) for place, value in json_rows(file, name))
    if file_format == "csv":
        return column(csv_rows(file, name), label, name)
    table = parquet_module().ParquetFile(file)
    if label not in table.schema_arrow.names:
        raise InputError(f"{name}: there is no column {label!r} among {', '.join(table.schema_arrow.names)}")
    batches = table.iter_batches(batch_size=1024, columns=[label])
    return (written(value) for batch in batches for value in batch.column(0).to_pylist())


def field_of(value: Any, label: str, place: str) -> Any:
    """The field of an object; raises InputError with those that are there.

    >>> field_of({"year": 1999}, "year", "x.jsonl, line 1")
    1999
    """
    if isinstance(value, dict) and label in value:
        return value[label]
    has = ", ".join(map(repr, value)) if isinstance(value, dict) else f"a JSON {type(value).__name__}"
    raise InputError(f"{place}: there is no field {label!r} in {has or 'an empty object'}; --label names another")


def column(rows: Iterator[tuple[str, list[str]]], label: str, name: str) -> Iterator[str]:
    """The column under a heading.

    >>> list(column(iter([("x, line 1", ["text", "year"]), ("x, line 2", ["a", "1999"])]), "year", "x"))
    ['1999']
    """
    place, header = next(rows, (name, []))
    if label not in header:
        has = ", ".join(map(repr, header)) or "nothing"
        raise InputError(f"{place}: there is no column {label!r} among {has}; --label names another")
    at = header.index(label)
    return (row[at] if at < len(row) else "" for _, row in rows)


def written(value: Any) -> str:
    """A value as a label.

    >>> written("a"), written(2.0), written(None)
    ('a', '2.0', '')
    """
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
