"""Write rows of a user's file again, in any form, with columns that a command adds: vectors, groups, scores.

`layout_of` (minembed.data.layout) decides the columns and their types, `write_rows` writes blocks of rows as they come,
and `write_table` does both for a table whose new columns are in memory:

    extra = {Extra("cluster", int): clusters, Extra("score", float): scores}  # a value per row, None if missing
    with replacing(path) as file:
        write_table(file, form_of_output(path.name), corpus.read.table, extra=extra)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO

from minembed.data.arrow_output import write_arrow_rows
from minembed.data.arrow_rows import BATCH
from minembed.data.layout import Block, Extra, Layout, layout_of
from minembed.data.table import ARROW, Table
from minembed.data.text_output import write_text_rows
from minembed.types import TextFormat


def write_rows(file: BinaryIO, form: TextFormat, layout: Layout, blocks: Iterable[Block]) -> int:
    """Write blocks of rows in a form (not "txt"); returns the number of rows.

    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write_rows(file, "csv", Layout(("id",), (Extra("n", int),)), [])
    0
    >>> file.getvalue()
    b'id,n\\n'
    """
    return (write_arrow_rows if form in ARROW else write_text_rows)(file, form, layout, blocks)


def write_table(
    file: BinaryIO,
    form: TextFormat,
    table: Table,
    *,
    extra: Mapping[Extra, Sequence[Any]] | None = None,
    columns: Sequence[str] | None = None,
    keep: Callable[[int], bool] | None = None,
) -> int:
    """Write the rows of a table that can be read again, in a form (not "txt"); returns the number of rows.

    `columns` are the table's own columns to keep (None: all), `extra` those that are added, each with one value per row
    of the table (None if missing); `keep` decides by its number, from 1, whether a row is kept.  `layout_of` decides
    the types; it raises InputError if names clash.

    >>> from io import BytesIO
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from minembed.data.source import Source
    >>> from minembed.data.table import Reading, open_table
    >>> with TemporaryDirectory() as folder:
    ...     path, copy = Path(folder) / "shop.csv", BytesIO()
    ...     _ = path.write_text("id;text\\n1;one\\n2;two\\n")
    ...     table = open_table(Source.of(path), Reading())
    ...     write_table(copy, "jsonl", table, extra={Extra("group", int): [7, None]})
    ...     copy.getvalue().decode().splitlines()
    2
    ['{"id": "1", "text": "one", "group": 7}', '{"id": "2", "text": "two", "group": null}']
    """
    added = extra or {}
    layout = layout_of(table, form, columns, tuple(added))
    return write_rows(file, form, layout, _blocks(table, list(added.values()), keep))


def _blocks(table: Table, values: Sequence[Sequence[Any]], keep: Callable[[int], bool] | None) -> Iterator[Block]:
    rows = ((i, row) for i, row in enumerate(table.rows()) if keep is None or keep(i + 1))
    while batch := list(islice(rows, BATCH)):
        yield [row for _, row in batch], [[column[i] for i, _ in batch] for column in values]
