"""A folder in which only one process works at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minembed.errors import InputError, MinembedError
from minembed.runtime.disk_errors import naming
from minembed.runtime.paths import can_be_named

LOCK = ".lock"


@contextmanager
def held(folder: Path, busy: MinembedError, remedy: str) -> Iterator[None]:
    """Create a folder if it does not exist, and lock it against other processes during the block.

    The system releases the lock when the process ends, however that happens.  Raises `busy` if another process has it,
    InputError for a path that cannot name a folder, SourceError with the `remedy` if the disk fails.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, held(Path(folder), MinembedError("busy"), "use another"):
    ...     [path.name for path in Path(folder).iterdir()]
    ['.lock']
    """
    from filelock import FileLock, Timeout  # late: few processes need it

    if not can_be_named(folder):
        raise InputError(f"{str(folder)!r} cannot name a folder")
    lock = FileLock(folder / LOCK)
    try:
        with naming(f"cannot write to {folder}", remedy):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise busy from None
        yield
    finally:
        try:
            lock.release(force=True)
        finally:
            lock.release(force=True)  # nothing is left to do, unless the first one was interrupted


def is_held(folder: Path) -> bool:
    """Whether a process has locked a folder.

    >>> is_held(Path("no such folder"))
    False
    """
    from filelock import FileLock, Timeout

    if not (folder / LOCK).exists():
        return False
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # without write permission nobody can tell
        return False
    finally:
        lock.release(force=True)
    return False
