"""A folder that one process at a time works in."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minembed.errors import InputError, MinembedError
from minembed.runtime.disk_errors import naming
from minembed.runtime.paths import can_be_named

LOCK = ".lock"


@contextmanager
def held(folder: Path, busy: MinembedError, remedy: str) -> Iterator[None]:
    """Make a folder, where there is none, and keep other processes from holding it meanwhile.

    The system lets go of it when the process ends, however that happens.  Raises `busy` where another has it,
    InputError for what cannot name a folder, SourceError with the `remedy` where the disk does not let us.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, held(Path(folder), MinembedError("busy"), "use another"):
    ...     [path.name for path in Path(folder).iterdir()]
    ['.lock']
    """
    from filelock import FileLock, Timeout  # late: few processes hold a folder

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
    """Whether a process holds a folder.

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
    except OSError:  # whoever may not write there cannot tell
        return False
    finally:
        lock.release(force=True)
    return False
