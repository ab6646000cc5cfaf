"""The texts of a user's file: find their column, handle missing texts, and report both in one line."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from minembed.data.columns import Column, choose_column, find_column, text_of, value_of
from minembed.data.headings import TEXTS
from minembed.data.source import Source
from minembed.data.table import Reading, Row, Table, open_table
from minembed.errors import InputError
from minembed.runtime.progress import BYTES, Progress
from minembed.types import Missing

LOG = logging.getLogger("minembed")
FIRST_PLACES = 5  # of missing texts, in a message
NULL_WORDS = frozenset("NA N/A #N/A <NA> NULL Null null NaN nan None".split())  # may be texts: only reported


@dataclass(frozen=True, slots=True)
class Selection:
    """A user's settings for a file of texts: how it is written, and the columns of the texts and of their ids."""

    reading: Reading = field(default_factory=Reading)
    column: str | None = None
    missing: Missing | None = None  # None: an error
    identity: str | None = None


class TextRow(NamedTuple):
    """A row of a file: its number from 1, its text (None if missing), and the whole row."""

    number: int
    text: str | None
    row: Row


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of a file, in order."""

    table: Table
    column: Column
    missing: Missing = "error"
    found: bool = False  # the column was found, not named by the user

    @property
    def name(self) -> str:
        """The file's name in messages."""
        return self.table.name

    def rows(self, whole_rows: bool = True, also: Sequence[str] = (), bar: Progress | None = None) -> Iterator[TextRow]:
        """Read the rows; without `whole_rows`, of parquet and feather only the column of the texts and those in `also`.

        `bar` advances with the bytes.  A missing text is None, or "" if `missing` is "empty"; raises InputError if
        `missing` is "error".
        """
        columns = None if whole_rows else list(dict.fromkeys([self.column.path[0], *also]))
        unseen = self._unseen
        for number, row in enumerate(self.table.rows(columns, bar), 1):
            for name in unseen:
                if name in row.values:
                    raise InputError(
                        f"{row.place}: the first rows have no field {name!r}; say with --field what is read"
                    )
            text = text_of(value_of(row.values, self.column), self.column.name, row.place)
            if text is None:
                if self.missing == "error":
                    raise InputError(f"{row.place}: {self._what} is missing; {REMEDY}")
                if self.missing == "empty":
                    text = ""
            yield TextRow(number, text, row)

    def survey(self, note: Callable[[TextRow], None] | None = None) -> "Survey":
        """Read the file once, before anything is computed, and count its rows and the missing texts.

        `note` gets every row.  Raises InputError, with the first places, if texts are missing and `missing` is "error".
        """
        missing, places, rows, words = 0, list[str](), 0, 0
        lenient, size = replace(self, missing="skip"), self.table.source.size
        with Progress(None if size is None else range(size), BYTES, None) as bar:
            for found in lenient.rows(whole_rows=False, bar=bar if size is not None else None):
                rows, text, row = found
                if note is not None:
                    note(found)
                if text is None:
                    missing += 1
                    if missing <= FIRST_PLACES:
                        places.append(row.place.removeprefix(f"{self.name}, "))
                elif text in NULL_WORDS and self.table.has_columns:
                    words += 1
        if missing and self.missing == "error":
            told = ", ".join(places) + (", ..." if missing > len(places) else "")
            raise InputError(f"{self.name}: {self._what} is missing in {missing:,} of {rows:,} rows ({told}); {REMEDY}")
        if words:
            LOG.info(f'{self.name}: {words:,} rows have "NA", "null" or the like as their text')
        return Survey(rows, missing)

    @property
    def _unseen(self) -> tuple[str, ...]:
        """Names that later rows of JSON must not have: with them, another column would have been chosen."""
        if not self.found or self.table.more != "columns" or self.column.name in TEXTS[0]:
            return ()
        return TEXTS[0]

    @property
    def _what(self) -> str:
        return f"the text in column {self.column.name!r}" if self.table.has_columns else "the text"

    def told(self, survey: "Survey | None" = None, rows_stay: bool = False) -> str:
        """One line that says what is read, and how; with `rows_stay`, rows without a text are kept."""
        lines = not self.table.has_columns
        parts = ["one text per line" if lines else f'column "{self.column.name}"']
        if survey is not None:
            unit = "lines" if lines else "rows"
            parts.insert(0, f"{survey.rows:,} {unit if survey.rows != 1 else unit[:-1]}")
            if survey.missing:
                done = 'read as ""' if self.missing == "empty" else "get no vector" if rows_stay else "skipped"
                parts.append(f"{survey.missing:,} {'blank' if lines else 'without a text'} {done}")
        return f"{self.name}: {', '.join(parts)} ({', '.join(self.table.details)})"


REMEDY = "--missing skip skips such rows, --missing empty reads them as empty texts"


class Survey(NamedTuple):
    """The number of rows of a file, and of rows without a text."""

    rows: int
    missing: int


def open_texts(
    source: Source, selection: Selection, wanted: tuple[str, ...] = (), blank_lines: Missing = "error"
) -> Texts:
    """Open a file and find the column of its texts; a pipe is read once, as its rows come.

    `wanted` are names of other columns that the caller looks for; `blank_lines` says what to do with blank lines of a
    file with one text per line, if the selection does not.  Raises InputError if the form of the file or the column is
    in doubt.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "shop.csv"
    ...     _ = path.write_text("id;description\\n1;Rye bread\\n2;Sweet cake\\n")
    ...     texts = open_texts(Source.of(path), Selection())
    ...     [row.text for row in texts.rows()], texts.told(texts.survey()).removeprefix(folder)
    (['Rye bread', 'Sweet cake'], '/shop.csv: 2 rows, column "description" (csv, ";", utf-8)')
    """
    column, named = selection.column, [name for name in (selection.column, selection.identity) if name is not None]
    table = open_table(source, selection.reading, (*wanted, *named))
    if not table.has_columns:
        if column is not None:
            raise InputError(f"{source.name} is a text a line, without columns: leave out --field, or say --format")
        return Texts(table, Column("text", ("text",)), selection.missing or blank_lines)
    if not table.columns:
        raise InputError(f"{source.name} is empty: it has no rows, and no names of columns")
    samples = [row.values for row in table.sample]
    if column is not None:
        return Texts(table, named_column(table, column, "--field"), selection.missing or "error")
    chosen = choose_column(table.columns, samples, source.name)
    check_once(table, chosen)
    return Texts(table, chosen, selection.missing or "error", found=True)


def column_of(table: Table, field: str, option: str) -> Column:
    """Another column of a table, by its name, number or path; raises InputError if there is none, or two of that name.

    >>> table = Table(Source("x.csv"), "csv", ("id", "text"), (), True, ())
    >>> column_of(table, "1", "--id").name
    'id'
    """
    if not table.has_columns:
        raise InputError(f"{table.name} is a text a line, without columns: {option} needs a table")
    return named_column(table, field, option)


def named_column(table: Table, field: str, option: str) -> Column:
    """The column that `field` names; if the first rows do not have it, all rows are searched, unless it is a pipe.

    Raises InputError if there is none, or two of that name.

    >>> named_column(Table(Source("x.csv"), "csv", ("id", "text"), (), True, ()), "text", "--keep").name
    'text'
    """
    samples = [row.values for row in table.sample]
    found = find_column(table.columns, samples, field, table.name, option, table.more)
    if found.name == field:  # not a number, which says which of them
        check_once(table, found)
    is_there = found.path[0] in table.columns and len(found.path) == 1
    if not is_there and table.source.again and all(value_of(row, found) is None for row in samples):
        if all(value_of(row.values, found) is None for row in table.rows([found.path[0]])):
            find_column(table.columns, samples, field, table.name, option)  # which raises
    return found


def check_once(table: Table, column: Column) -> None:
    """Raise InputError if two columns of the heading have the name of the one that is read.

    >>> table = Table(Source("x.csv"), "csv", ("q", "q_2"), (), True, (), heading=("q", "q"))
    >>> check_once(table, Column("q", ("q",)))
    Traceback (most recent call last):
    minembed.errors.InputError: x.csv: two columns have the name 'q'; rename one, or say which by its number
    """
    if [cell.strip() for cell in table.heading or ()].count(column.name) > 1:
        raise InputError(
            f"{table.name}: two columns have the name {column.name!r}; rename one, or say which by its number"
        )
