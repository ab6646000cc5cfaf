"""Copy selected rows of a file unchanged."""

import codecs
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO

from minembed.data.arrow_rows import copy_arrow, open_arrow
from minembed.data.plain_values import plain_row
from minembed.data.table import ARROW, Row, Table, open_seekable

Keep = Callable[[int], bool]  # whether a row is kept, by its number from 1


def copy_rows(table: Table, keep: Keep, file: BinaryIO) -> None:
    r"""Write the rows that are kept to a file of the same form, encoding and columns.

    >>> from io import BytesIO
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from minembed.data.source import Source
    >>> from minembed.data.table import Reading, open_table
    >>> with TemporaryDirectory() as folder:
    ...     path, copy = Path(folder) / "shop.csv", BytesIO()
    ...     _ = path.write_text("id;text\n1;one\n2;two\n", "utf-16")
    ...     copy_rows(open_table(Source.of(path), Reading()), lambda number: number == 2, copy)
    ...     copy.getvalue().decode("utf-16")
    'id;text\n2;two\n'
    """
    if table.form in ARROW:
        with open_seekable(table.source) as opened:
            copy_arrow(open_arrow(opened, table.form, table.name), file, table.form, keep)
        return
    name = "utf-8-sig" if table.marked and table.encoding == "utf-8" else table.encoding
    encoder = codecs.getincrementalencoder(name)()
    for text in as_written(table, keep):
        file.write(encoder.encode(text))


def as_written(table: Table, keep: Keep) -> Iterator[str]:
    r"""The heading, if there is one, and the rows that are kept, as they are in the file.

    Rows of Arrow become JSON lines.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from minembed.data.source import Source
    >>> from minembed.data.table import Reading, open_table
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "shop.csv"
    ...     _ = path.write_text("id;text\n1;one\n2;two\n")
    ...     "".join(as_written(open_table(Source.of(path), Reading()), lambda number: number == 2))
    'id;text\n2;two\n'
    """
    kept = (row for number, row in enumerate(table.rows(), 1) if keep(number))
    if table.form == "json":
        yield from _as_array(kept)
    elif table.form in ARROW:
        yield from (json_line(plain_row(row.values)) for row in kept)
    else:
        yield table.head
        end = "\r" if table.newline == "\r" else "\n"
        yield from (row.raw if row.raw.endswith(("\n", "\r")) else row.raw + end for row in kept)


def json_line(value: Any) -> str:
    """A value as a line of JSON; dates and the like as texts.

    >>> json_line({"text": "Grüße"})
    '{"text": "Grüße"}\\n'
    """
    return json.dumps(value, ensure_ascii=False, default=str) + "\n"


def _as_array(rows: Iterable[Row]) -> Iterator[str]:
    before = "[\n"
    for row in rows:
        yield before + row.raw
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"
