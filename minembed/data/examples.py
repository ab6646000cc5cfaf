"""Examples to train on, from .csv, .jsonl and .parquet: texts in columns, and a label where the loss wants one.

Whatever is wrong with a file is an InputError that names the file and the line.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from minembed.data.old_texts import csv_rows, format_of, json_rows, parquet_module
from minembed.errors import InputError
from minembed.types import Array

FIRST = ("anchor", "query", "sentence1", "text1", "s1", "question", "premise")  # as `_plain` has names
SECOND = ("positive", "answer", "sentence2", "text2", "s2", "document", "passage", "hypothesis")
NEGATIVE = re.compile(r"negatives?\d*")
LABEL = ("score", "scores", "label", "labels", "similarity", "similarityscore", "gold")
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Examples:
    """N examples: texts by column, (columns, N), and labels (N,) where there are any."""

    columns: tuple[tuple[str, ...], ...]
    labels: Array | None = None

    def __len__(self) -> int:
        return len(self.columns[0])


def read_examples(
    path: Path,
    *,
    columns: Sequence[str] | None = None,
    label: str | None = None,
    score_range: Interval | None = None,
    labelled: bool | None = False,
    bounds: Interval = (-math.inf, math.inf),
) -> Examples:
    """Read pairs, triplets or scored pairs.

    Columns are found by the names that people give them (anchor, query, sentence1; positive, answer, sentence2;
    negative, negative_1, ...; score, label), or are those named.  A .csv without such a header holds texts, and a
    score behind them where `labelled`; its columns are named "0", "1", ...  With `labelled` None there are labels
    where the file has them.  Scores of a `score_range` are mapped to 0
    to 1; without one they are taken as they are, and must lie within `bounds`, those of the loss.  Raises InputError,
    with the line, for a missing column, an empty text, a score that is no number or outside its range, and a file
    without examples.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "pairs.csv"
    ...     _ = file.write_text("a cat,a kitten,5\\na cat,a car,0\\n")
    ...     examples = read_examples(file, score_range=(0, 5), labelled=True)
    >>> examples.columns[1], examples.labels.tolist()
    (('a kitten', 'a car'), [1.0, 0.0])
    """
    if score_range is not None and not (score_range[0] < score_range[1] and all(map(math.isfinite, score_range))):
        raise InputError(f"score_range must be two numbers, the lower first; not {score_range}")
    if columns is not None and len(columns) == 0:
        raise InputError("columns must name at least one column of texts")
    named = (*(columns or ()), *([label] if label is not None else ()))
    rows = _rows(path, named)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{path} holds no examples")
    wanted, score = _choose(first[1], columns, label, labelled, str(path))
    scale = _Scale(score_range, bounds)
    texts: list[list[str]] = [[] for _ in wanted]
    labels: list[float] = []
    for place, row in rows if isinstance(first[1], _Header) else chain([first], rows):
        for column, name in zip(texts, wanted, strict=True):
            column.append(_text(row.get(name), name, place))
        if score is not None:
            labels.append(scale.label(row.get(score), score, place))
    if not texts[0]:
        raise InputError(f"{path} holds no examples")
    return Examples(tuple(map(tuple, texts)), np.array(labels) if score is not None else None)


def read_texts(path: Path, field: str | None = None) -> tuple[str, ...]:
    """Read texts for masked language modelling: one a line, or a field (by default "text") of each object or row.

    Raises InputError where there are none.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     file = Path(folder) / "texts.txt"
    ...     _ = file.write_text("one\\n\\ntwo\\n")
    ...     read_texts(file)
    ('one', 'two')
    """
    from minembed.data import old_texts as texts

    with path.open("rb") as file:
        found = tuple(t for t in texts.read_texts(file, str(path), format_of(path), field) if t.strip())
    if not found:
        raise InputError(f"{path} holds no texts")
    return found


class _Header(dict[str, Any]):
    """The names of a .csv's columns, which are no example."""


def _rows(path: Path, named: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows by column name; of a .csv the header first, or columns "0", "1", ... where it has none."""
    kind = format_of(path)
    with path.open("rb") as file:
        if kind == "parquet":
            yield from _parquet_rows(file, str(path))
        elif kind == "jsonl":
            for place, value in json_rows(file, str(path)):
                if not isinstance(value, dict):
                    raise InputError(f"{place}: every line must hold a JSON object, not {type(value).__name__}")
                yield place, value
        elif kind == "csv":
            yield from _csv_rows(csv_rows(file, str(path)), named)
        else:
            raise InputError(f"{path}: examples are read from .csv, .jsonl and .parquet")


def _csv_rows(rows: Iterator[tuple[str, list[str]]], named: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    names: list[str] | None = None
    for place, cells in rows:
        if names is None:
            is_header = _is_header(cells, named)
            names = cells if is_header else [str(i) for i in range(len(cells))]
            if is_header:
                twice = [name for name in names if names.count(name) > 1]
                if twice:
                    raise InputError(f"{place}: two columns have the name {twice[0]!r}")
                yield place, _Header.fromkeys(names)
                continue
        if len(cells) != len(names):
            raise InputError(f"{place}: {len(cells)} cells where the first row has {len(names)}; quote commas")
        yield place, dict(zip(names, cells, strict=True))


def _parquet_rows(file: Any, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        table = parquet_module().ParquetFile(file)
    except ValueError as error:  # pyarrow's own errors derive from it
        raise InputError(f"{name}: not a parquet file ({error})") from error
    row = 0
    for batch in table.iter_batches(batch_size=1024):
        for value in batch.to_pylist():
            yield f"{name}, row {row}", value
            row += 1


def _plain(name: str) -> str:
    return "".join(c for c in name.lower() if c.isalnum())


def _is_header(cells: Sequence[str], named: Sequence[str]) -> bool:
    """Whether a first row names columns: those that are asked for, or one as people name them."""
    if named:
        return all(name in cells for name in named) or not all(name.isdecimal() for name in named)
    return any(_plain(cell) in (*FIRST, *SECOND, *LABEL) or NEGATIVE.fullmatch(_plain(cell)) for cell in cells)


def _choose(
    first_row: dict[str, Any], columns: Sequence[str] | None, label: str | None, labelled: bool | None, path: str
) -> tuple[list[str], str | None]:
    """Which columns hold texts, in order, and which one the label."""
    names = list(first_row)
    plain = {_plain(name): name for name in names}
    for name in (*(columns or ()), *([label] if label is not None else [])):
        if name not in names:
            raise InputError(f"{path}: there is no column {name!r} among {', '.join(map(repr, names))}")
    score = label or next((plain[name] for name in LABEL if name in plain), None)
    if columns is None:
        first, second = (next((plain[n] for n in group if n in plain), None) for group in (FIRST, SECOND))
        numbered = [name for name in names if NEGATIVE.fullmatch(_plain(name))]
        if first is not None and second is not None:
            columns = [first, second, *numbered]
        elif names == [str(i) for i in range(len(names))]:  # no header
            ends_in_number = _is_number(first_row.get(names[-1]))
            score = score or (names[-1] if labelled or (labelled is None and ends_in_number) else None)
            if score is None and ends_in_number:
                raise InputError(
                    f"{path}: the last of its columns holds numbers, and this loss takes no score: name the columns of "
                    "the texts, as in 0,1"
                )
            columns = [name for name in names if name != score]
        else:
            missing = "an anchor (query, sentence1)" if first is None else "a positive (answer, sentence2)"
            raise InputError(f"{path}: no column is {missing} among {', '.join(map(repr, names))}; name the columns")
    if labelled and score is None:
        raise InputError(
            f"{path}: this loss needs a score or label, and no column is one: {', '.join(map(repr, names))}"
        )
    return list(columns), None if labelled is False else score


def _text(value: Any, name: str, place: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{place}: {name!r} is {'missing' if value is None else repr(value)[:40]}, not a text")
    if not value.strip():
        raise InputError(f"{place}: {name!r} is empty")
    return value


def _is_number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class _Scale:
    """The range that is mapped to 0 to 1, if one is, and what labels may be."""

    score_range: Interval | None
    bounds: Interval

    def label(self, value: Any, name: str, place: str) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise InputError(f"{place}: {name!r} is {value!r}, not a finite number")
        low, high = self.score_range or self.bounds
        if not low <= number <= high:
            remedy = "" if self.score_range else "; say the range of the scores, as in score_range=(0, 5)"
            raise InputError(f"{place}: {name!r} is {number:g}, outside the range from {low:g} to {high:g}{remedy}")
        return number if self.score_range is None else (number - low) / (high - low)
