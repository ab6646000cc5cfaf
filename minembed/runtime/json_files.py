"""JSON files from strangers: size and form are checked, and every fault names the file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from minembed.errors import ConfigError, MinembedError
from minembed.runtime.files import read_regular

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
        return json.loads(read_regular(path, LARGEST_JSON).decode("utf-8"), object_pairs_hook=no_duplicates)
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
