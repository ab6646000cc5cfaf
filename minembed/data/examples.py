"""Training examples from tables of any form: texts in columns, and a label if the loss uses one.

Every error in a file is an InputError that names the file and the line.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minembed.data.columns import Column, text_of, value_of
from minembed.data.corpus import Corpus
from minembed.data.example_columns import Wanted, check_fields, choose
from minembed.data.roles import Gap, check_gaps, number_of, told
from minembed.data.source import Source
from minembed.data.table import Reading, Table, open_table
from minembed.data.texts import LOG, Selection
from minembed.errors import InputError, InputTypeError
from minembed.runtime import columns as kinds
from minembed.types import Array, Missing

BARE = 3  # columns of scored pairs without a heading
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Examples:
    """N examples: texts by column, (columns, N), and labels (N,) if there are any.

    They may be given as any columns of texts and of numbers.  Raises InputError for columns of different lengths, an
    entry that is not a text, and a label that is not a finite number.

    >>> Examples((["a", "c"], np.array(["b", "d"])), [1, 0]).columns
    (('a', 'c'), ('b', 'd'))
    """

    columns: tuple[tuple[str, ...], ...]
    labels: Array | None = None

    def __post_init__(self) -> None:
        given = enumerate(kinds.column(self.columns, "columns", "columns of texts"))
        columns = tuple(tuple(kinds.as_texts(texts, f"columns[{i}]")) for i, texts in given)
        labels = None if self.labels is None else _as_numbers(self.labels)
        lengths = [*map(len, columns), *([] if labels is None else [len(labels)])]
        if len(set(lengths)) > 1:
            raise InputError(f"an example has one entry of each column; of these there are {lengths}, labels last")
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.columns[0])


def _as_numbers(labels: Any) -> Array:
    array = np.asarray(labels)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        raise InputTypeError(f"labels must be a column of numbers; got {type(labels).__name__} of {array.dtype}")
    bad = ~np.isfinite(array)
    if bad.any():
        raise InputError(f"labels[{int(bad.argmax())}] is {array[bad][0]}, not a finite number")
    return array


def read_examples(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    label: str | None = None,
    score_range: Interval | None = None,
    labelled: bool | None = False,
    bounds: Interval = (-math.inf, math.inf),
    reading: Reading | None = None,
    missing: Missing = "error",
    negatives: int | None = None,
    apart: bool = False,
    option: str = "--columns",
) -> Examples:
    """Read pairs, triplets or scored pairs, and queries with lists of positives and negatives.

    Columns are those that are named (by names, numbers from 1, or paths), or those with the usual names (anchor, query,
    sentence1; positive, pos, answer, sentence2; negative, negative_1, neg, ...; score, label).  A table without a
    heading (if `reading` says so, or only the last of three columns has numbers) holds texts, followed by a score if
    `labelled`.  With `labelled=None` there are labels if the file has them.

    Each positive of a list makes an example.  All negatives of a row belong to it, or its first `negatives`; if a row
    has fewer than others, its negatives are repeated in turn.  With `apart`, each negative makes its own example.

    Scores are mapped from `score_range` to 0 to 1; without a range they are used as they are, and must be within
    `bounds`, those of the loss.  Raises InputError for a column that is not found, with all columns; for a label that
    would not be used; for rows with missing values, with their count and the first places, unless `missing` is "skip"
    (or "empty", for texts); for a score that is not a number or outside its range, with the line; and for a file
    without examples.  `option` is the option with which users name columns, for messages.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "pairs.csv"
    ...     _ = file.write_text("a cat,a kitten,5\\na cat,a car,0\\n")
    ...     examples = read_examples(file, score_range=(0, 5), labelled=True)
    >>> examples.columns[1], examples.labels.tolist()
    (('a kitten', 'a car'), [1.0, 0.0])
    """
    scale = _Scale.of(score_range, bounds)
    wanted = Wanted.of(columns, label, labelled, option)
    if negatives is not None and negatives < 1:
        raise InputError(f"negatives must be at least 1, not {negatives}")
    table = open_table(Source.of(path), reading or Reading(), wanted.names, BARE, option, columns_only=True)
    if not table.sample and next(table.rows(), None) is None:
        raise InputError(f"{path} holds no examples")
    texts, score = choose(table, wanted)
    found, gaps, count = _read(table, texts, score, scale, missing, wanted)
    if missing != "skip":
        check_gaps(gaps, table.name, count)
    if not found:
        raise InputError(f"{path} holds no examples" + (": every row lacks something" if gaps else ""))
    examples, notes = _examples(found, score is not None, negatives, apart)
    if len(texts) > 2 and not any(row.negatives for row in found):
        texts = texts[:2]
        notes = ["no negatives"]
    notes = [*([f'label "{score.name}"'] if score is not None else []), *notes]
    notes = [*([f"{len(examples):,} examples"] if len(examples) != len(found) else []), *notes]
    LOG.info(told(table, count, texts, count - len(found), notes))
    return examples


class _Row(NamedTuple):
    """A row: its anchor, its positives, its negatives (and which of these are missing), and its label."""

    anchor: str
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    lacking: tuple[Gap, ...]
    label: float


def _read(
    table: Table, texts: Sequence[Column], score: Column | None, scale: "_Scale", missing: Missing, wanted: Wanted
) -> tuple[list[_Row], list[Gap], int]:
    """The complete rows, the gaps of the others, and the number of rows."""
    found, gaps, count = list[_Row](), list[Gap](), 0
    columns = [*texts, *([score] if score is not None else [])]
    for row in table.rows(list({column.path[0]: None for column in columns})):
        count += 1
        check_fields(row, table, wanted)
        label = 0.0 if score is None else scale.label(value_of(row.values, score), score.name, row.place)
        cells = [_texts(value_of(row.values, column), column, row.place, missing) for column in texts]
        lacking = () if all(cells) else _lacking(texts, cells, row.place)
        needed = [gap for gap in lacking if gap.column in {column.name for column in texts[:2]}]
        if score is not None and label is None:
            needed.append(Gap(row.place, score.name))
        gaps += needed
        if not needed and label is not None:
            positives, negatives = (tuple(chain.from_iterable(some)) for some in (cells[1:2], cells[2:]))
            found.append(_Row("\n".join(cells[0]), positives, negatives, lacking, label))
    if any(row.negatives for row in found):  # otherwise they are pairs
        gaps += [gap for row in found for gap in row.lacking]
        found = [row for row in found if not row.lacking]
    return found, gaps, count


def _lacking(texts: Sequence[Column], cells: Sequence[Sequence[str]], place: str) -> tuple[Gap, ...]:
    return tuple(Gap(place, column.name) for column, cell in zip(texts, cells, strict=True) if not cell)


def _texts(value: Any, column: Column, place: str, missing: Missing) -> tuple[str, ...]:
    """The texts of a value, which is one or a list; none if any is missing."""
    found = list[str]()
    for part in value if isinstance(value, list) else (value,):
        text = text_of(part, column.name, place)
        if text is None and missing != "empty":
            return ()
        found.append(text or "")
    return tuple(found)


def _examples(rows: Sequence[_Row], labelled: bool, most: int | None, apart: bool) -> tuple[Examples, list[str]]:
    """The examples from rows, and notes about their negatives for the log."""
    counts = [len(row.negatives) for row in rows]
    width = min(max(counts), most or max(counts))
    notes = []
    if most is not None and max(counts) > most:
        notes.append(f"the first {most} of up to {max(counts)} negatives")
    elif min(counts) < width and not apart:
        notes.append(f"{min(counts)} to {width} negatives, of which fewer come again")
    columns: list[list[str]] = []
    labels = list[float]()
    for row in rows:
        negatives = row.negatives[:width]
        groups = [[text] for text in negatives] if apart and width else [list(islice(cycle(negatives), width))]
        for start in [[row.anchor, text] for text in row.positives] or [[row.anchor]]:
            for group in groups:
                columns = columns or [[] for _ in (*start, *group)]
                for column, text in zip(columns, (*start, *group), strict=True):
                    column.append(text)
                labels.append(row.label)
    return Examples(tuple(map(tuple, columns)), np.array(labels) if labelled else None), notes


def read_texts(
    path: Path, field: str | None = None, *, reading: Reading | None = None, missing: Missing | None = None
) -> tuple[str, ...]:
    """Read texts for masked language modelling: one per line, or a column of a table of any form.

    The column is `field`, or the one that holds the texts.  In a file with one text per line, blank lines are left out.
    Raises InputError if a text of a table is missing, unless `missing` says what to do, and if there are no texts.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "texts.txt"
    ...     _ = file.write_text("one\\n\\ntwo\\n")
    ...     read_texts(file)
    ('one', 'two')
    """
    corpus = Corpus.of(path, Selection(reading or Reading(), field, missing))
    corpus.survey()
    return tuple(corpus.passages().texts)


@dataclass(frozen=True, slots=True)
class _Scale:
    """The range that is mapped to 0 to 1, if any, and the bounds of labels."""

    score_range: Interval | None
    bounds: Interval

    @classmethod
    def of(cls, score_range: Interval | None, bounds: Interval) -> "_Scale":
        if score_range is not None and not (score_range[0] < score_range[1] and all(map(math.isfinite, score_range))):
            raise InputError(f"score_range must be two numbers, the lower first; not {score_range}")
        return cls(score_range, bounds)

    def label(self, value: Any, name: str, place: str) -> float | None:
        number = number_of(value, name, place)
        if number is None:
            return None
        low, high = self.score_range or self.bounds
        if not low <= number <= high:
            remedy = "" if self.score_range else "; say the range of the scores, as in score_range=(0, 5)"
            raise InputError(f"{place}: {name!r} is {number:g}, outside the range from {low:g} to {high:g}{remedy}")
        return number if self.score_range is None else (number - low) / (high - low)
