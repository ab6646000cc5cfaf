"""Rows as parquet or feather; needs the extra `arrow`."""

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any, BinaryIO

import numpy as np

from minembed.data.arrow_rows import ArrowRow, arrow_module, not_written, open_writer
from minembed.data.json_kinds import arrow_type, fitted
from minembed.data.layout import Block, Extra, Layout
from minembed.data.plain_values import as_cell
from minembed.data.table import Row
from minembed.data.text_output import SURROGATES
from minembed.types import TextFormat

GROUP = 8 << 20  # bytes of rows that are written together: a parquet row group or a feather record batch


def write_arrow_rows(file: BinaryIO, form: TextFormat, layout: Layout, blocks: Iterable[Block]) -> int:
    """Write blocks of rows; returns the number of rows.

    >>> import io
    >>> from importlib.util import find_spec
    >>> if find_spec("pyarrow"):
    ...     file, layout = io.BytesIO(), Layout(("id",), (Extra("embedding", np.dtype("f4"), 2),))
    ...     rows = [Row("x", {"id": "a"}, ""), Row("x", {"id": "b"}, "")]
    ...     _ = write_arrow_rows(file, "parquet", layout, [(rows, [[None, np.float32([0.5, 1])]])])
    ...     found = arrow_module().parquet.read_table(file).to_pylist()
    ...     assert found == [{"id": "a", "embedding": None}, {"id": "b", "embedding": [0.5, 1.0]}]
    """
    with not_written(form):  # Arrow may not accept the names
        schema, written = schema_for(layout, form), 0
    waiting: list[Any] = []
    known: dict[int, Any] = {}
    with not_written(form):
        opened = open_writer(file, form, schema, [extra.name for extra in layout.extra if extra.width])
    with opened as writer:

        def flush() -> None:
            if waiting:
                table = arrow_module().concat_tables(waiting)
                waiting.clear()
                table = with_whole_dictionaries(table.combine_chunks(), known) if form == "feather" else table
                writer.write_table(table, table.num_rows)

        for rows, values in blocks:
            with not_written(form):
                if rows:
                    waiting.append(_table_of(rows, values, layout, schema))
                    written += len(rows)
                if sum(table.nbytes for table in waiting) >= GROUP:
                    flush()
        with not_written(form):
            flush()
    return written


def with_whole_dictionaries(table: Any, known: dict[int, Any]) -> Any:
    """A table whose dictionaries extend the earlier ones, kept in `known` by column, as feather files require.

    >>> from importlib.util import find_spec
    >>> if find_spec("pyarrow"):
    ...     known = {}
    ...     for word in "ab":
    ...         column = arrow_module().array([word]).dictionary_encode()
    ...         found = with_whole_dictionaries(arrow_module().table({"x": column}), known).column(0).chunk(0)
    ...     assert found.dictionary.to_pylist() == ["a", "b"] and found.to_pylist() == ["b"]
    """
    arrow = arrow_module()
    for i, kind in enumerate(table.schema.types):
        if not arrow.types.is_dictionary(kind) or not table.num_rows:
            continue
        column = table.column(i).combine_chunks()
        column = column.chunk(0) if isinstance(column, arrow.ChunkedArray) else column
        before = known.get(i, column.dictionary.slice(0, 0))
        at = arrow.compute.index_in(column.dictionary, value_set=before)
        known[i] = whole = arrow.concat_arrays([before, column.dictionary.filter(at.is_null())])
        moved = arrow.compute.index_in(column.dictionary, value_set=whole).take(column.indices)
        new = arrow.DictionaryArray.from_arrays(moved.cast(kind.index_type), whole, ordered=kind.ordered)
        table = table.set_column(i, table.schema.field(i), new)
    return table


def schema_for(layout: Layout, form: TextFormat) -> Any:
    """The schema of an output; columns without a type are texts.

    >>> from importlib.util import find_spec
    >>> schema_for(Layout(("id",), (Extra("n", int),)), "feather").names if find_spec("pyarrow") else ["id", "n"]
    ['id', 'n']
    """
    arrow = arrow_module()
    if layout.schema is not None:
        own = [field.with_type(_wide(field.type)) if form == "feather" else field for field in layout.schema]
    else:
        kinds = layout.kinds
        names = layout.columns or ()
        own = [arrow.field(name, arrow.string() if kinds is None else arrow_type(kinds[name])) for name in names]
    added = [arrow.field(extra.name, _type_of(extra)) for extra in layout.extra]
    said = {} if layout.schema is None else dict(layout.schema.metadata or {})
    said |= {name.encode(): value.encode() for name, value in (layout.metadata or {}).items()}
    return arrow.schema([*own, *added], metadata=said or None)


def _wide(kind: Any) -> Any:
    """A type with room for a dictionary that grows."""
    arrow = arrow_module()
    if not arrow.types.is_dictionary(kind):
        return kind
    return arrow.dictionary(arrow.int32(), kind.value_type, kind.ordered)


def _type_of(extra: Extra) -> Any:
    arrow = arrow_module()
    if extra.width is not None:
        return arrow.list_(arrow.from_numpy_dtype(np.dtype(extra.kind)), extra.width)
    simple: dict[Any, Any] = {str: arrow.string, int: arrow.int64, float: arrow.float64, bool: arrow.bool_}
    return simple[extra.kind]()


def _table_of(rows: Sequence[Row], values: Sequence[Sequence[Any]], layout: Layout, schema: Any) -> Any:
    arrow = arrow_module()
    added = [
        _vectors(column, extra) if extra.width else _array(list(column), _type_of(extra))
        for column, extra in zip(values, layout.extra, strict=True)
    ]
    if layout.schema is not None:
        own = _gathered(rows, arrow.schema(list(schema)[: len(layout.schema)])).columns
    else:
        own = [_own_column(rows, name, layout, schema.field(i).type) for i, name in enumerate(layout.columns or ())]
    return arrow.table([*own, *added], schema=schema)


def _gathered(rows: Sequence[Row], schema: Any) -> Any:
    """Rows that came from Arrow, unchanged: slices of their batches."""
    arrow = arrow_module()
    found: list[ArrowRow] = [row.values for row in rows]  # type: ignore[misc]
    pieces = []
    for _, some in groupby(found, key=lambda row: id(row.batch)):
        same = list(some)
        batch, at = same[0].batch.select(schema.names), [row.index for row in same]
        if at == list(range(at[0], at[0] + len(at))):
            pieces.append(batch.slice(at[0], len(at)))
        else:
            pieces.append(batch.take(arrow.array(at)))
    return arrow.Table.from_batches(pieces).cast(schema)


def _own_column(rows: Sequence[Row], name: str, layout: Layout, kind: Any) -> Any:
    values = [row.values.get(name) for row in rows]
    if layout.kinds is None:
        return _array([value if isinstance(value, str | None) else as_cell(value) for value in values], kind)
    return _array([fitted(value, layout.kinds[name]) for value in values], kind)


def _array(values: list[Any], kind: Any) -> Any:
    try:
        return arrow_module().array(values, kind)
    except UnicodeEncodeError:
        return arrow_module().array([_sound(value) for value in values], kind)


def _sound(value: Any) -> Any:
    """A value without lone surrogates, which Arrow does not allow in texts."""
    if isinstance(value, str):
        return SURROGATES.sub("\ufffd", value)
    if isinstance(value, list):
        return [_sound(one) for one in value]
    return {name: _sound(one) for name, one in value.items()} if isinstance(value, dict) else value


def _vectors(vectors: Sequence[Any], extra: Extra) -> Any:
    """Vectors as lists of a fixed length; null for a missing one."""
    arrow = arrow_module()
    mask = None
    if not isinstance(vectors, np.ndarray):
        zero = np.zeros(extra.width or 0, extra.kind)
        mask = arrow.array([vector is None for vector in vectors])
        full = np.array([zero if vector is None else vector for vector in vectors], extra.kind)
    else:
        full = np.ascontiguousarray(vectors, extra.kind)
    return arrow.FixedSizeListArray.from_arrays(arrow.array(full.reshape(-1)), extra.width, mask=mask)
