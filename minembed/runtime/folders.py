"""The folder where minembed keeps downloads and caches; users can choose it."""

import os
import sys
from pathlib import Path

from minembed.errors import SourceError

NO_HOME = "this user has no home folder; set MINEMBED_CACHE to a folder for models"


def cache_folder() -> Path:
    """Return the folder of downloaded models: `$MINEMBED_CACHE`, else the platform's cache folder.

    Raises `SourceError` if there is no home folder and the variable is not set either.

    >>> cache_folder().is_absolute()
    True
    """
    if named := os.environ.get("MINEMBED_CACHE"):
        return Path(named).expanduser().absolute()
    from platformdirs import user_cache_path  # late: not every program needs a folder

    try:
        folder = user_cache_path("minembed", appauthor=False, opinion=False)
    except RuntimeError as error:
        raise SourceError(NO_HOME) from error
    if not folder.is_absolute():  # "~", from older platformdirs if there is no home folder
        raise SourceError(NO_HOME)
    if sys.platform == "darwin" and not folder.exists():  # a newer platformdirs follows XDG_CACHE_HOME there
        known = home_folder() / "Library" / "Caches" / "minembed"
        return known if known.exists() else folder
    return folder


def home_folder() -> Path:
    """Return the user's home folder.

    Raises `SourceError` if there is none.

    >>> home_folder().is_absolute()
    True
    """
    try:
        return Path.home()
    except RuntimeError as error:
        raise SourceError(NO_HOME) from error


def why_not_writable(folder: Path) -> str:
    """Why no file can be created in a folder, or in its closest existing parent; "" if one can (this is tried).

    >>> from tempfile import gettempdir
    >>> why_not_writable(Path(gettempdir()) / "not" / "there")
    ''
    """
    from tempfile import TemporaryFile  # late: it imports much, and few programs need it

    try:
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        with TemporaryFile(dir=existing):
            return ""
    except OSError as error:
        return error.strerror or str(error)
