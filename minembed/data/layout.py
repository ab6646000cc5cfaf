"""The columns of an output and their types: those of the file that was read, and those that are added."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, BinaryIO

import numpy as np

from minembed.data.arrow_rows import BATCH, arrow_module, open_arrow, schema_of
from minembed.data.forms import BY_ENDING, PACKED_ENDINGS, REFUSED
from minembed.data.json_kinds import NULL, Kind, has_json, kinds_of
from minembed.data.source import Source
from minembed.data.table import ARROW, Row, Table, open_seekable
from minembed.data.texts import LOG, named_column
from minembed.errors import InputError
from minembed.types import TextFormat

ROW_ENDINGS = tuple(ending for ending, form in BY_ENDING.items() if form != "txt")
Block = tuple[Sequence[Row], Sequence[Sequence[Any]]]  # rows, and their values for each extra column


@dataclass(frozen=True, slots=True)
class Extra:
    """A column beside the user's own: of str, int, float or bool, or of vectors of `width` numbers of a NumPy dtype.

    Its values are a sequence, with None for a missing value; for vectors an array (n, width), or a list of such rows
    and None.

    >>> Extra("embedding", np.dtype("float32"), 384).width
    384
    """

    name: str
    kind: "type | np.dtype[Any]" = str
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of an output: the user's, with types from Arrow's `schema` or JSON's `kinds`, then the extra ones."""

    columns: tuple[str, ...] | None = None  # None: all that each row has
    extra: tuple[Extra, ...] = ()
    schema: Any = None
    kinds: Mapping[str, Kind] | None = None
    metadata: Mapping[str, str] | None = None  # for an Arrow file, in addition to the schema's own

    @property
    def as_json_text(self) -> tuple[str, ...]:
        """The columns whose values have several types, and are therefore written as JSON text."""
        return tuple(name for name, kind in (self.kinds or {}).items() if has_json(kind))


def form_of_output(name: str, others: Sequence[str] = ()) -> TextFormat | None:
    """The form that the ending of an output means; None for one of the `others`, which hold only vectors.

    Raises InputError, with all possible endings, for any other.

    >>> form_of_output("rows.pq"), form_of_output("vectors.npy", [".npy"])
    ('parquet', None)
    >>> form_of_output("rows.xlsx")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    minembed.errors.InputError: rows.xlsx: its ending must be .csv, .tsv, .jsonl, .json, .parquet or .feather; ...
    """
    ending = "." + name.lower().rpartition(".")[2]
    if ending in others:
        return None
    if ending in ROW_ENDINGS:
        return BY_ENDING[ending]
    packed = "; pack the file afterwards" if ending in PACKED_ENDINGS else ""
    sheet = "; a sheet opens a .csv" if ending in REFUSED and ending.startswith((".xls", ".ods")) else ""
    endings = [*others, ".csv", ".tsv", ".jsonl", ".json", ".parquet", ".feather"]
    raise InputError(f"{name}: its ending must be {', '.join(endings[:-1])} or {endings[-1]}{packed}{sheet}")


def form_of_rows(name: str) -> TextFormat:
    """The form of an output for rows; raises MissingExtraError if a package for writing it is not installed.

    >>> form_of_rows("rows.tsv")
    'tsv'
    """
    form = form_of_output(name)
    assert form is not None  # there are no others
    if form in ARROW:
        arrow_module()
    return form


def kept_columns(table: Table, keep: str | None, identity: str | None = None) -> tuple[str, ...] | None:
    """The columns that `--keep` names: "all" (returned as None), "none", or names and numbers separated by commas.

    The column of ids, `identity`, is always kept.  Raises InputError for a column that does not exist.

    >>> table = Table(Source("x.csv"), "csv", ("id", "text", "price"), (), True, ())
    >>> kept_columns(table, "price,1"), kept_columns(table, "none", "id"), kept_columns(table, "all")
    (('price', 'id'), ('id',), None)
    """
    if keep is None or (keep == "all" and keep not in table.columns):
        return None
    if keep in table.columns:
        named = [keep]
    else:
        named = [] if keep in ("none", "") else [name.strip() for name in keep.split(",")]
    found = dict[str, None]()
    for name in named:
        column = named_column(table, name, "--keep")
        if len(column.path) > 1:
            raise InputError(f"{table.name}: --keep takes whole columns: {column.path[0]!r}, not {name!r}")
        found[column.path[0]] = None
    if identity is not None:
        found = {identity: None} | found
    return tuple(found)


def needs_survey(table: Table, form: TextFormat) -> bool:
    """Whether all rows must be read before the first is written, since JSON declares no columns and types.

    >>> needs_survey(Table(Source("x.csv"), "csv", ("text",), (), True, ()), "parquet")
    False
    """
    return table.form in ("jsonl", "json") and form not in ("jsonl", "json")


def layout_of(
    table: Table, form: TextFormat, columns: Sequence[str] | None = None, extra: Sequence[Extra] = ()
) -> Layout:
    """Decide the columns of an output of rows of a table: all its columns, or those named, and then the extra ones.

    Arrow types stay the same.  Cells of CSV are texts.  JSON is read once to find the types of its values (so the table
    must be readable more than once): a column with values of several types, with objects without keys or with more than
    100 keys, or with whole numbers beyond 64 bits, is written as JSON text, which is logged.  Raises InputError if a
    column of the table has the name of an extra one.

    >>> table = Table(Source("x.csv"), "csv", ("id", "text"), (), True, ())
    >>> layout_of(table, "parquet", ["id"], [Extra("score", float)]).columns
    ('id',)
    """
    kinds, schema = None, None
    if needs_survey(table, form):
        kinds = dict[str, Kind]()
        for rows in _batched(row for row in table.rows()):
            kinds = kinds_of([row.values for row in rows], kinds)
    known = tuple(kinds) if kinds is not None else table.columns
    names = known if columns is None else tuple(columns)
    clash = next((one.name for one in extra if one.name in names), None)
    if clash is not None:
        raise InputError(
            f"{table.name} has a column {clash!r} itself, the name of the one that is added: "
            "rename it, or leave it out with --keep none or --keep and the columns that you want"
        )
    if kinds is not None:
        kinds = {name: kinds.get(name, NULL) for name in names}
    if table.form in ARROW and form in ARROW:
        with open_seekable(table.source) as file:
            found = schema_of(open_arrow(file, table.form, table.name))
        schema = arrow_module().schema([found.field(name) for name in names], metadata=found.metadata)
    free = table.form in ("jsonl", "json") and kinds is None and columns is None
    layout = Layout(None if free else names, tuple(extra), schema, kinds)
    if layout.as_json_text and form in ARROW:
        told = ", ".join(map(repr, layout.as_json_text))
        LOG.info(f"{table.name}: values of several types are written as JSON text: {told}")
    return layout


def _batched(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


def kept_on_disk(table: Table, file: BinaryIO) -> Table:
    """Make the table of a pipe readable more than once: the content of the pipe is copied to a file.

    A table that can already be read again is returned as it is.

    >>> import io
    >>> table = Table(Source("x.csv", pipe=io.BytesIO(b"a"), kept=True), "txt", ("text",), (), True, ())
    >>> kept_on_disk(table, io.BytesIO()) is table
    True
    """
    if table.source.again or table.stream is None:
        return table
    with table.stream as stream:
        while block := stream.read(1 << 16):
            file.write(block)
    return replace(table, source=Source(table.name, pipe=file, kept=True), stream=None)
