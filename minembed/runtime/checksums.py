"""Checksums of files, of bytes that arrive in pieces, and of the content of a JSON object."""

import json
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

PIECE = 16 << 20  # bytes that are read at a time
SUMMED = 1 << 16  # bytes per checksum, in files that are not read as a whole


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """Read a file to its end, at most 16 MiB at a time.

    >>> from io import BytesIO
    >>> list(pieces_of(BytesIO(b"abc")))
    [b'abc']
    """
    while piece := file.read(PIECE):
        yield piece


def hash_file(file: BinaryIO, algorithm: str = "sha256", prefix: bytes = b"") -> str:
    """Hash `prefix` and then a file to its end; returns the digest in hexadecimal.

    >>> from io import BytesIO
    >>> hash_file(BytesIO(b"abc"), "sha1")
    'a9993e364706816aba3e25717850c26c9cd0d89d'
    """
    import hashlib  # late: finding and loading a model does not need it

    digest = hashlib.new(algorithm, prefix, usedforsecurity=False)  # git uses SHA-1, which FIPS systems allow only so
    for piece in pieces_of(file):
        digest.update(piece)
    return digest.hexdigest()


def crc32_of(pieces: Iterable[bytes | memoryview]) -> int:
    """The CRC-32 of consecutive pieces of bytes.

    >>> crc32_of([b"ab", b"c"]) == crc32_of([b"abc"])
    True
    """
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
    return crc


class Sums:
    """The CRC-32 of each SUMMED bytes of data that arrive in pieces.

    >>> sums = Sums()
    >>> for data in (b"a" * 40_000, b"a" * 40_000):
    ...     sums.add(data)
    >>> len(sums.found()), sums.found()[0] == crc32_of([b"a" * SUMMED])
    (2, True)
    """

    def __init__(self) -> None:
        self._whole, self._crc, self._size = array("I"), 0, 0  # _crc and _size: of the last piece so far

    def add(self, data: bytes | memoryview) -> None:
        """Add more bytes."""
        at, view = 0, memoryview(data)
        while at < len(view):
            some = view[at : at + SUMMED - self._size]
            self._crc, self._size, at = zlib.crc32(some, self._crc), self._size + len(some), at + len(some)
            if self._size == SUMMED:
                self._whole.append(self._crc)
                self._crc = self._size = 0

    def found(self) -> "array[int]":
        """The checksums so far; the last piece may be shorter."""
        return self._whole + array("I", [self._crc] if self._size else [])


def crc32_of_json(body: Mapping[str, Any]) -> int:
    """The CRC-32 of the content of a JSON object, independent of its layout.

    >>> crc32_of_json({"a": 1, "b": 2}) == crc32_of_json({"b": 2, "a": 1})
    True
    """
    return zlib.crc32(json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
