"""Write vectors without rows to files, block by block, so that they need not fit into memory."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile

import numpy as np

from minembed.data.excerpt import excerpt
from minembed.errors import InputError
from minembed.runtime.paths import check_regular
from minembed.runtime.safetensors_files import CODES, header_of
from minembed.types import Array

Blocks = Iterable[tuple[Sequence[Any], Array]]  # texts or ids, and their vectors, (n, width)
Write = Callable[[BinaryIO, Array, Blocks], int]  # (file, no rows of the right width and dtype, blocks) -> rows

TENSOR = "embeddings"  # its name in a safetensors file
HEADER = 256  # bytes of a safetensors header: room for the largest number of rows


def open_npy(path: Path) -> Array:
    """Memory-map the array of a .npy file; raises InputError if it is not one.

    >>> open_npy(Path("none.npy"))
    Traceback (most recent call last):
    minembed.errors.InputError: none.npy cannot be read (No such file or directory)
    """
    try:
        check_regular(path)
        with np.errstate(over="ignore"):  # from an impossible shape
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
        # version 1.0 leaves room for a larger number of rows, so both headers have the same length
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


def write_npz(file: BinaryIO, empty: Array, blocks: Blocks, work: BinaryIO) -> int:
    """Write two arrays, `ids` (N,), int64 or str, and `embeddings` (N, width); `work` is an empty temporary file.

    >>> from io import BytesIO
    >>> file = BytesIO()
    >>> write_npz(file, np.zeros((0, 3), np.float32), [(["a", "b"], np.ones((2, 3), np.float32))], BytesIO())
    2
    >>> found = np.load(BytesIO(file.getvalue()))
    >>> found["ids"].tolist(), found["embeddings"].shape
    (['a', 'b'], (2, 3))
    """
    ids: list[Any] = []

    def noted() -> Iterator[tuple[Sequence[Any], Array]]:
        for names, block in blocks:
            ids.extend(names)
            yield names, block

    rows = write_npy(work, empty, noted())
    work.seek(0)
    with ZipFile(file, "w") as archive:
        with archive.open("ids.npy", "w", force_zip64=True) as member:
            np.save(member, as_array(ids))
        with archive.open(f"{TENSOR}.npy", "w", force_zip64=True) as member:
            shutil.copyfileobj(work, member, 1 << 20)
    return rows


def as_array(ids: Sequence[Any]) -> Array:  # -> (N,)
    """Ids as an array: int64 if all are whole numbers of 64 bits, else str.

    Raises InputError if different ids would become equal.

    >>> as_array([1, 2]).dtype.kind, as_array(["007", 2]).tolist()
    ('i', ['007', '2'])
    """
    if all(isinstance(name, int) and -(1 << 63) <= name < 1 << 63 for name in ids):
        return np.array(ids, np.int64)
    found = np.array([str(name) for name in ids])
    if len(set(found.tolist())) < len(set(ids)):
        raise InputError("some ids are the same as texts of an array, such as 1 and '1': write a table instead")
    return found


WRITERS: dict[str, Write] = {".npy": write_npy, ".safetensors": write_safetensors}
WITH_IDS = ".npz"
VECTORS = (".npy", WITH_IDS, ".safetensors")  # endings of outputs with vectors only


def preview(texts: Sequence[str], block: Array, columns: int) -> Iterator[str]:
    """Format each text and its vector as a line that fits the terminal: the first numbers, and the text.

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
