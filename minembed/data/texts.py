"""The texts of a user's file: which column they are in, which rows have none, and one line that says so."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from minembed.data.columns import Column, choose_column, find_column, text_of, value_of
from minembed.data.source import Source
from minembed.data.table import Reading, Row, Table, open_table
from minembed.errors import InputError
from minembed.types import Missing

LOG = logging.getLogger("minembed")
FIRST_PLACES = 5  # of missing texts, in a message


class TextRow(NamedTuple):
    """A row of a file: its number from 1, its text (None: missing), and all of it."""

    number: int
    text: str | None
    row: Row


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a file, in order."""

    table: Table
    column: Column
    missing: Missing = "error"

    @property
    def name(self) -> str:
        """What messages call the file."""
        return self.table.name

    def rows(self, whole_rows: bool = True) -> Iterator[TextRow]:
        """Read them; without `whole_rows`, no other columns of parquet and feather.

        A missing text is None, or "" where `missing` is "empty"; raises InputError where it is "error".
        """
        columns = None if whole_rows else [self.column.path[0]]
        for number, row in enumerate(self.table.rows(columns), 1):
            text = text_of(value_of(row.values, self.column), self.column.name, row.place)
            if text is None:
                if self.missing == "error":
                    raise InputError(f"{row.place}: {self._what} is missing; {REMEDY}")
                if self.missing == "empty":
                    text = ""
            yield TextRow(number, text, row)

    def survey(self) -> "Survey":
        """Read the file once, before anything is computed: how many rows it has, and how many texts are missing.

        Raises InputError, with the first places, where some are and `missing` is "error".
        """
        missing, places, rows = 0, list[str](), 0
        lenient = Texts(self.table, self.column, "skip")
        for number, text, row in lenient.rows(whole_rows=False):
            rows = number
            if text is None:
                missing += 1
                if missing <= FIRST_PLACES:
                    places.append(row.place.removeprefix(f"{self.name}, "))
        if missing and self.missing == "error":
            told = ", ".join(places) + (", ..." if missing > len(places) else "")
            raise InputError(f"{self.name}: {self._what} is missing in {missing:,} of {rows:,} rows ({told}); {REMEDY}")
        return Survey(rows, missing)

    @property
    def _what(self) -> str:
        return f"the text in column {self.column.name!r}" if self.table.has_columns else "the text"

    def told(self, survey: "Survey | None" = None) -> str:
        """One line that says what is read, and how."""
        unit = "rows" if self.table.has_columns else "lines"
        count = "" if survey is None else f"{survey.rows:,} {unit if survey.rows != 1 else unit[:-1]}"
        left = {"skip": "left out", "empty": 'read as ""', "error": ""}[self.missing]
        missing = f"{survey.missing:,} without a text, {left}" if survey is not None and survey.missing else ""
        what = f'column "{self.column.name}"' if self.table.has_columns else "a text a line"
        parts = ", ".join(part for part in (count, what, missing) if part)
        return f"{self.name}: {parts} ({', '.join(self.table.details)})"


REMEDY = "--missing skip leaves such rows out, --missing empty reads them as empty texts"


class Survey(NamedTuple):
    """What a file has: rows, and rows without a text."""

    rows: int
    missing: int


def open_texts(
    source: Source, reading: Reading, field: str | None, missing: Missing, wanted: tuple[str, ...] = ()
) -> Texts:
    """Open a file and find the column of its texts; a pipe is read once, as its rows come.

    Raises InputError where the form of the file or the column is in doubt.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "shop.csv"
    ...     _ = path.write_text("id;description\\n1;Rye bread\\n2;Sweet cake\\n")
    ...     texts = open_texts(Source.of(path), Reading(), None, "error")
    ...     [row.text for row in texts.rows()], texts.told(texts.survey()).removeprefix(folder)
    (['Rye bread', 'Sweet cake'], '/shop.csv: 2 rows, column "description" (csv, ";", utf-8)')
    """
    table = open_table(source, reading, (*wanted, *([field] if field is not None else [])))
    if not table.has_columns:
        if field is not None:
            raise InputError(f"{source.name} is a text a line, without columns: leave out --field, or say --format")
        return Texts(table, Column("text", ("text",)), missing)
    if not table.columns:
        raise InputError(f"{source.name} is empty: it has no rows, and no names of columns")
    samples = [row.values for row in table.sample]
    return Texts(table, choose_column(table.columns, samples, field, source.name, not table.whole), missing)


def column_of(table: Table, field: str, option: str) -> Column:
    """Another column of a table, by its name, number or path; raises InputError where there is none.

    >>> table = Table(Source("x.csv"), "csv", ("id", "text"), (), True, ())
    >>> column_of(table, "1", "--id").name
    'id'
    """
    if not table.has_columns:
        raise InputError(f"{table.name} is a text a line, without columns: {option} needs a table")
    return find_column(table.columns, [row.values for row in table.sample], field, table.name, option, not table.whole)
