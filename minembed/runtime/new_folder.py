"""A new folder that appears completely or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from minembed.errors import InputError
from minembed.runtime.disk_errors import naming
from minembed.runtime.files import move_into_place, staging
from minembed.runtime.paths import can_be_named


def check_new(folder: Path) -> None:
    """Raise InputError for a folder that cannot be created, or that exists already.

    >>> check_new(Path())
    Traceback (most recent call last):
    minembed.errors.InputError: . exists already: name a folder that does not
    """
    if not can_be_named(folder):
        raise InputError(f"{str(folder)!r} cannot name a folder")
    if os.path.lexists(folder):
        raise InputError(f"{folder} exists already: name a folder that does not")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder to write to, which is moved to its place at the end of the block.

    Raises InputError if `folder` exists, and SourceError, an OSError with its errno, if the disk fails; then nothing
    is left behind.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as parent:
    ...     with new_folder(Path(parent) / "model") as staged:
    ...         _ = (staged / "notes").write_text("whole")
    ...     [str(path.relative_to(parent)) for path in Path(parent).rglob("*")]
    ['model', 'model/notes']
    """
    check_new(folder)
    folder = folder.absolute()
    remedy = "free some space there, make it writable, or save elsewhere"
    with naming(f"cannot save to {folder}", remedy), staging(folder.parent) as work:
        staged = work / "model"
        staged.mkdir()
        yield staged
        try:
            move_into_place(staged, folder)
        except FileExistsError:
            raise InputError(f"{folder} exists already: somebody made it meanwhile") from None
