"""Errors of the disk, with the place and what to do about it."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minembed.errors import MinembedError, SourceError
from minembed.runtime.interrupts import not_swallowed

DISK_ERRORS = frozenset({errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, getattr(errno, "EDQUOT", errno.ENOSPC)})


def disk_error(error: OSError, path: Path, variable: str = "MINEMBED_CACHE") -> SourceError:
    """Turn a failed write into a SourceError with the same errno, which names the folder and the remedy."""
    remedy = f"free some space there, make it writable, or set {variable} to a folder elsewhere"
    return _named(error, f"cannot write to {path}", remedy)


@contextmanager
def naming(attempt: str, remedy: str) -> Iterator[None]:
    """Turn an error of the disk into a SourceError, an OSError with the same errno, which says what to do.

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
