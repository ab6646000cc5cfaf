"""One process compiles a kernel and others wait for it, however many workers start at once.

While a kernel is compiled, a lock file is beside it on disk.  If there can be none, because nothing can be written or
the file system has no locks, each process compiles for itself.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from minembed.errors import BackendWarning, warn
from minembed.runtime.folders import why_not_writable

LOG = logging.getLogger("minembed")
LONGEST_WAIT = 600  # seconds, more than any kernel takes; a process that has waited this long compiles too


def tell(message: str) -> None:
    """Explain a delay: through logging, and on a terminal.

    >>> tell("compiling")  # where standard error is no terminal, nothing else is written
    """
    LOG.info(message)
    if sys.stderr is not None and sys.stderr.isatty():
        print(f"minembed: {message}", file=sys.stderr)


@contextmanager
def alone(lock: Path, name: str) -> Iterator[None]:
    """Hold a lock, which is a file, while a kernel of this name is compiled; waits while another process does.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, alone(Path(folder) / "run.lock", "run"):
    ...     [path.name for path in Path(folder).iterdir()]
    ['run.lock']
    """
    from filelock import FileLock, Timeout  # late: only needed for compiling

    held = FileLock(lock)
    try:
        try:
            held.acquire(timeout=0)
        except Timeout:
            tell(f"another process compiles {name}: waiting for it")
            held.acquire(timeout=LONGEST_WAIT)
    except (OSError, NotImplementedError) as error:  # Timeout is an OSError
        LOG.info("compiling %s without a lock: %s", name, error)
        yield
        return
    try:
        yield
    finally:
        lock.unlink(missing_ok=True) if sys.platform != "win32" else None  # waiting processes have it open
        held.release()


@cache
def can_be_kept(folder: Path) -> bool:
    """Whether compiled kernels can be stored in a folder; if not, there is a BackendWarning, once per process.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     can_be_kept(Path(folder) / "kernels")
    True
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        reason = why_not_writable(folder)
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        warn(unkept(f"in {folder} ({reason})"), BackendWarning)
    return not reason


@cache
def warn_of_no_folder(reason: str) -> None:
    """Issue a BackendWarning, once per process: there is no folder to store compiled kernels in."""
    warn(unkept(f"anywhere ({reason})"), BackendWarning)


def unkept(where: str) -> str:
    """The message about kernels that cannot be stored.

    >>> unkept("in /nowhere")[:51]
    'compiled kernels cannot be kept in /nowhere: every '
    """
    return (
        f"compiled kernels cannot be kept {where}: every process compiles them anew; "
        "set NUMBA_CACHE_DIR to a folder that can be written to"
    )
