"""Write files and folders completely or not at all: under another name first, then moved into place in one step."""

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

from minembed.errors import MinembedError
from minembed.runtime.interrupts import not_swallowed
from minembed.runtime.paths import check_regular

if sys.platform == "win32":
    fcntl = None
else:
    import fcntl

_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)  # errors of rename if the target exists
_STALE_SECONDS = 3600  # twice the longest pull (Mirror.patience), so that the work of a live process is never removed


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """Make a work folder in `parent`, and always remove it at the end.

    Work folders that killed processes left more than an hour ago are removed too.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(".minembed-*.tmp"):
        if _age(old) > _STALE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    work = parent / _work_name()
    try:
        work.mkdir()  # not tempfile.mkdtemp: its mode 0700 would remain after the rename and exclude other users
        yield work
    finally:
        try:
            remove(work)
        finally:
            remove(work)  # again, if an interrupt came before the first one began


def remove(path: Path) -> None:
    """Remove a file, or a folder with its contents, as far as permissions allow; an interrupt waits until then.

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
        with suppress(OSError):  # it may not exist
            path.unlink()


@contextmanager
def alone_in(folder: Path) -> Iterator[bool]:
    """Wait until no other process is in such a block for the same folder; yields whether the system guarantees that.

    >>> with alone_in(Path()) as alone:
    ...     alone or sys.platform
    True
    """
    handles, alone = list[int](), False
    try:
        if fcntl is not None:
            with suppress(OSError):  # it may be writable but not readable; some file systems have no locks
                _open_folder(folder, handles)
                fcntl.flock(handles[0], fcntl.LOCK_EX)
                alone = True
        yield alone
    finally:
        for handle in handles:
            os.close(handle)


def _open_folder(folder: Path, handles: list[int]) -> None:
    """Open a folder into a list: an interrupt right after `os.open` would lose a handle that is not stored yet."""
    handles.extend(map(os.open, [folder], [os.O_RDONLY]))


@contextmanager
def replacing(path: Path, work: Path | None = None) -> Iterator[BinaryIO]:
    """Write a file in one step: readers see the old one or the whole new one, and a failure leaves the old one.

    It is written in `work`, a folder on the same disk, or next to `path`.  If `path` is a link, its target is replaced.
    Anything but a regular file (a device, a pipe) is written to directly.

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
    """Whether something exists there that is not a regular file; raises OSError for circular links."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        return False


def move_into_place(staged: Path, target: Path) -> None:
    """Flush a folder and all its contents to the disk, then rename it to `target`, on the same disk.

    Raises FileExistsError if the target exists, OSError if the disk fails.

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
        if error.errno in _TAKEN or os.path.lexists(target):  # another process may have created it meanwhile
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from error
        raise
    sync_folder(target.parent)


def put_in_place(staged: Path, data: Path, manifest: Path, content: bytes) -> None:
    """Move a data folder to its place, then replace, in one step, the file that names it.

    If a call fails, the older file still names its own data, and the new data is removed.  Raises OSError also if
    `manifest` exists and is not a regular file.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     folder = Path(name)
    ...     (folder / "work" / "data").mkdir(parents=True)
    ...     put_in_place(folder / "work" / "data", folder / "data-1", folder / "all.json", b"{}")
    ...     sorted(path.name for path in folder.iterdir())
    ['all.json', 'data-1', 'work']
    """
    if _is_special(manifest):
        check_regular(manifest)  # opening a pipe would block
    try:
        with replacing(manifest, staged.parent) as file:
            file.write(content)
            move_into_place(staged, data)
    except BaseException:
        if not _may_hold(manifest, content):  # otherwise it already names the new data
            remove(data)
        raise


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of files to the disk.

    >>> sync_folder(Path())
    """
    if sys.platform == "win32":
        return  # a folder cannot be opened there, and renames are journalled
    handles = list[int]()
    try:
        with suppress(PermissionError):  # a folder may be writable but not readable
            _open_folder(folder, handles)
        for handle in handles:
            os.fsync(handle)
    except OSError as error:
        if not handles or error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems sync files only
            raise
    finally:
        for handle in handles:
            os.close(handle)


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
    except OSError:  # unknown
        return True


def _work_name() -> str:
    return f".minembed-{os.urandom(8).hex()}.tmp"
