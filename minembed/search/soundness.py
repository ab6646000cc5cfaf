"""Checks that rows are undamaged, called before they are read, since rows may be in files."""

from minembed.types import Array


class Sound:
    """The checks of some rows.  For rows in memory there is nothing to check.

    Each method is called before the data that it is named after is read; it raises IndexFileError if they are damaged.

    >>> IN_MEMORY.vectors()
    """

    def everything(self) -> None:
        """Check all data of the rows and their texts."""

    def coded(self) -> None:
        """Check what is scanned instead of the vectors."""

    def vectors(self, rows: Array | None = None) -> None:
        """Check the vectors of these rows, or of all if None."""


IN_MEMORY = Sound()
