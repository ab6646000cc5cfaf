"""Paths and files from users and downloads: checks of paths, and reads of limited size."""

import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from minembed.runtime.store import Place


def is_plain_path(text: str) -> bool:
    r"""Whether a /-separated path stays below its folder on every system.

    >>> [is_plain_path(path) for path in ("1_Pooling/config.json", "../x", "/etc/x", r"a\..\b", "C:x", "")]
    [True, False, False, False, False, False]
    """
    return all(part not in ("", ".", "..") and not set(part) & set("\\:\0") for part in text.split("/"))


def can_be_named(path: Path) -> bool:
    r"""Whether a path is valid for the system: it has no NUL, and no character that names cannot have.

    >>> can_be_named(Path("a")), can_be_named(Path("a\0")), can_be_named(Path("\ud800"))
    (True, False, False)
    """
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def is_too_long(path: Path) -> bool:
    """Whether a path, or a name in it, is too long for the system; pathlib's `exists` raises for such paths.

    >>> is_too_long(Path("a" * 200)), is_too_long(Path("a" * 2000))
    (False, True)
    """
    try:
        path.lstat()
    except OSError as error:
        return error.errno == errno.ENAMETOOLONG
    except ValueError:  # see can_be_named
        return False
    return False


def check_regular(path: "Place", largest: int | None = None) -> None:
    """Raise OSError unless it is a regular file: reading from a pipe may block forever, and a device may have no end.

    Also for a file of more than `largest` bytes.

    >>> check_regular(Path())
    Traceback (most recent call last):
    OSError: [Errno 22] it is no regular file: '.'
    """
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    if largest is not None and found.st_size > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest} bytes", str(path))


def read_regular(path: "Place", largest: int) -> bytes:
    """Read a whole file; raises OSError if it has more than `largest` bytes or is not a regular file.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "notes").write_bytes(b"whole")
    ...     read_regular(Path(folder) / "notes", largest=5)
    b'whole'
    """
    check_regular(path, largest)
    with path.open("rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"it has more than {largest} bytes", str(path))
    return content
