"""The files of a job: each contains the rows of a shard with their vectors, and the identity of its job."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path  # noqa: F401, for the examples
from typing import Any, BinaryIO

import numpy as np

from minembed.data.arrow_rows import BATCH, arrow_module, open_arrow
from minembed.data.columns import Column, value_of
from minembed.data.corpus import id_of
from minembed.data.layout import Layout
from minembed.data.outputs import write_rows
from minembed.data.pairing import Pair
from minembed.data.texts import TextRow
from minembed.data.vectors import TENSOR
from minembed.errors import MinembedError, SourceError
from minembed.jobs.plan import Plan, ShardForm
from minembed.runtime.places import on_disk
from minembed.runtime.safetensors_files import header_of, layout_of
from minembed.runtime.store import Place
from minembed.types import Array

EMBEDDING = "embedding"  # the column of the vectors
KEY = "minembed"  # of a shard's facts in the file's metadata
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError)
LONGEST_HEADER = 100 << 10  # bytes of the header of a shard in safetensors


def name_of(number: int, form: ShardForm) -> str:
    """The file name of a shard; the order of names is that of rows.

    >>> name_of(7, "parquet")
    'part-000007.parquet'
    """
    return f"part-{number:06}.{form}"


def sizes_of(rows: int) -> Iterator[int]:
    """The sizes of the blocks in which a shard is written; they depend only on its rows.

    >>> list(sizes_of(2500))
    [1024, 1024, 452]
    """
    for start in range(0, rows, BATCH):
        yield min(BATCH, rows - start)


def write_shard(
    file: BinaryIO, form: ShardForm, layout: Layout, blocks: Iterable[Pair], empty: Array, facts: Mapping[str, Any]
) -> None:
    """Write a shard: in parquet all rows with their columns, in safetensors vectors and ids of rows with a text.

    `facts` are stored in the file's metadata, and `empty` is an array (0, D) of the dtype of the vectors.
    """
    said = {KEY: json.dumps(facts, sort_keys=True)}
    if form == "parquet":
        rows = (([row.row for row in some], [vectors]) for some, vectors in blocks)
        write_rows(file, "parquet", replace(layout, metadata=said), rows)
    else:
        _write_tensors(file, blocks, empty, said)


def _write_tensors(file: BinaryIO, blocks: Iterable[Pair], empty: Array, said: Mapping[str, str]) -> None:
    ids, parts = list[Any](), [empty]
    for some, vectors in blocks:
        ids += [row.row.values["id"] for row in some]
        parts.append(vectors)
    vectors = np.concatenate(parts)
    arrays = {TENSOR: vectors} | ids_as_arrays(ids)
    file.write(header_of(layout_of(arrays), said))
    for array in arrays.values():
        file.write(np.ascontiguousarray(array).data.cast("B") if array.size else b"")


def ids_as_arrays(ids: list[Any]) -> dict[str, Array]:
    """Ids as tensors: "ids" (N,) int64, or, if some are texts, "ids.bytes" in UTF-8 and their "ids.ends" (N,).

    >>> {name: array.tolist() for name, array in ids_as_arrays(["a", 7]).items()}
    {'ids.bytes': [97, 55], 'ids.ends': [1, 2]}
    """
    if all(isinstance(one, int) and -(1 << 63) <= one < 1 << 63 for one in ids):
        return {"ids": np.array(ids, np.int64)}
    encoded = [str(one).encode("utf-8", "surrogatepass") for one in ids]
    ends = np.cumsum([len(one) for one in encoded], dtype=np.int64)
    return {"ids.bytes": np.frombuffer(b"".join(encoded), np.uint8), "ids.ends": ends}


def ids_from(tensors: Mapping[str, Array]) -> list[int | str]:
    """The ids from the tensors of `ids_as_arrays`; integers among texts become texts.

    >>> ids_from(ids_as_arrays(["a", 7])), ids_from(ids_as_arrays([1, 2]))
    (['a', '7'], [1, 2])
    """
    if "ids" in tensors:
        whole: list[int | str] = tensors["ids"].tolist()
        return whole
    content, ends = tensors["ids.bytes"].tobytes(), tensors["ids.ends"].tolist()
    starts = [0, *ends[:-1]]
    return [content[a:b].decode("utf-8", "surrogatepass") for a, b in zip(starts, ends, strict=True)]


def with_ids(rows: Iterable[tuple[TextRow, Column | None]]) -> Iterator[TextRow]:
    """Rows with a text, reduced to it and their id: the contents of a shard in safetensors."""
    for row, column in rows:
        if row.text is not None:
            values = row.row.values
            own = row.number if column is None else id_of(value_of(values, column), column.name, row.row.place)
            yield row._replace(row=row.row._replace(values={"id": own}))


def vectors_in(path: Place, columns: list[str] | None = None) -> Iterator[tuple[Any, Array, list[int]]]:
    """The rows of a shard in parquet, some at a time: a record batch, its vectors, and the rows that have one.

    `columns` are those to read; by default all.
    """
    with on_disk(path) as local, local.open("rb") as file:
        for batch in open_arrow(file, "parquet", str(path)).iter_batches(BATCH, columns=columns):
            column = batch.column(batch.schema.get_field_index(EMBEDDING))
            vectors = column.flatten().to_numpy().reshape(-1, column.type.list_size)
            yield batch, vectors, np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False)).tolist()


def column_of(path: list[str]) -> Column:
    """The column with a path from a plan.

    >>> column_of(["doc", "body"]).name
    'doc.body'
    """
    return Column(".".join(path), tuple(path))


def is_whole(path: Place, plan: Plan, number: int) -> bool:
    """Whether a file exists and is the complete shard of this job with this number.

    >>> is_whole(Path("none"), Plan({}, {}, {}, "parquet", (), ()), 0)
    False
    """
    try:
        said, rows = read_facts(path, plan.form)
    except SourceError:  # a store that does not answer says nothing about its objects
        raise
    except UNREADABLE:
        return False
    shard = plan.shards[number]
    expected = shard.rows if plan.form == "parquet" else shard.texts
    return said.get("job") == plan.identity() and said.get("shard") == number and rows == expected


def read_facts(path: Place, form: ShardForm) -> tuple[dict[str, Any], int]:
    """The facts in a shard's metadata, and its rows; raises OSError, ValueError or KeyError if it is damaged."""
    if form == "parquet":
        try:
            with path.open("rb") as file:
                opened = arrow_module().parquet.ParquetFile(file)
                return json.loads(opened.schema_arrow.metadata[KEY.encode()]), opened.metadata.num_rows
        except MinembedError:
            raise
        except Exception as error:  # pyarrow has many exceptions
            raise ValueError(str(error)) from error
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > LONGEST_HEADER:
            raise ValueError("its header is too long")
        header = json.loads(file.read(length))
    said = json.loads(header.pop("__metadata__")[KEY])
    if size != 8 + length + max(entry["data_offsets"][1] for entry in header.values()):
        raise ValueError("it is cut off")
    return said, header[TENSOR]["shape"][0]
