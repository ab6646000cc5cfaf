"""Where minembed keeps what it has fetched or made: one folder, the user's to move."""

import os
import sys
from pathlib import Path

from minembed.errors import SourceError


def cache_folder() -> Path:
    """Return the folder that holds what minembed has pulled: `$MINEMBED_CACHE`, else the platform's cache folder.

    Raises `SourceError` when the machine names no home folder and the variable is not set either.

    >>> cache_folder().is_absolute()
    True
    """
    if named := os.environ.get("MINEMBED_CACHE"):
        return Path(named).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or home_folder() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = home_folder() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or home_folder() / ".cache"
    return Path(base) / "minembed"


def home_folder() -> Path:
    """Return the user's home folder.

    Raises `SourceError` when there is none.

    >>> home_folder().is_absolute()
    True
    """
    try:
        return Path.home()
    except RuntimeError as error:
        raise SourceError("this user has no home folder; set MINEMBED_CACHE to a folder for models") from error
