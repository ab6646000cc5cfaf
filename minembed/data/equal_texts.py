"""Find rows of a file whose text repeats an earlier one, by digests, with little memory for any number of rows."""

from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from minembed.data.texts import Texts
from minembed.runtime.digests import RUN, Digests, digests_of
from minembed.types import Array


def repeats(texts: Texts, rows: int, work: Path | None = None, missing: bool = False) -> Array:  # -> (rows,) bool
    """Which rows have exactly the text of an earlier row, or, with `missing`, have no text.

    `rows` is the number of rows of the file.  Texts are compared by digests of 128 bits, which are kept in a temporary
    file in the folder `work`: 24 bytes per row.  Memory: one byte per row, and about 30 MB.

    >>> from tempfile import TemporaryDirectory
    >>> from minembed.data.source import Source
    >>> from minembed.data.texts import Selection, open_texts
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "shop.csv"
    ...     _ = path.write_text("id,text\\n1,Rye bread\\n2,Sweet cake\\n3,Rye bread\\n")
    ...     repeats(open_texts(Source.of(path), Selection()), 3, Path(folder)).tolist()
    [False, False, True]
    """
    again = np.zeros(rows, bool)

    def note(found: Array, firsts: Array) -> None:
        again[found] = True

    with TemporaryFile(dir=work) as file:
        digests, waiting, numbers = Digests(file, note), list[bytes](), list[int]()

        def flush() -> None:
            digests.add(digests_of(waiting), np.array(numbers, np.int64))
            waiting.clear()
            numbers.clear()

        for number, text, _ in texts.rows(whole_rows=False):
            if text is not None:
                waiting.append(text.encode("utf-8", "surrogatepass"))
                numbers.append(number - 1)
            else:
                again[number - 1] = missing
            if len(waiting) == RUN // 64:
                flush()
        flush()
        digests.compare()
    return again
