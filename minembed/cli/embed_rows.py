"""Reading and writing for `minembed embed`: the rows of a file, each with its vector."""

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from minembed.cli.passages import check_not_terminal
from minembed.data.arrow_rows import arrow_module
from minembed.data.columns import Column, value_of
from minembed.data.corpus import id_of
from minembed.data.layout import Extra, Layout, form_of_output, kept_columns, kept_on_disk, layout_of, needs_survey
from minembed.data.pairing import Pair
from minembed.data.source import Source
from minembed.data.table import ARROW, Row
from minembed.data.texts import LOG, Selection, TextRow, Texts, column_of, open_texts
from minembed.data.vectors import VECTORS, WITH_IDS, WRITERS, write_npz
from minembed.types import TextFormat

if TYPE_CHECKING:
    from minembed.types import Array

EMBEDDING = Extra("embedding", float, 1)  # type and width are set from the model


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of the output: its file (None: the screen), the columns to keep, the column of ids."""

    output: Path | None
    keep: str | None
    identity: str | None

    @property
    def form(self) -> TextFormat | None:
        """The format of the rows; None if only vectors are written."""
        return "jsonl" if self.output is None else form_of_output(self.output.name, VECTORS)

    @property
    def rows_stay(self) -> bool:
        """Whether rows without a text are written (without a vector)."""
        return self.form is not None and (self.output is not None or self.keep is not None)

    def check(self, has_file: bool) -> None:
        """Raise UsageError for options that have no effect, MissingExtraError for a format that needs an extra."""
        form = self.form
        if self.output is not None and form is None:
            if self.keep is not None:
                raise click.UsageError(f"{self.output.name} holds only vectors, so --keep has no effect")
            if self.identity is not None and self.output.suffix.lower() != WITH_IDS:
                raise click.UsageError(f"{self.output.name} holds no ids: --id needs {WITH_IDS}, or a table")
        if not has_file and (self.keep or self.identity):
            raise click.UsageError("texts in the arguments have no columns: --keep and --id need a file")
        if form in ARROW:
            arrow_module()

    def work_file(self) -> BinaryIO:
        """An empty file without a name, on the disk of the output."""
        folder = None if self.output is None else self.output.absolute().parent
        room = folder if folder is not None and os.access(folder, os.W_OK) else None
        return tempfile.TemporaryFile(dir=room)


@dataclass(frozen=True, slots=True)
class Incoming:
    """Rows to embed, their columns to write, the number of rows with a text, and the column of ids."""

    rows: Iterable[TextRow]
    layout: Layout
    total: int | None = None
    identity: Column | None = None


def from_arguments(texts: Iterable[str]) -> Incoming:
    """Use texts as the rows of a table with one column.

    >>> [row.text for row in from_arguments(["one"]).rows]
    ['one']
    """
    rows = [TextRow(i, text, Row(f"text {i}", {"text": text}, "")) for i, text in enumerate(texts, 1)]
    return Incoming(rows, Layout(("text",)), len(rows))


def from_file(source: Path, selection: Selection, wanted: Wanted, work: Callable[[], BinaryIO]) -> Incoming:
    """Open a file and log how it is read; rows are read on demand.  `work` opens a temporary file.

    Raises InputError if the format of the file, a column or the names of columns are uncertain.
    """
    check_not_terminal(source)
    read = open_texts(Source.of(source), selection)
    identity = None if wanted.identity is None else column_of(read.table, wanted.identity, "--id")
    form = wanted.form
    if form is not None and needs_survey(read.table, form):
        read = replace(read, table=kept_on_disk(read.table, work()))
    survey = read.survey() if read.table.source.again else None
    LOG.info(read.told(survey, wanted.rows_stay))
    rows, layout = _chosen(read, wanted, identity)
    if not wanted.rows_stay:
        rows = (row for row in rows if row.text is not None)
    missing = 0 if survey is None or read.missing == "empty" else survey.missing
    return Incoming(rows, layout, None if survey is None else survey.rows - missing, identity)


def _chosen(read: Texts, wanted: Wanted, identity: Column | None) -> tuple[Iterable[TextRow], Layout]:
    """The rows to write, and their columns."""
    form, own = wanted.form, identity.path[0] if identity else None
    if form is None:
        return read.rows(whole_rows=False, also=[own] if own else []), Layout()
    if not wanted.rows_stay:  # the screen shows texts and ids
        rows = read.rows(whole_rows=False, also=[own] if own else [])
        return (_shown(row, identity) for row in rows), Layout()
    columns = kept_columns(read.table, wanted.keep, own)
    layout = layout_of(read.table, form, columns, [EMBEDDING])
    return read.rows(whole_rows=layout.columns is None, also=layout.columns or ()), layout


def _shown(row: TextRow, identity: Column | None) -> TextRow:
    values: dict[str, Any] = {} if identity is None else {identity.name: value_of(row.row.values, identity)}
    return row._replace(row=Row(row.row.place, {**values, "text": row.text}, ""))


def write_vectors(
    file: BinaryIO, output: Path, empty: "Array", pairs: Iterable[Pair], wanted: Wanted, id_column: Any
) -> int:
    """Write only vectors, or vectors with their ids; returns their number."""
    ending = output.suffix.lower()
    if ending != WITH_IDS:
        return WRITERS[ending](file, empty, pairs)
    with wanted.work_file() as work:
        return write_npz(file, empty, ((_ids(rows, id_column), block) for rows, block in pairs), work)


def _ids(rows: Iterable[TextRow], column: Column | None) -> list[Any]:
    if column is None:
        return [row.number for row in rows]
    return [id_of(value_of(row.row.values, column), column.name, row.row.place) for row in rows]
