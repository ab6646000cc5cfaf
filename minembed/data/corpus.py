"""The passages of a corpus, from a file, a pipe or standard input: their texts, their ids and their rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from minembed.data.columns import EXAMPLE, Column, value_of
from minembed.data.plain_values import plain_row
from minembed.data.source import Source
from minembed.data.texts import LOG, Selection, Survey, TextRow, Texts, column_of, open_texts
from minembed.errors import InputError


class Passages(NamedTuple):
    """Texts and their ids: from the column of ids, or the numbers of their rows, from 1."""

    ids: list[Any]
    texts: list[str]


@dataclass(frozen=True, slots=True)
class Corpus:
    """A file of passages that can be read more than once."""

    read: Texts
    identity: Column | None = None

    @classmethod
    def of(cls, path: Path, selection: Selection | None = None, wanted: tuple[str, ...] = ()) -> "Corpus":
        """Open a file, a pipe or standard input ("-"); a pipe is read to its end here, and kept.

        `wanted` are names of other columns that the caller looks for.  Raises InputError if the form of the file or a
        column is in doubt, or there is nothing to read.
        """
        selection = selection or Selection()
        read = open_texts(Source.of(path).keep(), selection, wanted, blank_lines="skip")
        if selection.identity is None:
            return cls(read)
        return cls(read, column_of(read.table, selection.identity, "--id"))

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.read.name

    def survey(self) -> Survey:
        """Read it once, and log what was read; raises InputError for missing texts, or if there are none."""
        found = self.read.survey()
        if found.rows == found.missing and self.read.missing != "empty":
            raise InputError(f"{self.name} holds no texts")
        self.tell(found)
        return found

    def tell(self, survey: Survey) -> None:
        """Log in one line what is read, and how."""
        LOG.info(self.read.told(survey))

    def facts(self) -> list[Any]:
        """Everything that determines its texts (not their ids): the bytes of the file, and how they are read."""
        table = self.read.table
        how = table.form, table.encoding, table.delimiter, table.heading is not None, table.quotes
        return [table.source.digest(), *how, self.read.column.path, self.read.missing]

    def passages(self) -> Passages:
        """Its texts and their ids, without the rows that have no text; raises InputError for a duplicate id."""
        ids, texts = list[Any](), list[str]()
        places: dict[Any, str] = {}
        for number, text, row in self.read.rows(whole_rows=self.identity is not None):
            if text is None:
                continue
            texts.append(text)
            if self.identity is None:
                ids.append(number)
                continue
            name = id_of(value_of(row.values, self.identity), self.identity.name, row.place)
            if name in places:
                raise InputError(
                    f"{row.place}: the id {name!r} came before, at {places[name]}; every row needs its own"
                )
            places[name] = row.place
            ids.append(name)
        return Passages(ids, texts)

    def fields(self, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any] | None] | None:
        """For each passage, the other columns of its row, or only those named, as JSON values."""
        table, text = self.read.table, self.read.column.path
        if columns is not None:
            names = tuple(name for name in columns if (name,) != text)
            kept = self.read.rows(whole_rows=False, also=names)
            return (plain_row(row.values, names) or None for _, found, row in kept if found is not None)
        if not table.has_columns or (table.form not in ("json", "jsonl") and table.columns == text):
            return None
        return (_others(row.values, text) for _, found, row in self.read.rows() if found is not None)

    def id_in(self, number: int | str, text: str | None, fields: Mapping[str, Any] | None) -> Any:
        """The id of a passage, from the number of its row, its text and its other columns."""
        if self.identity is None:
            return number
        values = {self.read.column.path[0]: text} | dict(fields or {})
        return id_of(value_of(values, self.identity), self.identity.name, f"{self.name}, row {number}")

    def rows(self) -> Iterator[TextRow]:
        """Read all its rows, including those without a text."""
        return self.read.rows()


def _others(values: Mapping[str, Any], text: tuple[str, ...]) -> dict[str, Any] | None:
    """All values of a row, without its text if that is a column of its own."""
    found = plain_row(values)
    if len(text) == 1:
        found.pop(text[0], None)
    return found or None


def id_of(value: Any, column: str, place: str) -> Any:
    """A value as an id; raises InputError if it is missing, or neither a text nor a whole number.

    >>> id_of("007", "sku", "shop.csv, line 2")
    '007'
    """
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        told = "missing" if value in (None, "") else f"{str(value)[:EXAMPLE]} ({type(value).__name__})"
        raise InputError(f"{place}: the id in column {column!r} is {told}; it must be a string or a whole number")
    return value
