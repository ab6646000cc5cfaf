"""The state of a training on disk: arrays in a new data folder, then checkpoint.json, which names it.

Whatever happens, checkpoint.json names the complete files of the old state or those of the new one, with their sizes
and checksums.  The old files are removed only after it has been replaced.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from minembed.errors import TrainingError
from minembed.runtime import holding
from minembed.runtime.checksums import crc32_of, crc32_of_json, pieces_of
from minembed.runtime.disk_errors import naming
from minembed.runtime.files import put_in_place, remove, staging
from minembed.runtime.paths import check_regular, is_too_long, read_regular
from minembed.runtime.safetensors_files import header_of, layout_of, read_arrays, write_safetensors
from minembed.types import Array

MANIFEST, ARRAYS = "checkpoint.json", "arrays.safetensors"
FORMAT, VERSION = "minembed training", 1
LARGEST = 64 << 20  # bytes of checkpoint.json
DATA = re.compile(r"state-[0-9a-f]{16}")
REMEDY = (
    "the last checkpoint, if there is one, is still there: free some space, or make the folder writable, and resume"
)


def writing(folder: Path) -> AbstractContextManager[None]:
    """A context for writing to the folder of a training: errors of the disk become a SourceError that names it.

    >>> with writing(Path("run")):
    ...     raise PermissionError(13, "Permission denied")
    Traceback (most recent call last):
    minembed.errors.SourceError: cannot write to run: Permission denied; the last checkpoint, if there is one, is \
still there: free some space, or make the folder writable, and resume
    """
    return naming(f"cannot write to {folder}", REMEDY)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Create the folder of a training if it does not exist, and lock it against other processes.

    The system releases the lock when the process ends, however that happens.  Raises TrainingError if another process
    has it, InputError for a path that cannot name a folder.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder, held(Path(folder)):
    ...     [path.name for path in Path(folder).iterdir()]
    ['.lock']
    """
    busy = TrainingError(f"another process is training in {folder}: wait until it ends, or name another folder")
    with holding.held(folder, busy, REMEDY):
        yield


def save_checkpoint(folder: Path, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Write a state, and replace the one that is there.

    Raises SourceError, an OSError with its errno, if the disk fails; then the old state stays.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> with TemporaryDirectory() as folder:
    ...     save_checkpoint(Path(folder), {"a": np.arange(3)}, {"step": 7})
    ...     arrays, facts = load_checkpoint(Path(folder))
    >>> arrays["a"].tolist(), facts["step"]
    ([0, 1, 2], 7)
    """
    with writing(folder), staging(folder) as work:
        _save(folder, work, arrays, facts)


def _save(folder: Path, work: Path, arrays: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    staged, token = work / "data", f"state-{os.urandom(8).hex()}"
    staged.mkdir()
    body = {"format": FORMAT, "version": VERSION, "folder": token, "facts": dict(facts)}
    body |= write_safetensors(staged / ARRAYS, header_of(layout_of(arrays)), arrays.values())
    manifest = json.dumps(body | {"own_crc32": crc32_of_json(body)}).encode() + b"\n"
    put_in_place(staged, folder / token, folder / MANIFEST, manifest)
    for path in folder.glob("state-*"):
        if path.name != token and DATA.fullmatch(path.name):
            remove(path)


def has_checkpoint(folder: Path) -> bool:
    """Whether a folder contains the state of a training.

    >>> has_checkpoint(Path("no such folder"))
    False
    """
    return not is_too_long(folder / MANIFEST) and (folder / MANIFEST).is_file()


def load_checkpoint(folder: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a state: arrays by name, and the facts that were saved with them.

    Raises TrainingError, with the file, if there is none or it is damaged.

    >>> load_checkpoint(Path("no such folder"))
    Traceback (most recent call last):
    minembed.errors.TrainingError: no such folder/checkpoint.json: there is no checkpoint to resume from
    """
    path = folder / MANIFEST
    try:
        body = json.loads(read_regular(path, LARGEST))
        whole = (
            body.pop("own_crc32") == crc32_of_json(body) and body["format"] == FORMAT and DATA.fullmatch(body["folder"])
        )
    except (FileNotFoundError, NotADirectoryError) as e:
        raise TrainingError(f"{path}: there is no checkpoint to resume from") from e
    except OSError as e:
        raise TrainingError(f"{path} cannot be read ({e.strerror or e})") from e
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as e:
        raise TrainingError(f"{path} is damaged ({e}): there is nothing to resume from") from e
    if not whole:
        raise TrainingError(f"{path} is damaged: its sum is not that of its contents")
    if body["version"] != VERSION:
        raise TrainingError(f"{path} has version {body['version']}; this release reads {VERSION}")
    return _arrays(folder / body["folder"] / ARRAYS, body["bytes"], body["crc32"]), body["facts"]


def _arrays(path: Path, size: int, crc: int) -> dict[str, Array]:
    try:
        check_regular(path)
        with path.open("rb") as file:
            whole = path.stat().st_size == size and crc32_of(pieces_of(file)) == crc
        if whole:
            return read_arrays(path)
    except OSError as e:
        raise TrainingError(f"{path} is missing, or cannot be read ({e.strerror or e})") from e
    raise TrainingError(f"{path} is cut or damaged: its size and sum are not those of {MANIFEST}")
