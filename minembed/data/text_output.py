"""Rows as CSV, TSV, JSON lines or one JSON array."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from minembed.data.delimited import csv_line
from minembed.data.layout import Block, Extra, Layout
from minembed.data.plain_values import as_cell, plain_row, plain_value
from minembed.errors import InputError
from minembed.types import TextFormat

EXACT, ROUNDED = "%.9g", "%.6f"  # 9 digits represent every float32 exactly
SURROGATES = re.compile("[\ud800-\udfff]")  # UTF-8 cannot encode them


def write_text_rows(file: BinaryIO, form: TextFormat, layout: Layout, blocks: Iterable[Block]) -> int:
    r"""Write blocks of rows in UTF-8; returns the number of rows.

    >>> from io import BytesIO
    >>> from minembed.data.table import Row
    >>> file, layout = BytesIO(), Layout(("id", "day"), (Extra("group", int), Extra("embedding", np.dtype("f4"), 2)))
    >>> rows = [Row("x", {"id": "a, b"}, ""), Row("x", {"id": "c"}, "")]
    >>> write_text_rows(file, "csv", layout, [(rows, [[7, None], [np.float32([0.5, 1]), None]])])
    2
    >>> file.getvalue().decode()
    'id,day,group,embedding\n"a, b",,7,"[0.5, 1]"\nc,,,\n'
    """
    written = 0
    if form in ("csv", "tsv"):
        delimiter = "," if form == "csv" else "\t"
        names = [*(layout.columns or ()), *(extra.name for extra in layout.extra)]
        file.write(_utf8(csv_line(names, delimiter)))
        for block in blocks:
            for cells in csv_rows(layout, block):
                file.write(_utf8(csv_line(cells, delimiter)))
            written += len(block[0])
        return written
    between = "[\n" if form == "json" else ""
    for block in blocks:
        for line in json_lines(layout, block):
            file.write((between + line).encode("utf-8", "backslashreplace"))  # a lone surrogate becomes a JSON escape
            between = ",\n" if form == "json" else "\n"
        written += len(block[0])
    file.write(b"\n" if written and form == "jsonl" else b"\n]\n" if written else b"[]\n" if form == "json" else b"")
    return written


def csv_rows(layout: Layout, block: Block) -> Iterator[list[str]]:
    """The cells of each row.

    >>> from minembed.data.table import Row
    >>> list(csv_rows(Layout(("id",), (Extra("score", float),)), ([Row("x", {"id": True}, "")], [[0.5]])))
    [['true', '0.5']]
    """
    rows, values = block
    shown = [texts_of(extra, column) for extra, column in zip(layout.extra, values, strict=True)]
    for i, row in enumerate(rows):
        own = [as_cell(row.values.get(name)) for name in layout.columns or ()]
        added = [
            as_cell(column[i]) if one.kind is str else texts[i]
            for one, column, texts in zip(layout.extra, values, shown, strict=True)
        ]
        yield own + ["" if text == "null" else text for text in added]


def json_lines(layout: Layout, block: Block, number: str = EXACT) -> Iterator[str]:
    """Each row as a JSON object, without a line break; numbers of vectors are formatted by `number`.

    >>> from minembed.data.table import Row
    >>> list(json_lines(Layout(None, (Extra("score", float),)), ([Row("x", {"id": True}, "")], [[0.5]])))
    ['{"id": true, "score": 0.5}']
    """
    rows, values = block
    shown = [texts_of(extra, column, number) for extra, column in zip(layout.extra, values, strict=True)]
    names = [json.dumps(extra.name, ensure_ascii=False) for extra in layout.extra]
    for i, row in enumerate(rows):
        clash = next(
            (extra.name for extra in layout.extra if layout.columns is None and extra.name in row.values), None
        )
        if clash is not None:
            raise InputError(f"{row.place} has {clash!r} itself: rename it, or say with --keep which columns you want")
        own = json.dumps(plain_row(row.values, layout.columns), ensure_ascii=False)[1:-1]
        added = [f"{name}: {texts[i]}" for name, texts in zip(names, shown, strict=True)]
        yield "{" + ", ".join([own, *added] if own else added) + "}"


def texts_of(extra: Extra, values: Sequence[Any], number: str = EXACT) -> list[str]:
    """The values of an extra column as JSON; numbers of vectors are formatted by `number`.

    >>> texts_of(Extra("a", np.dtype("f4"), 2), [None, np.float32([0.5, 2])]), texts_of(Extra("b"), ["x", None])
    (['null', '[0.5, 2]'], ['"x"', 'null'])
    """
    if extra.width is None:
        return [json.dumps(plain_value(_plain(value)), ensure_ascii=False) for value in values]
    one = number if np.dtype(extra.kind).kind == "f" else "%d"
    vector = "[" + ", ".join([one] * extra.width) + "]"
    return ["null" if value is None else vector % tuple(value.tolist()) for value in values]


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return SURROGATES.sub("\ufffd", text).encode()
