r"""Retrieval datasets in BEIR's format: queries, a corpus, and judgements of which document answers which query.

Queries and corpus are .jsonl with _id, text and, in a corpus, title; or .tsv with id and text (or id, title and text).
Judgements are .tsv with query-id, corpus-id and score, or the four columns of TREC (query, iteration, document, grade).
The same columns are read from .csv, .json, .parquet and .feather.  All files may be compressed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from minembed.data.columns import value_of
from minembed.data.encodings import choose_encoding, encoding_of, lines_of
from minembed.data.forms import binary_form, form_of_name, json_form
from minembed.data.headings import KNOWN, plain
from minembed.data.roles import columns_of, find_role, is_bare, number_of
from minembed.data.source import Source
from minembed.data.table import SAMPLE, Reading, Table, open_table
from minembed.errors import InputError
from minembed.types import TextFormat

IDS = ("_id", "id")
COLUMNS = {  # of judgements, with other names for them
    "query-id": ("queryid", "qid"),
    "corpus-id": ("corpusid", "docid", "documentid"),
    "score": ("score", "grade", "relevance"),
}
Grade = tuple[str, str, str, float]  # its place, a query, a document, and how relevant it is


def read_documents(path: Path, reading: Reading | None = None) -> dict[str, str]:
    """Read the texts of a file by their ids; a title is put before its text.

    Raises InputError, with file and line, for a row without id or text, and for a duplicate id.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "corpus.jsonl"
    ...     _ = path.write_text('{"_id": "d1", "title": "Bread", "text": "Knead the dough."}')
    ...     read_documents(path)
    {'d1': 'Bread Knead the dough.'}
    """
    reading, source = reading or Reading(), Source.of(path).keep()
    form = _form(source, reading)
    if form == "tsv":
        rows = _tsv(_lines(source, reading), source.name)
    else:
        rows = _documents(open_table(source, replace(reading, form=form), IDS))
    found: dict[str, str] = {}
    for place, name, text in rows:
        if name in found:
            raise InputError(f"{place}: the id {name!r} came before; every text needs its own")
        found[name] = text
    if not found:
        raise InputError(f"{path} holds no texts")
    return found


def read_judgements(path: Path, reading: Reading | None = None) -> dict[str, dict[str, float]]:
    """Read the grades of documents, by query and document; 0 or less means not relevant.

    Raises InputError, with file and line, for a malformed row, and for a file without judgements.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "test.tsv"
    ...     _ = path.write_text("query-id\\tcorpus-id\\tscore\\nq1\\td1\\t2\\n")
    ...     read_judgements(path)
    {'q1': {'d1': 2.0}}
    """
    reading, source = reading or Reading(), Source.of(path).keep()
    form = _form(source, reading)
    if form == "tsv":
        rows = _grades(_lines(source, reading), source.name)
    else:
        rows = _judgements(open_table(source, replace(reading, form=form), bare=len(COLUMNS)))
    found: dict[str, dict[str, float]] = {}
    for place, query, document, grade in rows:
        before = found.setdefault(query, {}).setdefault(document, grade)
        if before != grade:
            raise InputError(f"{place}: {document!r} has the score {before:g} for {query!r} before, and {grade:g} here")
    if not found:
        raise InputError(f"{path} holds no judgements")
    return found


def _form(source: Source, reading: Reading) -> TextFormat:
    """The form of a file; "tsv" if neither its name nor its content says otherwise, as for TREC's files."""
    if reading.form is not None:
        return "tsv" if reading.form == "txt" else reading.form
    named = form_of_name(source.name)
    if named not in (None, "txt"):
        return named
    with source.open()[0] as stream:
        head = stream.look(SAMPLE)
        text = head.decode(encoding_of(head), "ignore").removeprefix("\ufeff")
        return binary_form(head, source.name) or json_form(text, stream.ended) or "tsv"


def _lines(source: Source, reading: Reading) -> Iterator[str]:
    """The lines of a file of BEIR or TREC, in which quotes have no special meaning."""
    with source.open()[0] as stream:
        encoding = choose_encoding(reading.encoding, stream.look(SAMPLE), source.name)
        yield from lines_of(stream, encoding, source.name, "\n")


def _tsv(lines: Iterable[str], name: str) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(lines, 1):
        cells = line.rstrip("\r\n").split("\t")
        if not line.strip() or (number == 1 and _is_heading(cells)):
            continue
        if len(cells) not in (2, 3):
            raise InputError(f"{name}, line {number}: {len(cells)} columns; needs id and text, or id, title and text")
        yield f"{name}, line {number}", cells[0], " ".join(cells[1:]).strip()


def _is_heading(cells: list[str]) -> bool:
    return cells[0].lower() in IDS or (len(cells) > 1 and all(plain(cell) in KNOWN for cell in cells))


def _documents(table: Table) -> Iterator[tuple[str, str, str]]:
    if table.form not in ("jsonl", "json") and not ("text" in table.columns and set(IDS) & set(table.columns)):
        has = ", ".join(map(repr, table.columns)) or "none"
        raise InputError(f"{table.name}: needs the columns _id and text (and title, if there are titles), has {has}")
    for row in table.rows():
        name = _id(next((row.values[key] for key in IDS if key in row.values), None))
        if name is None:
            raise InputError(f"{row.place}: needs an object with the fields _id and text")
        cells = [row.values.get("title") or "", row.values.get("text")]
        for key, cell in zip(("title", "text"), cells, strict=True):
            if not isinstance(cell, str):
                raise InputError(f"{row.place}: {key} is {cell!r}, not a text")
        yield row.place, name, " ".join(map(str, cells)).strip()


def _id(value: Any) -> str | None:
    return None if isinstance(value, bool) or not isinstance(value, str | int) else str(value)


def _grades(lines: Iterable[str], name: str) -> Iterator[Grade]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        if len(cells) not in (3, 4):
            raise InputError(f"{place}: {len(cells)} columns; needs query-id, corpus-id and score")
        try:
            grade = number_of(cells[-1], "score", place)
        except InputError:
            if number == 1:
                continue  # a heading
            raise
        if grade is None:
            raise InputError(f"{place}: 'score' is missing")
        yield place, cells[0], cells[-2], grade


def _judgements(table: Table) -> Iterator[Grade]:
    if is_bare(table) and len(table.columns) == len(COLUMNS):
        columns = columns_of(table, ("1", "2", "3"), "--columns")
    else:
        found = [find_role(table, [names], what, "its name") for what, names in COLUMNS.items()]
        columns = [column for column in found if column is not None]
        if table.columns and len(columns) < len(COLUMNS):
            has = ", ".join(map(repr, table.columns))
            raise InputError(f"{table.name}: needs the columns {', '.join(COLUMNS)}, has {has}")
    for row in table.rows():
        query, document, grade = (value_of(row.values, column) for column in columns)
        names, number = (_id(query), _id(document)), number_of(grade, "score", row.place)
        if names[0] is None or names[1] is None or number is None:
            raise InputError(f"{row.place}: needs {', '.join(COLUMNS)}")
        yield row.place, names[0], names[1], number
