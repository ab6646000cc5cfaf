"""Vectors to files and to the screen, block by block, so that more may be written than fits into memory."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minembed.data.arrow_rows import arrow_module
from minembed.data.excerpt import excerpt
from minembed.errors import InputError
from minembed.runtime.files import check_regular
from minembed.runtime.safetensors_files import CODES, header_of
from minembed.types import Array

Blocks = Iterable[tuple[Sequence[str], Array]]  # texts and their vectors, (n, width)
Write = Callable[[BinaryIO, Array, Blocks], int]  # (file, no rows of the right width and dtype, blocks) -> rows

EXACT, ROUNDED = "%.9g", "%.6f"  # 9 digits give every float32 back
TENSOR = "embeddings"  # its name in a safetensors file
HEADER = 256  # bytes of a safetensors header: room for the largest number of rows


def open_npy(path: Path) -> Array:
    """Map the array of a .npy file; raises InputError for what is none.

    >>> open_npy(Path("none.npy"))
    Traceback (most recent call last):
    minembed.errors.InputError: none.npy cannot be read (No such file or directory)
    """
    try:
        check_regular(path)
        with np.errstate(over="ignore"):  # of a shape that no array has
            array = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except (ValueError, EOFError, TypeError, OverflowError) as error:
        raise InputError(f"{path} is not a .npy file ({error}); make one with minembed embed -o") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise InputError(f"{path} is not a .npy file but an archive of some; take one out of it")
    return array


def write_npy(file: BinaryIO, empty: Array, blocks: Blocks) -> int:
    """Write an array (N, width) for `numpy.load`; N is put into the header at the end.

    >>> from io import BytesIO
    >>> blocks = [(["a", "b"], np.ones((2, 3), np.float32))]
    >>> file = BytesIO()
    >>> write_npy(file, np.zeros((0, 3), np.float32), blocks)
    2
    >>> np.load(BytesIO(file.getvalue())).shape
    (2, 3)
    """

    def header(rows: int) -> None:
        # version 1.0 leaves room for the number of rows to grow, so both headers are of one length
        facts = {"descr": empty.dtype.str, "fortran_order": False, "shape": (rows, empty.shape[1])}
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, facts)

    return _append(file, header, blocks)


def write_safetensors(file: BinaryIO, empty: Array, blocks: Blocks) -> int:
    """Write one tensor, "embeddings", (N, width).

    >>> from io import BytesIO
    >>> from safetensors.numpy import load
    >>> blocks = [(["a", "b"], np.ones((2, 3), np.float32))]
    >>> file = BytesIO()
    >>> write_safetensors(file, np.zeros((0, 3), np.float32), blocks)
    2
    >>> load(file.getvalue())["embeddings"].shape
    (2, 3)
    """

    def header(rows: int) -> None:
        file.seek(0)
        file.write(header_of({TENSOR: (CODES[empty.dtype], (rows, empty.shape[1]))}, room=HEADER))

    return _append(file, header, blocks)


def _append(file: BinaryIO, header: Callable[[int], None], blocks: Blocks) -> int:
    header(0)
    rows = 0
    for _, block in blocks:
        file.write(np.ascontiguousarray(block).data)
        rows += len(block)
    header(rows)
    return rows


def write_jsonl(file: BinaryIO, empty: Array, blocks: Blocks) -> int:
    """Write an object a line: the text, and the embedding with all its digits.

    >>> from io import BytesIO
    >>> file, block = BytesIO(), np.float32([[0.5, 1]])
    >>> write_jsonl(file, block, [(["a cat"], block)])
    1
    >>> file.getvalue().decode()
    '{"text": "a cat", "embedding": [0.5, 1]}\\n'
    """
    rows = 0
    for texts, block in blocks:
        for line in json_lines(texts, block, EXACT):
            file.write(line.encode("utf-8", "backslashreplace") + b"\n")  # a lone surrogate becomes a JSON escape
        rows += len(block)
    return rows


def write_parquet(file: BinaryIO, empty: Array, blocks: Blocks) -> int:
    """Write two columns, the text and the embedding (a list); needs the extra `arrow`."""
    arrow = arrow_module()
    parquet = arrow.parquet
    value = arrow.from_numpy_dtype(empty.dtype)
    schema = arrow.schema([("text", arrow.string()), ("embedding", arrow.list_(value, empty.shape[1]))])
    rows = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for texts, block in blocks:
            vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(block.reshape(-1)), empty.shape[1])
            whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]  # no lone surrogates
            writer.write_table(arrow.table([arrow.array(whole, arrow.string()), vectors], schema=schema))
            rows += len(block)
    return rows


WRITERS: dict[str, Write] = {
    ".npy": write_npy,
    ".jsonl": write_jsonl,
    ".safetensors": write_safetensors,
    ".parquet": write_parquet,
}


def json_lines(texts: Sequence[str], block: Array, number: str) -> Iterator[str]:
    """Turn texts and vectors into JSON lines.

    >>> list(json_lines(["a"], np.float32([[0.5, -1]]), "%.6f"))
    ['{"text": "a", "embedding": [0.500000, -1.000000]}']
    """
    number = number if block.dtype.kind == "f" else "%d"
    vector = "[" + ", ".join([number] * block.shape[1]) + "]"
    for text, row in zip(texts, block.tolist(), strict=True):
        yield f'{{"text": {json.dumps(text, ensure_ascii=False)}, "embedding": {vector % tuple(row)}}}'


def preview(texts: Sequence[str], block: Array, columns: int) -> Iterator[str]:
    """Turn texts and vectors into a line each that fits the terminal: the first numbers, and the text.

    >>> list(preview(["a long text"], np.float32([[0.5, -1, 0, 2, 1]]), columns=60))
    ['[+0.500 -1.000 +0.000 +2.000 ... 5 numbers]  a long text']
    """
    shown = min(4, block.shape[1])
    number = "{:+.3f}" if block.dtype.kind == "f" else "{:+d}"
    for text, row in zip(texts, block.tolist(), strict=True):
        first: list[Any] = row[:shown]
        vector = f"[{' '.join(map(number.format, first))} ... {block.shape[1]} numbers]"
        room = max(columns - len(vector) - 2, 10)
        yield f"{vector}  {excerpt(text, room)}"
