"""Tables of Apache Arrow: parquet and feather, through the extra `arrow`."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from minembed.errors import InputError, MinembedError, MissingExtraError
from minembed.runtime.interrupts import not_swallowed
from minembed.runtime.store import StoreFile
from minembed.types import TextFormat

BATCH = 1024  # rows that are read at a time
Record = tuple[str, "ArrowRow", str]  # its place, its values, and "", since it has no text form


class ArrowRow(Mapping[str, Any]):
    """A row of a record batch, whose values are converted to Python objects on access.

    A value that Python's types cannot represent, such as a time with nanoseconds, becomes a str.  Raises InputError for
    a damaged value.

    >>> from importlib.util import find_spec
    >>> if find_spec("pyarrow"):
    ...     batch = arrow_module().record_batch({"text": ["one", "two"]})
    ...     assert dict(ArrowRow(batch, 1, "x, row 1")) == {"text": "two"}
    """

    __slots__ = ("batch", "index", "place")

    def __init__(self, batch: Any, index: int, place: str) -> None:
        self.batch, self.index, self.place = batch, index, place

    def __getitem__(self, name: str) -> Any:
        at = self.batch.schema.get_field_index(name)
        if at < 0:
            raise KeyError(name)
        scalar = self.batch.column(at)[self.index]
        try:
            return scalar.as_py()
        except (ValueError, OverflowError) as error:
            return _as_text(scalar, error, f"{self.place}, column {name!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.batch.schema.names)

    def __len__(self) -> int:
        return len(self.batch.schema.names)


def _as_text(scalar: Any, error: Exception, place: str) -> str:
    arrow = arrow_module()
    if not isinstance(error, UnicodeError):
        try:
            found = str(scalar.cast(arrow.string()).as_py())
            return found.replace(" ", "T", 1).replace("Z", "+00:00") if arrow.types.is_timestamp(scalar.type) else found
        except (ValueError, NotImplementedError):
            pass  # a nested value: the first error is more informative
    raise InputError(f"{place}: cannot be read ({error})") from error


def arrow_module() -> Any:
    """Import pyarrow, or raise MissingExtraError with what to install.

    >>> from importlib.util import find_spec
    >>> arrow_module().__name__ if find_spec("pyarrow") else "pyarrow"
    'pyarrow'
    """
    try:
        with not_swallowed():
            import_module("pyarrow.parquet")
            import_module("pyarrow.compute")
            return import_module("pyarrow")
    except ImportError as error:
        raise MissingExtraError("parquet and feather files need pyarrow: pip install 'minembed[arrow]'") from error


def open_arrow(file: Any, form: TextFormat, name: str) -> Any:
    """Open a seekable Arrow file: as a pyarrow ParquetFile, or as a reader of record batches.

    Raises InputError if the file is damaged.

    >>> import io
    >>> from importlib.util import find_spec
    >>> if find_spec("pyarrow"):
    ...     file = io.BytesIO()
    ...     arrow_module().parquet.write_table(arrow_module().table({"text": ["one"]}), file)
    ...     assert schema_of(open_arrow(file, "parquet", "x.parquet")).names == ["text"]
    """
    arrow = arrow_module()
    try:
        if form == "parquet":
            ahead = isinstance(file, StoreFile)  # few large requests; a disk needs none, and the memory of a row group
            return arrow.parquet.ParquetFile(file, buffer_size=1 << 20, pre_buffer=ahead)
        try:
            return arrow.ipc.open_file(file)
        except ValueError:  # pyarrow's own errors derive from it
            file.seek(0)
            return arrow.ipc.open_stream(file)
    except ValueError as error:
        raise InputError(f"{name}: not a {form} file ({error})") from error


def schema_of(opened: Any) -> Any:
    """The names and types of the columns of an open file.

    >>> from types import SimpleNamespace
    >>> schema_of(SimpleNamespace(schema=("text",)))
    ('text',)
    """
    return opened.schema_arrow if hasattr(opened, "schema_arrow") else opened.schema


def text_columns(opened: Any, first: int) -> list[str]:
    """The names of the columns of texts, from column `first` on.

    >>> from importlib.util import find_spec
    >>> if find_spec("pyarrow"):
    ...     schema = arrow_module().schema([("id", "string"), ("n", "int64"), ("text", "string")])
    ...     class Opened: schema_arrow = schema
    ...     assert text_columns(Opened, 1) == ["text"]
    """
    fields = list(schema_of(opened))[first:]
    return [field.name for field in fields if "string" in str(field.type) and not field.type.num_fields]


def _batches_of(opened: Any, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """The rows as record batches of at most 1,024 rows, with all columns or only those named."""
    if hasattr(opened, "iter_batches"):
        yield from opened.iter_batches(
            batch_size=BATCH, use_threads=False, columns=None if columns is None else list(columns)
        )
        return
    if hasattr(opened, "num_record_batches"):
        found: Iterator[Any] = (opened.get_batch(i) for i in range(opened.num_record_batches))
    else:
        found = iter(opened)
    for batch in found:
        chosen = batch if columns is None else batch.select(list(columns))
        for begin in range(0, chosen.num_rows, BATCH):
            yield chosen.slice(begin, BATCH)


def open_writer(file: Any, form: TextFormat, schema: Any, distinct: Sequence[str] = ()) -> Any:
    """Open a writer of record batches and tables; columns in `distinct` have few repeated numbers.

    >>> import io
    >>> from importlib.util import find_spec
    >>> if find_spec("pyarrow"):
    ...     open_writer(io.BytesIO(), "feather", arrow_module().schema([])).close()
    """
    arrow = arrow_module()
    if form == "parquet":
        names = [leaf for leaf in _leaves(schema) if leaf.partition(".")[0] not in distinct]
        return arrow.parquet.ParquetWriter(file, schema, use_dictionary=names if distinct else True)
    return arrow.ipc.new_file(file, schema, options=arrow.ipc.IpcWriteOptions(emit_dictionary_deltas=True))


def _leaves(schema: Any) -> list[str]:
    """The parquet columns of a schema: a list of objects has one for each of their fields."""
    arrow, file = arrow_module(), io.BytesIO()
    arrow.parquet.write_table(schema.empty_table(), file)
    columns = arrow.parquet.ParquetFile(file).schema
    return [columns.column(i).path for i in range(len(columns))]


@contextmanager
def not_written(form: TextFormat) -> Iterator[None]:
    """Turn an error of an Arrow format that cannot hold the rows into an InputError that says what to do.

    >>> with not_written("feather"):
    ...     raise ValueError("no unions")
    Traceback (most recent call last):
    minembed.errors.InputError: the rows cannot be written as feather (no unions); write .jsonl, or leave columns out
    """
    try:
        yield
    except MinembedError:
        raise
    except (ValueError, TypeError, NotImplementedError) as error:  # pyarrow's own errors derive from them
        raise InputError(
            f"the rows cannot be written as {form} ({error}); write .jsonl, or leave columns out"
        ) from error


def copy_arrow(opened: Any, file: Any, form: TextFormat, keep: Callable[[int], bool]) -> int:
    """Copy the rows of an open file that `keep` selects by their number, from 1, with all columns, types and metadata.

    >>> import io
    >>> from importlib.util import find_spec
    >>> if find_spec("pyarrow"):
    ...     file, copy, table = io.BytesIO(), io.BytesIO(), arrow_module().table({"text": ["one", "two"]})
    ...     arrow_module().parquet.write_table(table, file)
    ...     _ = copy_arrow(open_arrow(file, "parquet", "x"), copy, "parquet", lambda number: number == 2)
    ...     assert arrow_module().parquet.read_table(copy).to_pydict() == {"text": ["two"]}
    """
    arrow, schema = arrow_module(), schema_of(opened)
    number = kept = 0
    with not_written(form), open_writer(file, form, schema) as writer:
        for batch in _batches_of(opened):
            mask = [keep(number + i) for i in range(1, batch.num_rows + 1)]
            number += batch.num_rows
            kept += sum(mask)
            writer.write_batch(batch.filter(arrow.array(mask)))
    return kept


def arrow_records(opened: Any, name: str, columns: Sequence[str] | None = None) -> Iterator[Record]:
    """Read the rows of an open file, numbered from 0; all columns, or only those named.

    >>> import io
    >>> from importlib.util import find_spec
    >>> if find_spec("pyarrow"):
    ...     file, table = io.BytesIO(), arrow_module().table({"text": ["one"]})
    ...     arrow_module().parquet.write_table(table, file)
    ...     for place, row, _ in arrow_records(open_arrow(file, "parquet", "x"), "x"):
    ...         assert (place, dict(row)) == ("x, row 0", {"text": "one"})
    """
    number = 0
    try:
        for batch in _batches_of(opened, columns):
            for index in range(batch.num_rows):
                place = f"{name}, row {number}"
                yield place, ArrowRow(batch, index, place), ""
                number += 1
    except (ValueError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name}, row {number}: cannot be read ({error})") from error
