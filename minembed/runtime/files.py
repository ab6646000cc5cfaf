"""Files read and written with care: JSON from strangers, and whole files and folders or none."""

import errno
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from minembed.errors import ConfigError, MinembedError, SourceError

LARGEST_JSON = 64 << 20  # bytes
T = TypeVar("T")


def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, or raise ValueError where a key comes twice (Python's json would keep the last)."""
    built = dict(pairs)
    if len(built) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return built


def read_json(path: Path, error: type[MinembedError] = ConfigError) -> dict[str, Any]:
    """Read a JSON object from a file; raises `error`, with the file's name, where that fails."""
    value = read_json_value(path, error)
    if not isinstance(value, dict):
        raise error(f"{path} must hold a JSON object, not {type(value).__name__}")
    return value


def read_json_value(path: Path, error: type[MinembedError] = ConfigError) -> Any:
    """Read any JSON value from a file; raises `error`, with the file's name, where that fails."""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise error(f"{path} has more than {LARGEST_JSON} bytes; that is no configuration file")
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=no_duplicates)
    except FileNotFoundError as e:
        raise error(f"{path} is missing: not a checkpoint folder, or not fully downloaded") from e
    except OSError as e:
        raise error(f"{path} cannot be read ({e.strerror or e})") from e
    except (ValueError, RecursionError) as e:
        raise error(f"{path} is not sound JSON ({e}); fetch it again") from e


def optional_json(path: Path) -> dict[str, Any]:
    """Read a JSON object, or an empty one where the file does not exist."""
    return read_json(path) if path.exists() else {}


def typed(raw: Mapping[str, Any], key: str, kind: type[T], default: T, path: Path) -> T:
    """Take a value of a type; null and absent give the default.

    >>> typed({"a": None}, "a", int, 7, Path("config.json"))
    7
    """
    value = raw.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{path}: {key} must be of type {kind.__name__}, not {value!r}")
    return value


DISK_ERRORS = frozenset({errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EPERM, getattr(errno, "EDQUOT", errno.ENOSPC)})
_STALE_SECONDS = (
    3600  # twice the longest pull (Mirror.patience), so the work of a live process is never taken for stale
)


def is_plain_path(text: str) -> bool:
    r"""Whether a /-separated path stays below its folder on every system.

    >>> [is_plain_path(path) for path in ("1_Pooling/config.json", "../x", "/etc/x", r"a\..\b", "C:x", "")]
    [True, False, False, False, False, False]
    """
    return all(part not in ("", ".", "..") and not set(part) & set("\\:\0") for part in text.split("/"))


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """Make a work folder beside the place of publication and remove it whatever happens.

    Work folders that a killed process left behind more than an hour ago are removed too.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(".minembed-*.tmp"):
        if _age(old) > _STALE_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    work = parent / f".minembed-{os.urandom(8).hex()}.tmp"
    try:
        work.mkdir()  # not tempfile.mkdtemp: its mode 0700 would survive the rename and shut out other users
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Bring a folder's list of files to the disk.

    >>> sync_folder(Path())
    """
    if sys.platform == "win32":
        return  # a folder cannot be opened there, and renames are journalled
    handle = os.open(folder, os.O_RDONLY)
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
