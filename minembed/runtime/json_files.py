"""JSON files from untrusted sources: size and form are checked, and every error names the file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from minembed.errors import ConfigError, MinembedError, SourceError
from minembed.runtime.paths import read_regular
from minembed.runtime.store import Place

LARGEST_JSON = 64 << 20  # bytes
T = TypeVar("T")


IMPOSTORS = {  # other files that are often found instead of a text file, by their first bytes
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself: run `git lfs pull` there, or download it",
    b"\xef\xbb\xbf": "begins with a byte-order mark, which an editor put there: save it as UTF-8 without one",
    b"<": "is a web page: the download went wrong; fetch it again",
}


def unsound(content: bytes, error: Exception) -> str:
    """Why a file's content is not JSON, for a message that begins with the file's name.

    >>> unsound(b"version https://git-lfs.github.com/spec/v1", ValueError())
    'is a Git LFS pointer, not the file itself: run `git lfs pull` there, or download it'
    """
    known = next((what for magic, what in IMPOSTORS.items() if content.startswith(magic)), None)
    return known or f"is not sound JSON ({error}); fetch it again"


def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a JSON object, or raise ValueError for a duplicate key (Python's json would keep the last)."""
    built = dict(pairs)
    if len(built) != len(pairs):
        seen: set[str] = set()  # counting each name among all of them would take hours for a hostile file
        for name, _ in pairs:
            if name in seen:
                raise ValueError(f"{name!r} is given twice")
            seen.add(name)
    return built


def read_json(path: Place, error: type[MinembedError] = ConfigError) -> dict[str, Any]:
    """Read a JSON object from a file; raises `error`, with the file's name, if that fails."""
    value = read_json_value(path, error)
    if not isinstance(value, dict):
        raise error(f"{path} must hold a JSON object, not {type(value).__name__}")
    return value


def read_json_value(path: Place, error: type[MinembedError] = ConfigError) -> Any:
    """Read any JSON value from a file; raises `error`, with the file's name, if that fails."""
    content = b""
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise error(f"{path} has more than {LARGEST_JSON} bytes; that is no configuration file")
        content = read_regular(path, LARGEST_JSON)
        return json.loads(content.decode("utf-8"), object_pairs_hook=no_duplicates)
    except SourceError:  # a store does not answer
        raise
    except FileNotFoundError as e:
        raise error(f"{path} is missing: not a checkpoint folder, or not fully downloaded") from e
    except OSError as e:
        raise error(f"{path} cannot be read ({e.strerror or e})") from e
    except (ValueError, RecursionError) as e:
        raise error(f"{path} {unsound(content, e)}") from e


def optional_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; an empty one if the file does not exist."""
    return read_json(path) if path.exists() else {}


def typed(raw: Mapping[str, Any], key: str, kind: type[T], default: T, path: Path) -> T:
    """A value of the given type; the default if it is null or missing; raises ConfigError for another type.

    >>> typed({"a": None}, "a", int, 7, Path("config.json"))
    7
    """
    value = raw.get(key)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"{path}: {key} must be of type {kind.__name__}, not {value!r}")
    return value
