"""Paths in an object store, s3:// and gs://, with the methods of `pathlib.Path` that jobs need.

pyarrow does the work: shards in parquet need it anyway, and it finds credentials as the tools of the store do.  A file
is written as one object, which appears completely or not at all; there are no folders, only names with slashes.
"""

import errno
import io
import mmap
import os
import stat
import zlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Literal, cast

from minembed.errors import InputError
from minembed.runtime.store_access import store_error, store_of, told

SCHEMES = ("s3", "gs")
BLOCK = 4 << 20  # bytes that are read ahead


@dataclass(frozen=True, slots=True)
class Stat:
    """What a store says about an object, with the names of `os.stat_result`."""

    st_size: int
    st_mtime_ns: int
    st_mode: int = stat.S_IFREG | 0o644
    st_ino: int = 0

    @property
    def st_mtime(self) -> float:
        """Seconds since 1970; stores round them to whole ones."""
        return self.st_mtime_ns / 1e9


@dataclass(frozen=True, slots=True)
class StorePath:
    """A path in an object store.

    >>> path = StorePath.parse("s3://shop/texts/")
    >>> str(path / "a.csv"), (path / "a.csv").name, str(path.parent)
    ('s3://shop/texts/a.csv', 'a.csv', 's3://shop')
    """

    scheme: str
    path: str  # bucket/name/of/object

    @classmethod
    def parse(cls, url: str) -> "StorePath":
        """A path from its URL; names are taken literally, without decoding of %20.

        Raises InputError for credentials, which would be written into the job, and for a URL without a bucket.
        """
        scheme, _, path = url.partition("://")
        parts = path.rstrip("/").split("/")
        if "@" in parts[0] or ":" in parts[0]:
            raise InputError(
                f"{scheme}://...: a bucket alone stands in the URL of a store; credentials and endpoints are set in "
                "the environment (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_ENDPOINT_URL; GOOGLE_APPLICATION_CREDENTIALS)"
            )
        if not all(part not in ("", ".", "..") and "\0" not in part for part in parts):
            raise InputError(f"{url!r} cannot name an object: {scheme}://BUCKET/NAME, without empty names")
        return cls(scheme, "/".join(parts))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"

    def __truediv__(self, name: str) -> "StorePath":
        return StorePath(self.scheme, f"{self.path}/{name}")

    @property
    def parts(self) -> tuple[str, ...]:
        """The bucket, and the names between slashes."""
        return tuple(self.path.split("/"))

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[-1]

    @property
    def parent(self) -> "StorePath":
        """The path without its last part."""
        return StorePath(self.scheme, "/".join(self.parts[:-1]))

    def absolute(self) -> "StorePath":
        """The path itself, which is always absolute."""
        return self

    resolve = absolute

    def relative_to(self, folder: "StorePath") -> PurePosixPath:
        """The part after the folder.

        >>> str(StorePath.parse("s3://shop/a/b").relative_to(StorePath.parse("s3://shop")))
        'a/b'
        """
        return PurePosixPath(self.path).relative_to(folder.path)

    def is_relative_to(self, folder: "StorePath") -> bool:
        """Whether it is below a folder, or the folder itself."""
        return self.scheme == folder.scheme and PurePosixPath(self.path).is_relative_to(folder.path)

    def exists(self) -> bool:
        """Whether there is an object, or one below it."""
        return self._info().type.name != "NotFound"

    def is_file(self) -> bool:
        """Whether there is an object."""
        return self._info().type.name == "File"

    def is_dir(self) -> bool:
        """Whether there are objects below it."""
        return self._info().type.name == "Directory"

    def stat(self) -> Stat:
        """Size and time; raises FileNotFoundError if there is no object."""
        found = self._info()
        if found.type.name != "File":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        return Stat(found.size, found.mtime_ns or 0)

    def stamp(self) -> int:
        """A number that changes with the object's content, from its ETag, since times are only whole seconds.

        Raises FileNotFoundError if there is no object.
        """
        with told(f"cannot look for {self}"):
            with store_of(self.scheme, self.parts[0]).open_input_file(self.path) as file:
                said = {str(name).lower(): str(value) for name, value in (file.metadata() or {}).items()}
        tag = said.get("etag") or str(self.stat())
        return zlib.crc32(tag.encode())

    def _info(self) -> Any:
        with told(f"cannot look for {self}"):
            return store_of(self.scheme, self.parts[0]).get_file_info(self.path)

    def listed(self, below: bool = True) -> "dict[StorePath, Stat]":
        """The objects in a folder and in those below it, in the order of their parts; none if it does not exist.

        Objects whose name ends in "/" only mark a folder, and are left out.
        """
        with told(f"cannot list {self}"):
            selector = import_module("pyarrow.fs").FileSelector(self.path, allow_not_found=True, recursive=below)
            found = store_of(self.scheme, self.parts[0]).get_file_info(selector)
        files = {
            StorePath(self.scheme, one.path): Stat(one.size, one.mtime_ns or 0)
            for one in found
            if one.type.name == "File"
        }
        return dict(sorted(files.items(), key=lambda item: item[0].parts))

    def names(self) -> list[str]:
        """The names of the direct entries of a folder; none if it does not exist."""
        with told(f"cannot list {self}"):
            selector = import_module("pyarrow.fs").FileSelector(self.path, allow_not_found=True)
            return [one.base_name for one in store_of(self.scheme, self.parts[0]).get_file_info(selector)]

    def open(self, mode: Literal["rb"] = "rb", buffering: int = -1) -> BinaryIO:
        """Open an object for reading; raises FileNotFoundError if there is none, SourceError if the store fails."""
        return cast(BinaryIO, StoreFile(self))

    def put(self, content: bytes | BinaryIO) -> None:
        """Write an object, completely or not at all; a file's content is not read into memory.

        Raises SourceError, an OSError with an errno, if the store fails.
        """
        if isinstance(content, bytes):
            self._put(content)
            return
        content.flush()
        with mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            view = memoryview(mapped)
            try:
                self._put(view)
            finally:
                view.release()

    def _put(self, content: Any) -> None:
        with told(f"cannot write {self}", missing=True):
            stream = store_of(self.scheme, self.parts[0]).open_output_stream(self.path, compression=None)
            stream.write(content)  # in one call: an abandoned stream would write what it has
            stream.close()

    def unlink(self) -> None:
        """Remove an object, if it is there."""
        try:
            with told(f"cannot remove {self}"):
                store_of(self.scheme, self.parts[0]).delete_file(self.path)
        except FileNotFoundError:
            pass


Place = Path | StorePath


class StoreFile(io.RawIOBase):
    """An object that is open for reading: in parts, with 4 MiB read ahead."""

    def __init__(self, path: StorePath) -> None:
        self._path, self._at = path, 0
        self._block, self._start = b"", 0  # the block read last, and where it begins
        with told(f"cannot read {path}"):
            self._file = store_of(path.scheme, path.parts[0]).open_input_file(path.path)
            self._size = int(self._file.size())

    def readable(self) -> bool:
        """Always True."""
        return True

    def seekable(self) -> bool:
        """Always True."""
        return True

    def tell(self) -> int:
        """The position of the next read."""
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        """Set the position of the next read."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read some bytes; 0 at the end."""
        view = memoryview(buffer).cast("B")
        inside = self._at - self._start
        if not 0 <= inside < len(self._block):
            self._read_block(max(BLOCK, len(view)))
            inside = 0
        piece = self._block[inside : inside + len(view)]
        view[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _read_block(self, size: int) -> None:
        size = max(0, min(size, self._size - self._at))
        with told(f"cannot read {self._path}"):
            self._block, self._start = bytes(self._file.read_at(size, self._at)) if size else b"", self._at
        if len(self._block) != size:
            raise store_error(f"cannot read {self._path}", errno.EIO, f"{len(self._block):,} of {size:,} bytes came")

    def close(self) -> None:
        """Close the object."""
        if not self.closed:
            self._block = b""
            self._file.close()
        super().close()
