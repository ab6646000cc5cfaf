"""Whether rows are what was written: asked before they are read, since rows may lie in files that were damaged."""

from minembed.types import Array


class Sound:
    """What is known of the bytes of some rows.  Of those in memory there is nothing to check.

    Each method is called before that is read which it is named after, and raises IndexFileError where it is damaged.

    >>> IN_MEMORY.vectors()
    """

    def everything(self) -> None:
        """All that there is of the rows, and of their texts."""

    def coded(self) -> None:
        """What is scanned in place of the vectors."""

    def vectors(self, rows: Array | None = None) -> None:
        """The vectors of some rows; of all, where none are given."""


IN_MEMORY = Sound()
