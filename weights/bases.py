"""Where the base of an adapter is: a function from its name to its folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol


class Located(Protocol):
    """The location of a base."""

    @property
    def folder(self) -> Path:
        """Its folder."""

    @property
    def source(self) -> str:
        """Where it was found."""


FindBase = Callable[[str], Located]


def find_here(name: str) -> Located:
    """Find the base of an adapter on this machine: a folder, or a name in one of the caches.

    Raises SourceError if it is not there.
    """
    from minembed.weights.sources.locate import locate

    return locate(name, local_files_only=True)
