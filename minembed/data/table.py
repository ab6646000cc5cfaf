"""A user's file as rows: one reader for all forms, which reports how it reads the file."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, NamedTuple

from minembed.data import arrow_rows, delimited, json_rows
from minembed.data.columns import Later
from minembed.data.content import beginning, form_of, split_lines
from minembed.data.encodings import MARKS, choose_encoding, lines_of
from minembed.data.headings import distinct, has_heading
from minembed.data.quoting import find_quotes
from minembed.data.source import Source, Stream
from minembed.errors import InputError
from minembed.runtime.progress import Progress
from minembed.runtime.store import StoreFile
from minembed.types import Header, Quotes, TextFormat

SAMPLE = 1 << 16  # bytes that are inspected first
SAMPLE_ROWS = 100
WIDEST_SAMPLE = 64  # columns of parquet that are inspected, beside those of texts
ONE = "text"  # the name of the only column of a file without columns
ARROW: tuple[TextFormat, ...] = ("parquet", "feather")


class Row(NamedTuple):
    """A row: its place, its values by column, and its text as written (with its line end, if it has one)."""

    place: str
    values: Mapping[str, Any]
    raw: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A user's settings for reading a file; None is found out from the file, or an error."""

    form: TextFormat | None = None
    encoding: str | None = None
    delimiter: str | None = None
    header: Header | None = None
    quotes: Quotes | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """An open file: its form, its columns, its first rows, and all its rows (only once for a pipe)."""

    source: Source
    form: TextFormat
    columns: tuple[str, ...]  # for JSON, those of the first rows
    sample: tuple[Row, ...]
    whole: bool  # the sample is the whole file
    details: tuple[str, ...]  # how it is read, for messages
    encoding: str = "utf-8"
    delimiter: str = ","
    heading: tuple[str, ...] | None = None  # the first row as written, if it names the columns
    before: int = 0  # lines before the heading
    head: str = ""  # the text before the first row, as written
    marked: bool = False  # it begins with a byte order mark
    newline: str = ""  # the end of a line, as in io.TextIOWrapper
    stream: Stream | None = field(default=None, repr=False)  # of a pipe
    quotes: Quotes | None = None  # "no": they are text; None: they seem to enclose cells

    @property
    def name(self) -> str:
        """Its name in messages."""
        return self.source.name

    @property
    def more(self) -> Later | None:
        """What later rows may have that the first rows do not."""
        if self.whole or self.form in ("txt", "csv", "tsv"):
            return None
        return "fields" if self.form in ARROW else "columns"

    @property
    def has_columns(self) -> bool:
        """Whether it is a table, not one text per line."""
        return self.form != "txt"

    def rows(self, columns: Sequence[str] | None = None, bar: Progress | None = None) -> Iterator[Row]:
        """Read all rows from the beginning; for parquet and feather only the named columns.

        `bar` advances with the bytes of the file, except for parquet and feather.
        """
        with self.stream or self.source.open()[0] as stream:
            if self.form in ARROW:
                with _seekable(stream, self.source) as file:
                    opened = arrow_rows.open_arrow(file, self.form, self.name)
                    yield from (Row(*record) for record in arrow_rows.arrow_records(opened, self.name, columns))
                return
            lines = lines_of(stream, self.encoding, self.name, self.newline)
            yield from _text_rows(self, lines if bar is None else _watched(lines, stream, bar))


def _watched(lines: Iterable[str], stream: Stream, bar: Progress) -> Iterator[str]:
    before = 0
    for number, line in enumerate(lines):
        yield line
        if number % 1024 == 0:
            place = stream.place()
            bar.advance(place - before)
            before = place


def open_table(
    source: Source,
    reading: Reading,
    wanted: Sequence[str] = (),
    bare: int | None = None,
    option: str = "",
    columns_only: bool = False,
) -> Table:
    """Open a file and find out how it is written; of a pipe, only as much is read as that needs.

    `wanted` are names of columns that the caller looks for (which users name with `option`), and `bare` is the number
    of columns of a table without a heading, whose last column has numbers.  With `columns_only`, the form of one text
    per line is excluded, so lines are rows.  Raises InputError, which names the option to give, if the form, the
    encoding, the delimiter or the heading is in doubt.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "shop.csv"
    ...     _ = path.write_text("id;text\\n1;one\\n")
    ...     table = open_table(Source.of(path), Reading())
    ...     table.columns, [dict(row.values) for row in table.rows()], table.details
    (('id', 'text'), [{'id': '1', 'text': 'one'}], ('csv', '";"', 'utf-8'))
    """
    stream, packed = source.open()
    try:
        head = stream.look(SAMPLE) if source.again else stream.begins([mark for mark, _ in MARKS])
        encoding = choose_encoding(reading.encoding, head, source.name)
        form = reading.form or form_of(source, stream, encoding, columns_only)
        if form == "txt":
            _check_no_table(reading, source.name)
        details = (form, *([packed] if packed else []))
        if form in ARROW:
            table = _open_arrow(source, stream, form, details)
        elif form in ("csv", "tsv"):
            table = _open_delimited(source, stream, form, encoding, details, reading)
            table = _with_heading(table, reading.header, wanted, bare, option)
        else:
            table = _open_lines(source, stream, form, encoding, details)
    except BaseException:
        stream.close()
        raise
    if table.stream is None:
        stream.close()
    return replace(table, marked=head.startswith(tuple(mark for mark, _ in MARKS)))


def _check_no_table(reading: Reading, name: str) -> None:
    """Raise InputError for settings that only apply to tables, if the file has one text per line."""
    said = {"delimiter": reading.delimiter, "header": reading.header, "quotes": reading.quotes}
    options = ", ".join(f"--{option}" for option, value in said.items() if value is not None)
    if options:
        raise InputError(f"{name} is read as a text a line; {options} says how a table is read: say --format csv, too")


def _open_lines(source: Source, stream: Stream, form: TextFormat, encoding: str, details: tuple[str, ...]) -> Table:
    """One text per line, or JSON."""
    text, whole = beginning(stream, encoding, 1 if form != "json" else 0)
    newline = "\r" if text.count("\r") - text.count("\r\n") > text.count("\n") and form != "json" else "\n"
    kept = None if source.again else stream
    table = Table(source, form, (ONE,), (), whole, (*details, encoding), encoding, newline=newline, stream=kept)
    if form == "txt":
        return table
    sample = list[Row]()
    while True:
        rows = _text_rows(table, [text] if form == "json" else split_lines(text, whole, newline))
        with suppress(InputError):  # raised again later, or the beginning ends inside a value
            sample.extend(islice(rows, SAMPLE_ROWS))
        if sample or whole or form != "json":
            break
        stream.look(2 * len(stream.look()))  # the first value is longer
        text, whole = beginning(stream, encoding, 0)
    names = dict.fromkeys(name for row in sample for name in row.values)
    return replace(table, columns=tuple(names) or (ONE,), sample=tuple(sample), whole=whole)


def _open_delimited(
    source: Source, stream: Stream, form: TextFormat, encoding: str, details: tuple[str, ...], reading: Reading
) -> Table:
    """A table with a delimiter; its heading is found later."""
    said = None if reading.delimiter is None else delimited.check_delimiter(reading.delimiter)
    size = SAMPLE
    while True:
        stream.look(size)
        text, whole = beginning(stream, encoding, 2)
        lines = split_lines(text, whole, "")
        before = lines[0] if lines and delimited.excel_delimiter(lines[0]) else ""
        lines = lines[1:] if before else lines
        delimiter = said or delimited.excel_delimiter(before) or ("\t" if form == "tsv" else None)
        delimiter = delimiter or delimited.find_delimiter(lines, whole, source.name, reading.quotes)
        quotes = reading.quotes or (find_quotes(lines, whole, source.name) if delimiter == "\t" else None)
        records = delimited.leading_records(lines, source.name, delimiter, 1 if before else 0, whole, quotes)
        if whole or len(records) > 1:
            break
        size = 2 * len(stream.look())  # a cell is longer than the sample
    sample = tuple(
        Row(place, {str(i): cell for i, cell in enumerate(cells, 1)}, raw)
        for place, cells, raw in records[: SAMPLE_ROWS + 1]
    )
    details = (*details, json.dumps(delimiter), encoding, *(["quotes are text"] if quotes == "no" else []))
    kept = None if source.again else stream
    table = Table(source, form, (), sample, whole, details, encoding, delimiter, stream=kept, quotes=quotes)
    return replace(table, before=1 if before else 0, head=before)


def _with_heading(table: Table, said: Header | None, wanted: Sequence[str], bare: int | None, option: str) -> Table:
    """Find out whether the first row of a table with a delimiter names the columns."""
    cells = [list(row.values.values()) for row in table.sample]
    headed = has_heading(cells, said, wanted, table.name, bare, option)
    first = cells[0] if cells else []
    names = distinct(first) if headed else tuple(str(i + 1) for i in range(len(first)))
    rows = [Row(row.place, dict(zip(names, row.values.values(), strict=True)), row.raw) for row in table.sample]
    return replace(
        table,
        columns=names,
        sample=tuple(rows[1:] if headed else rows),
        details=table.details if headed or not cells else (*table.details, "no heading"),
        heading=tuple(first) if headed else None,
        head=table.head + (table.sample[0].raw if headed and cells else ""),
    )


def _open_arrow(source: Source, stream: Stream, form: TextFormat, details: tuple[str, ...]) -> Table:
    kept = source if source.again else Source(source.name, pipe=_seekable(stream, source), kept=True)
    with open_seekable(kept) as file:
        opened = arrow_rows.open_arrow(file, form, source.name)
        names = tuple(arrow_rows.schema_of(opened).names)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise InputError(f"{source.name}: two columns have the name {twice!r}; rename one")
        looked_at = [*names[:WIDEST_SAMPLE], *arrow_rows.text_columns(opened, WIDEST_SAMPLE)]
        records = islice(arrow_rows.arrow_records(opened, source.name, looked_at), SAMPLE_ROWS)
        sample = tuple(Row(*record) for record in records)
    return Table(kept, form, names, sample, len(sample) < SAMPLE_ROWS, details)


def open_seekable(source: Source) -> Any:
    """Open an Arrow file: decompressed and seekable, since its end is read first.

    >>> from pathlib import Path
    >>> from tempfile import NamedTemporaryFile
    >>> with NamedTemporaryFile() as file, open_seekable(Source.of(Path(file.name))) as opened:
    ...     opened.seekable()
    True
    """
    with source.open()[0] as stream:
        return _seekable(stream, source)


def _seekable(stream: Stream, source: Source) -> Any:
    """A seekable Arrow file, which is read from its end: a compressed file or a pipe is first read into memory."""
    if source.path is not None and isinstance(stream.raw, io.FileIO | StoreFile):
        return source.path.open("rb")
    return io.BytesIO(stream.read())


def _text_rows(table: Table, lines: Iterable[str]) -> Iterator[Row]:
    """The rows of all forms except Arrow's, from decoded lines."""
    if table.form == "txt":
        for number, line in enumerate(lines, 1):
            if table.newline == "\r" and "\n" in line:
                raise InputError(f"{table.name}, line {number}: lines end in \\r, and some in \\n; use one for all")
            text = line.removesuffix("\n").removesuffix("\r").removeprefix("\ufeff")
            yield Row(f"{table.name}, line {number}", {ONE: text}, line)
    elif table.form in ("csv", "tsv"):
        lines = iter(lines)
        for _ in range(table.before):
            next(lines)
        rows = delimited.records(lines, table.name, table.delimiter, table.before, table.quotes)
        if table.heading is not None:
            next(rows, None)
        for place, cells, raw in rows:
            yield Row(place, dict(zip(table.columns, cells, strict=True)), raw)
    else:
        records = json_rows.line_records if table.form == "jsonl" else json_rows.array_records
        for place, value, raw in records(lines, table.name):
            if isinstance(value, str):
                yield Row(place, {ONE: value}, raw)
            elif isinstance(value, dict):
                yield Row(place, value, raw)
            else:
                raise InputError(f"{place}: it must be an object or a text, not a JSON {json_rows.kind_of(value)}")
