"""Safetensors files, written one array after the other, with checksums computed on the way."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from minembed.runtime.checksums import Sums
from minembed.types import Array

DTYPES = {"F32": "<f4", "F64": "<f8", "I8": "i1", "U8": "u1", "I64": "<i8", "U64": "<u8", "BOOL": "?"}
CODES = {np.dtype(dtype): code for code, dtype in DTYPES.items()}
ALIGNED = 64  # bytes: where the first tensor begins
Layout = dict[str, tuple[str, tuple[int, ...]]]  # tensor -> dtype, shape


def size_of(dtype: str, shape: Sequence[int]) -> int:
    """The number of bytes of a tensor.

    >>> size_of("F32", (2, 3))
    24
    """
    size = np.dtype(DTYPES[dtype]).itemsize
    for n in shape:
        size *= n
    return size


def layout_of(arrays: Mapping[str, Array]) -> Layout:
    """The layout of a file with these arrays.

    >>> layout_of({"a": np.zeros((2, 3), np.float32)})
    {'a': ('F32', (2, 3))}
    """
    return {name: (CODES[array.dtype.newbyteorder("<")], array.shape) for name, array in arrays.items()}


def header_of(
    tensors: Layout,
    metadata: Mapping[str, str] | None = None,
    *,
    room: int = 0,
    aligned: int = ALIGNED,
    separators: tuple[str, str] = (",", ":"),
) -> bytes:
    """The beginning of a safetensors file: the length of its header, and the header.

    It takes at least `room` bytes, so that a longer header can replace it later.  The first tensor begins at a multiple
    of `aligned` bytes; `separators` are those of the JSON.

    >>> len(header_of({"a": ("F32", (3,))})) % ALIGNED
    0
    """
    entries: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    end = 0
    for name, (dtype, shape) in tensors.items():
        size = size_of(dtype, shape)
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    header = json.dumps(entries, separators=separators).encode()
    header = header.ljust(room - 8)
    header += b" " * (-(len(header) + 8) % aligned)
    return len(header).to_bytes(8, "little") + header


@dataclass(slots=True)
class Summed:
    """A file that is being written, with its size and its CRC-32 so far."""

    file: BinaryIO
    size: int = 0
    crc: int = 0
    sums: Sums | None = None  # also gets what is written

    def write(self, data: bytes | memoryview) -> None:
        """Write some bytes."""
        self.file.write(data)
        self.size += len(data)
        self.crc = zlib.crc32(data, self.crc)
        if self.sums is not None:
            self.sums.add(data)

    def facts(self) -> dict[str, int]:
        """The entry of the file for a manifest."""
        return {"bytes": self.size, "crc32": self.crc}


def write_safetensors(path: Path, header: bytes, parts: Iterable[Array], sums: Sums | None = None) -> dict[str, int]:
    """Write a new safetensors file and return its size and CRC-32.

    `header` is from `header_of`; `parts` are the numbers of all its tensors in order, in any number of arrays of the
    right dtypes; only one part has to be in memory at a time.  `sums` also gets the bytes of the file.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.safetensors"
    ...     write_safetensors(path, header_of({"a": ("F32", (3,))}), [np.float32([1, 2]), np.float32([3])])["bytes"]
    ...     read_arrays(path)["a"].tolist()
    76
    [1.0, 2.0, 3.0]
    """
    with path.open("xb") as raw:
        file = Summed(raw, sums=sums)
        file.write(header)
        for part in parts:
            if part.size:
                file.write(np.ascontiguousarray(part, part.dtype.newbyteorder("<")).data.cast("B"))
        return file.facts()


def read_arrays(path: Path) -> dict[str, Array]:
    """Read a file of `write_safetensors`; its content is trusted, so compare its checksum first.

    >>> read_arrays(Path("none"))
    Traceback (most recent call last):
        ...
    FileNotFoundError: [Errno 2] No such file or directory: 'none'
    """
    with path.open("rb") as file:
        entries = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        found = {}
        for name, entry in entries.items():  # the order of the file
            array = np.empty(entry["shape"], DTYPES[entry["dtype"]])
            if array.size:
                file.readinto(array.data.cast("B"))
            found[name] = array
    return found
