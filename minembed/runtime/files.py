"""Files and folders written whole or not at all: under another name first, then moved into place in one step."""

import errno
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from minembed.errors import MinembedError, SourceError
from minembed.runtime.interrupts import not_swallowed

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, getattr(errno, "EDQUOT", errno.ENOSPC)})
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)  # what rename says of a place where something is
_STALE_SECONDS = 3600  # twice the longest pull (Mirror.patience): the work of a live process is never taken for stale


def is_plain_path(text: str) -> bool:
    r"""Whether a /-separated path stays below its folder on every system.

    >>> [is_plain_path(path) for path in ("1_Pooling/config.json", "../x", "/etc/x", r"a\..\b", "C:x", "")]
    [True, False, False, False, False, False]
    """
    return all(part not in ("", ".", "..") and not set(part) & set("\\:\0") for part in text.split("/"))


def can_be_named(path: Path) -> bool:
    r"""Whether the system can be asked for a path: it has no NUL, and no character that no name can have.

    >>> can_be_named(Path("a")), can_be_named(Path("a\0")), can_be_named(Path("\ud800"))
    (True, False, False)
    """
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        return False


def is_too_long(path: Path) -> bool:
    """Whether the system takes no path as long as this, or none with so long a name; pathlib's `exists` raises then.

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


def check_regular(path: Path, largest: int | None = None) -> None:
    """Raise OSError for what is no file: reading from a pipe may wait for ever, and a device may have no end.

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


def read_regular(path: Path, largest: int) -> bytes:
    """Read a whole file; raises OSError for one of more than `largest` bytes, and for what is no file.

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


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """Make a work folder beside the place of publication and remove it whatever happens.

    Work folders that a killed process left behind more than an hour ago are removed too.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(".minembed-*.tmp"):
        if _age(old) > _STALE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    work = parent / _work_name()
    try:
        work.mkdir()  # not tempfile.mkdtemp: its mode 0700 would survive the rename and shut out other users
        yield work
    finally:
        try:
            remove(work)
        finally:
            remove(work)  # what an interrupt on the way into the first kept it from


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, as far as that is allowed; an interrupt waits until it is.

    >>> remove(Path("none"))
    """
    with not_swallowed():
        try:
            _remove(path)
        except BaseException:
            _remove(path)
            raise


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):  # it is gone already, or was never made
            path.unlink()


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Wait until no other process is in such a block with the same folder; yields whether that can be promised here.

    >>> with alone_in(Path()) as alone:
    ...     alone or sys.platform
    True
    """
    try:
        handle = None if fcntl is None else os.open(folder, os.O_RDONLY)
    except OSError:  # it may be open for writing, but not for reading
        handle = None
    try:
        alone = False
        if handle is not None:
            with suppress(OSError):  # some network file systems have no locks
                fcntl.flock(handle, fcntl.LOCK_EX)
                alone = True
        yield alone
    finally:
        if handle is not None:
            os.close(handle)


@contextmanager
def replacing(path: Path, work: Path | None = None) -> Iterator[BinaryIO]:
    """Write a file in one step: readers see the old one or the whole new one, and a failure leaves the old one.

    It is written in `work`, a folder on the same disk, or beside its place.  Through a link, the file it points to is
    replaced.  What is no regular file (a device, a pipe) is written to as it is.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "notes"
    ...     with replacing(path) as file:
    ...         _ = file.write(b"whole"), path.exists()
    ...     path.read_bytes(), len(list(Path(folder).iterdir()))
    (b'whole', 1)
    """
    if _is_special(path):
        with path.open("wb") as file:
            yield file
        return
    target = path.resolve()
    temporary = (work or target.parent) / _work_name()
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
        sync_folder(target.parent)
    except OSError as error:
        if not isinstance(error, MinembedError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        try:
            remove(temporary)
        finally:
            remove(temporary)  # as in staging


def _is_special(path: Path) -> bool:
    """Whether something is there that is no regular file; raises OSError for links that lead in a circle."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def move_into_place(staged: Path, target: Path) -> None:
    """Bring a folder and all that is in it to the disk, then rename it to `target`, on the same disk.

    Raises FileExistsError where something is there, and OSError where the disk fails.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, staging(Path(folder)) as work:
    ...     (work / "model").mkdir()
    ...     move_into_place(work / "model", Path(folder) / "model")
    ...     (Path(folder) / "model").is_dir()
    True
    """
    for path in staged.rglob("*"):
        if path.is_file():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        else:
            sync_folder(path)
    sync_folder(staged)
    try:
        staged.rename(target)
    except OSError as error:
        if error.errno in _TAKEN or os.path.lexists(target):  # another process may have moved it meanwhile
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise
    sync_folder(target.parent)


def put_in_place(staged: Path, data: Path, manifest: Path, content: bytes) -> None:
    """Move a data folder to its place, and then, in one step, write the file that names it in place of an older one.

    Where a call fails, the older file still names its own data, and the new data is gone.  Raises OSError also where
    something else than a file stands in the place of that file.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     (folder / "work" / "data").mkdir(parents=True)
    ...     put_in_place(folder / "work" / "data", folder / "data-1", folder / "all.json", b"{}")
    ...     sorted(path.name for path in folder.iterdir())
    ['all.json', 'data-1', 'work']
    """
    if _is_special(manifest):
        check_regular(manifest)  # a pipe would be waited for
    try:
        with replacing(manifest, staged.parent) as file:
            file.write(content)
            move_into_place(staged, data)
    except BaseException:
        if not _may_hold(manifest, content):  # else it names the new data already
            remove(data)
        raise


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of files to the disk.

    >>> sync_folder(Path())
    """
    if sys.platform == "win32":
        return  # a folder cannot be opened there, and renames are journalled
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:
        return  # a folder may be open for writing, but not for reading
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems sync files only
            raise
    finally:
        os.close(handle)


def disk_error(error: OSError, path: Path, variable: str = "MINEMBED_CACHE") -> SourceError:
    """Turn a failed write into a SourceError with the same errno that names the folder and the remedy."""
    remedy = f"free some space there, make it writable, or set {variable} to a folder elsewhere"
    return _named(error, f"cannot write to {path}", remedy)


@contextmanager
def naming(attempt: str, remedy: str) -> Iterator[None]:
    """Turn what a disk does not let us do into a SourceError, an OSError with the same errno, that says what to do.

    >>> with naming("cannot write to run", "free some space"):
    ...     raise PermissionError(13, "Permission denied")
    Traceback (most recent call last):
    minembed.errors.SourceError: cannot write to run: Permission denied; free some space
    """
    try:
        with not_swallowed():
            yield
    except MinembedError:
        raise
    except OSError as error:
        raise _named(error, attempt, remedy) from error


def _named(error: OSError, attempt: str, remedy: str) -> SourceError:
    named = SourceError(f"{attempt}: {error.strerror or error}; {remedy}")
    named.errno = error.errno
    return named


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return 0.0


def _may_hold(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except FileNotFoundError:
        return False
    except OSError:  # who knows
        return True


def _work_name() -> str:
    return f".minembed-{os.urandom(8).hex()}.tmp"
