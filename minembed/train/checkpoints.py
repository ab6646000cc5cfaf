"""The state of a training on disk: arrays in a data folder of its own, and checkpoint.json, which names it, last.

Whatever happens, checkpoint.json names the files of the old state or those of the new one, whole, with their sizes and
sums.  Only when it has been replaced are the old files removed.
"""

import json
import os
import re
import shutil
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import MinembedError, SourceError, TrainingError
from minembed.params import Array
from minembed.weights.cache import staging, sync_folder

MANIFEST, ARRAYS = "checkpoint.json", "arrays.safetensors"
FORMAT, VERSION = "minembed training", 1
DATA = re.compile(r"state-[0-9a-f]{16}")
PIECE = 1 << 22  # bytes that are summed at a time


def save_checkpoint(folder: Path, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Write a state in place of the one that is there.

    Raises SourceError, an OSError with its errno, where the disk fails; the old state stays then.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_checkpoint(Path(folder), {"a": np.arange(3)}, {"step": 7})
    ...     arrays, facts = load_checkpoint(Path(folder))
    >>> arrays["a"].tolist(), facts["step"]
    ([0, 1, 2], 7)
    """
    try:
        with staging(folder) as work:
            _save(folder, work, arrays, facts)
    except MinembedError:
        raise
    except OSError as e:
        named = SourceError(
            f"cannot save the checkpoint to {folder}: {e.strerror or e}; the last one is still there: free some space, "
            "or make the folder writable, and resume"
        )
        named.errno = e.errno
        raise named from e


def _save(folder: Path, work: Path, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    from safetensors.numpy import save_file  # late, as everywhere

    staged, token = work / "data", f"state-{os.urandom(8).hex()}"
    staged.mkdir()
    try:
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, staged / ARRAYS)
    except Exception as e:  # safetensors has an error of its own for a full disk
        raise e if isinstance(e, OSError) else OSError(_errno_of(e), str(e)) from e
    with (staged / ARRAYS).open("rb+") as file:
        os.fsync(file.fileno())
    body = {"format": FORMAT, "version": VERSION, "folder": token, "facts": dict(facts)}
    body |= {"bytes": (staged / ARRAYS).stat().st_size, "crc32": _sum(staged / ARRAYS)}
    with (work / MANIFEST).open("xb") as file:
        file.write(json.dumps(body | {"own_crc32": _sum_of(body)}, indent=2).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(staged)
    try:
        staged.rename(folder / token)
        sync_folder(folder)
        (work / MANIFEST).replace(folder / MANIFEST)
    except BaseException:
        shutil.rmtree(folder / token, ignore_errors=True)
        raise
    sync_folder(folder)
    for path in folder.glob("state-*"):
        if path.name != token and DATA.fullmatch(path.name):
            shutil.rmtree(path, ignore_errors=True)


def _errno_of(error: Exception) -> int:
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else 5


def _sum(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            crc = zlib.crc32(piece, crc)
    return crc


def _sum_of(body: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def has_checkpoint(folder: Path) -> bool:
    """Whether a training has left a state in a folder.

    >>> has_checkpoint(Path("no such folder"))
    False
    """
    return (folder / MANIFEST).is_file()


def load_checkpoint(folder: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a state: arrays by name, and what was noted with them.

    Raises TrainingError, with the file, where there is none or it is damaged.

    >>> load_checkpoint(Path("no such folder"))
    Traceback (most recent call last):
    minembed.errors.TrainingError: no such folder/checkpoint.json: there is no checkpoint to resume from
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise TrainingError(f"{path}: there is no checkpoint to resume from")
    try:
        body = json.loads(path.read_bytes())
        whole = body.pop("own_crc32") == _sum_of(body) and body["format"] == FORMAT and DATA.fullmatch(body["folder"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise TrainingError(f"{path} is damaged ({e}): there is nothing to resume from") from e
    if not whole:
        raise TrainingError(f"{path} is damaged: its sum is not that of its contents")
    if body["version"] != VERSION:
        raise TrainingError(f"{path} has version {body['version']}; this release reads {VERSION}")
    return _read_arrays(folder / body["folder"] / ARRAYS, body["bytes"], body["crc32"]), body["facts"]


def _read_arrays(path: Path, size: int, crc: int) -> dict[str, Array]:
    from safetensors.numpy import load_file  # late, as everywhere

    with suppress(OSError):
        if path.stat().st_size == size and _sum(path) == crc:
            found: dict[str, Array] = load_file(path)
            return found
    raise TrainingError(f"{path} is missing, cut or damaged: its size and sum are not those of {MANIFEST}")
