"""Labels from a column beside the texts, for the colours of a map."""

from typing import NamedTuple

from minembed.data.columns import Column, value_of
from minembed.data.texts import Texts
from minembed.runtime.columns import as_label


class Labelled(NamedTuple):
    """The texts that are not missing, the numbers of their rows, from 1, and their labels."""

    numbers: list[int]
    texts: list[str]
    labels: list[str]


def labelled_texts(texts: Texts, column: Column) -> Labelled:
    """Read texts and another column of the same rows; numbers and the like as they are written, null as "".

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from minembed.data.source import Source
    >>> from minembed.data.table import Reading, open_table
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "x.jsonl"
    ...     _ = path.write_text('{"text": "a", "year": 1999}\\n{"text": "b", "year": null}\\n')
    ...     texts = Texts(open_table(Source.of(path), Reading()), Column("text", ("text",)))
    ...     labelled_texts(texts, Column("year", ("year",)))
    Labelled(numbers=[1, 2], texts=['a', 'b'], labels=['1999', ''])
    """
    found = Labelled([], [], [])
    for number, text, row in texts.rows():
        if text is None:
            continue
        found.numbers.append(number)
        found.texts.append(text)
        found.labels.append(as_label(value_of(row.values, column)))
    return found
