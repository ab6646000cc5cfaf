"""Texts from arguments, standard input and files: line by line, so that a file may be larger than memory.

Whatever is wrong with a file is an InputError that names the file and the line.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from minembed.errors import InputError, MissingExtraError
from minembed.runtime.interrupts import not_swallowed

FORMATS = ("txt", "jsonl", "csv", "parquet")
FIELD = "text"


def read_texts(file: BinaryIO, name: str, file_format: str, field: str | None) -> Iterator[str]:
    """Yield the texts of a file: one a line, or `field` of every object or row.

    >>> import io
    >>> list(read_texts(io.BytesIO(b'{"text": "one"}\\n"two"\\n'), "x.jsonl", "jsonl", None))
    ['one', 'two']
    """
    if file_format == "jsonl":
        return (_field_of(value, field or FIELD, place) for place, value in json_rows(file, name))
    if file_format == "csv":
        return _column(csv_rows(file, name), field, name)
    if file_format == "parquet":
        return _parquet(file, field or FIELD, name)
    return (line.removesuffix("\n").removesuffix("\r") for line in lines(file, name))


def format_of(path: Path) -> str:
    """The format that a file's name tells: by its ending, and text where that is unknown.

    >>> format_of(Path("a.CSV")), format_of(Path("notes.md"))
    ('csv', 'txt')
    """
    ending = path.suffix.lower().removeprefix(".")
    return ending if ending in FORMATS else "txt"


def lines(file: BinaryIO, name: str) -> Iterator[str]:
    r"""Decode lines of UTF-8, with or without a byte order mark; each keeps its end.

    >>> import io
    >>> list(lines(io.BytesIO(b"\xef\xbb\xbfone\r\ntwo"), "x.txt"))
    ['one\r\n', 'two']
    """
    for number, raw in enumerate(file, 1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(
                f"{name}, line {number}: byte {error.start + 1} is not UTF-8; save the file as UTF-8"
            ) from error
        yield line.removeprefix("\ufeff") if number == 1 else line


def json_rows(file: BinaryIO, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the place and the value of every JSON line that is not blank.

    >>> import io
    >>> list(json_rows(io.BytesIO(b'[1]\\n\\n{}'), "x.jsonl"))
    [('x.jsonl, line 1', [1]), ('x.jsonl, line 3', {})]
    """
    for number, line in enumerate(lines(file, name), 1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: not JSON ({error}); every line must hold one JSON value") from error
        yield place, value


def csv_rows(file: BinaryIO, name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the cells of every row that is not blank; cells may hold line breaks in quotes.

    >>> import io
    >>> list(csv_rows(io.BytesIO(b'a,"b, c"\\n'), "x.csv"))
    [('x.csv, line 1', ['a', 'b, c'])]
    """
    reader = csv.reader(lines(file, name), strict=True)
    while True:
        try:
            row = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{name}, line {reader.line_num}: not sound CSV ({error}); texts of any shape fit into .jsonl"
            ) from error
        if row is None:
            return
        if row:
            yield f"{name}, line {reader.line_num}", row


def _field_of(value: Any, field: str, place: str) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, dict) or field not in value:
        has = ", ".join(map(repr, value)) if isinstance(value, dict) else f"a JSON {type(value).__name__}"
        raise InputError(f"{place}: there is no field {field!r} in {has or 'an empty object'}; --field names another")
    text = value[field]
    if not isinstance(text, str):
        raise InputError(f"{place}: field {field!r} is {json.dumps(text)[:40]}, not a text")
    return text


def _column(rows: Iterator[tuple[str, list[str]]], field: str | None, name: str) -> Iterator[str]:
    first = next(rows, None)
    if first is None:
        return
    place, header = first
    wanted = field or FIELD
    if wanted in header:
        column = header.index(wanted)
    elif field is not None:
        raise InputError(f"{place}: there is no column {field!r} among {', '.join(map(repr, header))}")
    else:
        column = 0
        yield header[0]  # no header, then: a text like the others
    for place, row in rows:
        if len(row) != len(header):
            raise InputError(
                f"{place}: {len(row)} cells where the first row has {len(header)}; quote texts with commas"
            )
        yield row[column]


def parquet_module() -> Any:
    """Import pyarrow.parquet, or raise MissingExtraError with what to install.

    >>> from importlib.util import find_spec
    >>> parquet_module().__name__ if find_spec("pyarrow") else "pyarrow.parquet"
    'pyarrow.parquet'
    """
    try:
        with not_swallowed():
            return import_module("pyarrow.parquet")
    except ImportError as error:
        raise MissingExtraError("parquet files need pyarrow: pip install 'minembed[arrow]'") from error


def _parquet(file: BinaryIO, field: str, name: str) -> Iterator[str]:
    try:
        table = parquet_module().ParquetFile(file)
    except ValueError as error:  # pyarrow's own errors derive from it
        raise InputError(f"{name}: not a parquet file ({error})") from error
    if field not in table.schema_arrow.names:
        raise InputError(f"{name}: there is no column {field!r} among {', '.join(table.schema_arrow.names)}")
    texts: Iterable[Any] = (
        text for batch in table.iter_batches(batch_size=1024, columns=[field]) for text in batch.column(0).to_pylist()
    )
    for row, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"{name}, row {row}: {field!r} is {type(text).__name__}, not a text")
        yield text
