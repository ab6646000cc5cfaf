"""Checksums: of files, of bytes that come in pieces, and of what a JSON object says."""

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

PIECE = 16 << 20  # bytes that are read at a time


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
    import hashlib  # late: a model is found and loaded without it

    digest = hashlib.new(algorithm, prefix, usedforsecurity=False)  # SHA-1 is git's: systems under FIPS allow it so
    for piece in pieces_of(file):
        digest.update(piece)
    return digest.hexdigest()


def crc32_of(pieces: Iterable[bytes | memoryview]) -> int:
    """The CRC-32 of pieces of bytes, one after the other.

    >>> crc32_of([b"ab", b"c"]) == crc32_of([b"abc"])
    True
    """
    crc = 0
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
    return crc


def crc32_of_json(body: Mapping[str, Any]) -> int:
    """The CRC-32 of what a JSON object says, whatever its layout.

    >>> crc32_of_json({"a": 1, "b": 2}) == crc32_of_json({"b": 2, "a": 1})
    True
    """
    return zlib.crc32(json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode())
