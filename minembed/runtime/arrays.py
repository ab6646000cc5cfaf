"""Files that can be told from damaged ones: summed as they are written, in safetensors' form, brought to the disk."""

import json
import os
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minembed.runtime.files import sync_folder
from minembed.types import Array

DTYPES = {"F32": "<f4", "F64": "<f8", "U8": "u1", "I64": "<i8", "U64": "<u8", "BOOL": "?"}
ALIGNED = 64  # bytes: where the first tensor begins
STEP = 16 << 20  # bytes that are summed at a time
Layout = dict[str, tuple[str, tuple[int, ...]]]  # tensor -> dtype, shape


def size_of(dtype: str, shape: Sequence[int]) -> int:
    """How many bytes a tensor takes.

    >>> size_of("F32", (2, 3))
    24
    """
    size = np.dtype(DTYPES[dtype]).itemsize
    for n in shape:
        size *= n
    return size


def header_of(tensors: Layout) -> bytes:
    """The beginning of a safetensors file: the length of its header, and the header.

    >>> len(header_of({"a": ("F32", (3,))})) % ALIGNED
    0
    """
    entries, end = {}, 0
    for name, (dtype, shape) in tensors.items():
        size = size_of(dtype, shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(entries, separators=(",", ":")).encode()
    header += b" " * (-(len(header) + 8) % ALIGNED)
    return len(header).to_bytes(8, "little") + header


def sum_of(body: Mapping[str, Any]) -> int:
    """The CRC-32 of what a JSON object says, whatever its layout.

    >>> sum_of({"a": 1, "b": 2}) == sum_of({"b": 2, "a": 1})
    True
    """
    return zlib.crc32(json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())


@dataclass(slots=True)
class Summed:
    """A file that is written, its size and its CRC-32 so far."""

    file: BinaryIO
    size: int = 0
    crc: int = 0

    def write(self, data: bytes | memoryview) -> None:
        """Write some bytes."""
        self.file.write(data)
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)

    def write_array(self, array: Array, dtype: str) -> None:
        """Write the numbers of an array."""
        if array.size:
            self.write(np.ascontiguousarray(array, DTYPES[dtype]).data.cast("B"))

    def finish(self) -> dict[str, int]:
        """Bring it to the disk, and say what it is."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return {"bytes": self.size, "crc32": self.crc}


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> dict[str, int]:
    """Write a new safetensors file, one array after the other, and say its size and its CRC-32.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_arrays(Path(folder) / "a.safetensors", {"a": np.zeros(3, np.float32)})["bytes"]
    ...     read_arrays(Path(folder) / "a.safetensors")["a"].tolist()
    76
    [0.0, 0.0, 0.0]
    """
    kinds = {np.dtype(dtype): name for name, dtype in DTYPES.items()}
    tensors = {name: (kinds[array.dtype.newbyteorder("<")], array.shape) for name, array in arrays.items()}
    with path.open("xb") as raw:
        file = Summed(raw)
        file.write(header_of(tensors))
        for name, array in arrays.items():
            file.write_array(array, tensors[name][0])
        return file.finish()


def read_arrays(path: Path) -> dict[str, Array]:
    """Read what `write_arrays` wrote; what is in the file is trusted: sum it first.

    >>> read_arrays(Path("none"))
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'none'
    """
    with path.open("rb") as file:
        entries = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        found = {}
        for name, entry in entries.items():  # which lie in this order
            array = np.empty(entry["shape"], DTYPES[entry["dtype"]])
            if array.size:
                file.readinto(array.data.cast("B"))
            found[name] = array
    return found


def put_in_place(staged: Path, data: Path, manifest: Path, content: bytes) -> None:
    """Move a data folder to its place, and then, in one step, the file that names it in the place of an older one.

    What is staged lies on the same disk, beside nothing else.  Where a call fails, the older file still names its own
    data, and the new data is gone.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     (folder / "work" / "data").mkdir(parents=True)
    ...     put_in_place(folder / "work" / "data", folder / "data-1", folder / "all.json", b"{}")
    ...     sorted(path.name for path in folder.iterdir())
    ['all.json', 'data-1', 'work']
    """
    written = staged.parent / manifest.name
    with written.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(staged)
    try:
        staged.rename(data)
        sync_folder(data.parent)
        written.replace(manifest)
    except BaseException:
        shutil.rmtree(data, ignore_errors=True)
        raise
    sync_folder(data.parent)


def sum_file(path: Path) -> int:
    """The CRC-32 of a file.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a").write_bytes(b"abc")
    ...     sum_file(Path(folder) / "a") == zlib.crc32(b"abc")
    True
    """
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(STEP):
            crc = zlib.crc32(piece, crc)
    return crc
