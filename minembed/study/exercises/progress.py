"""The progress of a learner: a small file beside the exercises."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from minembed.errors import InputError
from minembed.runtime.files import replacing
from minembed.runtime.json_files import read_json

NAME = "progress.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress in one exercise."""

    tries: int = 0
    hints: int = 0  # number of hints shown
    solved: bool = False

    def after(self, solved: bool) -> "Progress":
        """The progress after another try.

        >>> Progress().after(solved=True).after(solved=False)
        Progress(tries=2, hints=0, solved=True)
        """
        return replace(self, tries=self.tries + 1, solved=self.solved or solved)


def read_progress(folder: Path) -> dict[int, Progress]:
    """Read the progress in a folder, by exercise; empty for a new folder.

    Raises InputError for a damaged file: it can be deleted.

    >>> read_progress(Path("nowhere"))
    {}
    """
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        return {int(number): Progress(**facts) for number, facts in read_json(path).items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): delete it to begin again; the exercises stay") from error


def write_progress(folder: Path, progress: Mapping[int, Progress]) -> None:
    """Store the progress, atomically.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as name:
    ...     write_progress(Path(name), {3: Progress(1, 0, True)})
    ...     read_progress(Path(name))
    {3: Progress(tries=1, hints=0, solved=True)}
    """
    text = json.dumps({str(number): asdict(one) for number, one in sorted(progress.items())}, indent=1)
    with replacing(folder / NAME) as file:
        file.write(text.encode())
