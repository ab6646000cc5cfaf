"""The source of a file's bytes: a path, which can be read again, or a pipe, which is read once."""

import bz2
import io
import lzma
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from gzip import GzipFile
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, cast

from minembed.errors import InputError, MissingExtraError
from minembed.runtime.checksums import hash_file, pieces_of
from minembed.runtime.interrupts import not_swallowed
from minembed.runtime.store import Place

STDIN = Path("-")
BLOCK = 1 << 16  # bytes that are read at a time


class Stream(io.RawIOBase):
    """Bytes whose beginning can be inspected before they are read.

    >>> stream = Stream(io.BytesIO(b"one two"), "x")
    >>> stream.look(3)[:3], stream.read()
    (b'one', b'one two')
    """

    def __init__(self, raw: Any, name: str, below: Any = None) -> None:
        self.raw, self.name = raw, name
        self._below = below  # closed together with this
        self._head, self._taken = b"", 0  # bytes that were inspected, and how many of them were read since
        self._read = getattr(raw, "read1", raw.read)
        self.ended = False

    def look(self, size: int = 1) -> bytes:
        """The first bytes that were not read yet: at least `size`, unless there are fewer."""
        blocks = [self._head[self._taken :]]
        missing = size - len(blocks[0])
        with unpacking(self.name):
            while missing > 0 and not self.ended:
                blocks.append(self._read(BLOCK))
                self.ended = not blocks[-1]
                missing -= len(blocks[-1])
        self._head, self._taken = b"".join(blocks), 0
        return self._head

    def begins(self, marks: Sequence[bytes]) -> bytes:
        """The first bytes, enough to decide which of these marks they begin with; of a pipe, no more than that."""
        head = self.look()
        while not self.ended and any(mark.startswith(head) and mark != head for mark in marks):
            head = self.look(len(head) + 1)
        return head

    def readable(self) -> bool:
        """Always True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; 0 at the end."""
        block = self._head[self._taken : self._taken + len(buffer)]
        self._taken += len(block)
        if not block:
            self._head, self._taken = b"", 0
            with unpacking(self.name):
                block = self._read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def place(self) -> int:
        """How many bytes of the (compressed) file were read."""
        file = self if self._below is None else self._below
        return int(file.raw.tell())

    def close(self) -> None:
        """Close it and the files that it reads from."""
        if not self.closed:
            self.raw.close()
            if self._below is not None:
                self._below.close()
        super().close()


@contextmanager
def unpacking(name: str) -> Iterator[None]:
    """Turn the errors of a damaged archive into an InputError.

    >>> with unpacking("a.gz"):
    ...     raise EOFError("end")
    Traceback (most recent call last):
    minembed.errors.InputError: a.gz: the compressed data is damaged or cut off (end); make the file again
    """
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(error, name) from error
    except OSError as error:
        if error.errno is not None:  # an error of the disk, not of the archive
            raise
        raise _damaged(error, name) from error


def _damaged(error: Exception, name: str) -> InputError:
    return InputError(f"{name}: the compressed data is damaged or cut off ({error}); make the file again")


@dataclass(frozen=True, slots=True)
class Source:
    """A user's file: `path`, or the open `pipe`; `name` is its name in messages."""

    name: str
    path: Place | None = None
    pipe: BinaryIO | None = None
    kept: bool = False  # the pipe was copied, so that it can be read again
    state: tuple[int, ...] | None = None  # of the file, when it was found

    @classmethod
    def of(cls, path: Place) -> "Source":
        """A path (also in a store), "-" for standard input, or a named pipe, which is opened here; nothing is read.

        Raises InputError if there is no standard input, or it is a terminal.

        >>> Source.of(Path("texts.csv")).name
        'texts.csv'
        """
        if path == STDIN:
            if sys.stdin is None or sys.stdin.isatty():
                raise InputError("no texts: name a file, or pipe them in")
            return cls("standard input", pipe=_standard_input())
        if isinstance(path, Path) and path.exists() and not stat.S_ISREG(path.stat().st_mode) and not path.is_dir():
            return cls(str(path), pipe=path.open("rb", buffering=0))
        return cls(str(path), path, state=_state_of(path) if path.exists() else None)

    @property
    def again(self) -> bool:
        """Whether it can be read more than once."""
        return self.path is not None or self.kept

    @property
    def size(self) -> int | None:
        """The size of the (compressed) file in bytes; None for a pipe."""
        return None if self.path is None else self.path.stat().st_size

    def keep(self) -> "Source":
        """The same source, readable more than once: a pipe is read to its end, into memory."""
        if self.again:
            return self
        with self.packed() as pipe:
            return replace(self, pipe=io.BytesIO(b"".join(pieces_of(pipe))), kept=True)

    def packed(self) -> BinaryIO:
        """Open its bytes without decompression; raises InputError if the file has changed."""
        if self.path is not None:
            if self.state is not None and _state_of(self.path) != self.state:
                raise InputError(f"{self.name} changed while it was read: begin again, or with a copy of it")
            return self.path.open("rb", buffering=0)
        assert self.pipe is not None
        if self.kept:
            self.pipe.seek(0)
        return cast(BinaryIO, _Borrowed(self.pipe)) if self.kept else self.pipe

    def open(self) -> tuple[Stream, str | None]:
        """Open it, decompressed; also returns the kind of compression, None if there is none.

        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder) / "a.txt.bz2"
        ...     _ = path.write_bytes(bz2.compress(b"one"))
        ...     stream, packed = Source.of(path).open()
        ...     with stream:
        ...         stream.read(), packed
        (b'one', 'bz2')
        """
        stream = Stream(self.packed(), self.name)
        head = stream.begins([mark for mark, _ in PACKED.values()])
        for kind, (mark, unpack) in PACKED.items():
            if head.startswith(mark):
                inner = Stream(unpack(io.BufferedReader(stream, BLOCK)), self.name, stream)
                if inner.look().startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd")):
                    inner.close()
                    raise InputError(f"{self.name} is packed twice: unpack it once")
                return inner, kind
        return stream, None

    def digest(self) -> str:
        """The SHA-256 of its bytes, without decompression; a pipe must be kept."""
        with self.packed() as file:
            return hash_file(file)


def _state_of(path: Place) -> tuple[int, ...]:
    if not isinstance(path, Path):
        return (path.stamp(),)
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


class _Borrowed(io.RawIOBase):
    """A file that stays open when this is closed."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)


def _standard_input() -> Any:
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except (OSError, AttributeError):  # not a file of the system, for instance one that a test provides
        return sys.stdin.buffer


def _zstd(file: Any) -> Any:
    if sys.version_info >= (3, 14):
        return import_module("compression.zstd").ZstdFile(file)
    try:
        with not_swallowed():
            return import_module("pyarrow").input_stream(file, compression="zstd")
    except ImportError as error:
        raise MissingExtraError(
            ".zst files need Python 3.14 or pyarrow: pip install 'minembed[arrow]', or unpack the file"
        ) from error


PACKED: dict[str, tuple[bytes, Callable[[Any], Any]]] = {
    "gz": (b"\x1f\x8b", lambda file: GzipFile(fileobj=file)),
    "bz2": (b"BZh", bz2.BZ2File),
    "xz": (b"\xfd7zXZ\0", lzma.LZMAFile),
    "zst": (b"\x28\xb5\x2f\xfd", _zstd),
}
