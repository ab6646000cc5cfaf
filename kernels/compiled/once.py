"""One process compiles a kernel and others wait for it, however many workers begin together.

The file of a lock lies beside the compiled code while it is made.  Where there can be none, since nothing can be
written or the file system knows no locks, each process compiles for itself.
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
LONGEST_WAIT = 600  # seconds: more than any kernel takes; who has waited so long compiles too


def tell(message: str) -> None:
    """Say why it takes so long: through logging, and on a terminal.

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
    from filelock import FileLock, Timeout  # late: only who compiles needs it

    held = FileLock(lock)
    try:
        try:
            held.acquire(timeout=0)
        except Timeout:
            tell(f"another process compiles {name}: waiting for it")
            held.acquire(timeout=LONGEST_WAIT)
    except (OSError, NotImplementedError) as error:  # of which Timeout is one
        LOG.info("compiling %s without a lock: %s", name, error)
        yield
        return
    try:
        yield
    finally:
        lock.unlink(missing_ok=True) if sys.platform != "win32" else None  # who waits has it open
        held.release()


@cache
def can_be_kept(folder: Path) -> bool:
    """Whether compiled kernels can be kept in a folder; if not, a BackendWarning says so, once a process.

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
    """Issue a BackendWarning, once a process: there is no folder to keep compiled kernels in."""
    warn(unkept(f"anywhere ({reason})"), BackendWarning)


def unkept(where: str) -> str:
    """What to say of kernels that cannot be kept.

    >>> unkept("in /nowhere")[:51]
    'compiled kernels cannot be kept in /nowhere: every '
    """
    return (
        f"compiled kernels cannot be kept {where}: every process compiles them anew; "
        "set NUMBA_CACHE_DIR to a folder that can be written to"
    )
