"""Places of files: a path on a disk, or a URL, with the operations that both support."""

import glob
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from os import PathLike, fspath
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from minembed.errors import InputError
from minembed.runtime.checksums import pieces_of
from minembed.runtime.disk_errors import naming
from minembed.runtime.store import SCHEMES, Place, StorePath

TEMPORARY = "free some space in the folder of temporary files, or set TMPDIR to another"
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}(?!/)|file:///", re.IGNORECASE)  # pathlib makes one slash of two


def as_place(name: "str | PathLike[str] | StorePath") -> Place:
    """The place that a path or a URL names: s3:// and gs:// are stores, file:// is the disk.

    Raises InputError for another kind of URL.

    >>> str(as_place("s3://shop/texts/")), as_place("file:///data/a%20b.csv").as_posix(), as_place("a.csv").name
    ('s3://shop/texts', '/data/a b.csv', 'a.csv')
    >>> as_place("https://example.org/a.csv")
    Traceback (most recent call last):
    minembed.errors.InputError: https://example.org/a.csv: of URLs, s3://, gs:// and file:// are read; fetch it first
    """
    if isinstance(name, StorePath):
        return name
    text = fspath(name)
    found = _URL.match(text)
    if found is None or (len(found[1] or "file") == 1):
        return Path(name)
    scheme = (found[1] or "file").lower()
    rest = text[found.end() :].replace("\\", "/") if isinstance(name, Path) else text[found.end() :]
    if scheme in SCHEMES:
        return StorePath.parse(f"{scheme}://{rest}")
    if scheme == "file":
        parts = urlsplit(text)
        if parts.netloc not in ("", "localhost"):
            raise InputError(f"{text}: a file on another machine cannot be read; file:///PATH is one on this")
        from urllib.request import url2pathname  # late: it brings ssl

        return Path(url2pathname(parts.path))
    raise InputError(f"{text}: of URLs, s3://, gs:// and file:// are read; fetch it first")


def is_url(name: str) -> bool:
    """Whether a name is a URL of any kind.

    >>> is_url("s3://shop/a"), is_url("a.csv"), is_url("C:/a")
    (True, False, False)
    """
    return re.match(r"[a-z][a-z0-9+.-]+://", name, re.IGNORECASE) is not None


def files_below(folder: Place) -> Sequence[Place]:
    """All files in a folder and below it, in the order of their names.

    >>> files_below(Path("no such folder"))
    []
    """
    if isinstance(folder, StorePath):
        return list(folder.listed())
    return sorted(path for path in folder.rglob("*") if path.is_file())


def names_in(folder: Place) -> list[str]:
    """The names of the entries of a folder.

    >>> names_in(Path("no such folder"))
    []
    """
    if isinstance(folder, StorePath):
        return folder.names()
    return [path.name for path in folder.iterdir()] if folder.is_dir() else []


def matching(name: str) -> Sequence[Place]:
    """The files that match a pattern of `glob`, in the order of their names, also in a store.

    >>> matching("no such file *")
    []
    """
    place = as_place(name)
    if isinstance(place, StorePath):
        fixed = next(i for i, part in enumerate(place.parts) if glob.has_magic(part))
        if fixed == 0:
            raise InputError(f"{name}: a pattern cannot stand for a bucket")
        folder = StorePath(place.scheme, "/".join(place.parts[:fixed]))
        wanted = place.parts[fixed:]
        found = folder.listed(below=len(wanted) > 1 or wanted[0] == "**")
        return [path for path in found if _is_like(path.parts[fixed:], wanted)]
    matches = sorted(glob.glob(str(place), recursive=True))  # noqa: PTH207, pathlib takes no absolute pattern
    return [Path(match) for match in matches if Path(match).is_file()]


def _is_like(parts: Sequence[str], wanted: Sequence[str]) -> bool:
    if not wanted:
        return not parts
    if wanted[0] == "**":
        if _is_like(parts, wanted[1:]) or (len(wanted) == 1 and len(parts) == 1 and parts[0][0] != "."):
            return True
        return bool(parts) and parts[0][0] != "." and _is_like(parts[1:], wanted)
    if not parts or (parts[0][0] == "." and wanted[0][0] != "."):
        return False
    return fnmatchcase(parts[0], wanted[0]) and _is_like(parts[1:], wanted[1:])


def is_inside(path: Place, folder: Place) -> bool:
    """Whether a path is in a folder, or below it.

    >>> is_inside(Path("a/b"), Path("a")), is_inside(Path("a"), StorePath.parse("s3://shop"))
    (True, False)
    """
    if isinstance(path, StorePath):
        return isinstance(folder, StorePath) and path.is_relative_to(folder)
    return isinstance(folder, Path) and path.resolve().is_relative_to(folder.resolve())


@contextmanager
def on_disk(place: Place) -> Iterator[Path]:
    """The file itself, or, for a store, a temporary copy of it during the block.

    >>> with on_disk(Path("a")) as path:
    ...     path.name
    'a'
    """
    if isinstance(place, Path):
        yield place
        return
    with naming(f"cannot copy {place}", TEMPORARY):
        folder = TemporaryDirectory(prefix="minembed-")
    with folder as name:
        copy = Path(name) / place.name
        with naming(f"cannot copy {place}", TEMPORARY), place.open() as file, copy.open("wb") as target:
            for piece in pieces_of(file):
                target.write(piece)
        yield copy
