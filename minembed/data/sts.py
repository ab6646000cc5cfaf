"""Scored pairs of texts from files, as in the STS benchmark."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from minembed.data.old_texts import csv_rows, json_rows
from minembed.errors import InputError

COLUMNS = ("sentence1", "sentence2", "score")
NAMES = (  # what each column may be called, in small letters and without signs: "Sentence_1" is sentence1
    ("sentence1", "text1", "s1"),
    ("sentence2", "text2", "s2"),
    ("score", "label", "similarity", "similarityscore", "gold"),
)


class Pair(NamedTuple):
    """Two sentences, and how alike people found them."""

    first: str
    second: str
    score: float


def read_sts(path: Path) -> list[Pair]:
    """Read pairs from .csv (by header, or three columns without one) or .jsonl (by field), on any scale.

    Raises InputError, with file and line, for anything that is not two texts and a finite number.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "dev.csv"
    ...     _ = path.write_text("score,sentence1,sentence2\\n4.5,a cat,a feline\\n")
    ...     [(pair.score, pair.first) for pair in read_sts(path)]
    [(4.5, 'a cat')]
    """
    with path.open("rb") as file:
        if path.suffix.lower() == ".jsonl":
            return [_from_json(value, place) for place, value in json_rows(file, str(path))]
        return list(_from_csv(csv_rows(file, str(path))))


def find_columns(header: Sequence[str]) -> list[int] | None:
    """Find sentence1, sentence2 and score among column names; None unless all three are there.

    >>> find_columns(["id", "Sentence 1", "Sentence 2", "label"]), find_columns(["a", "b", "5"])
    ([1, 2, 3], None)
    """
    plain = ["".join(filter(str.isalnum, name.lower())) for name in header]
    places = [next((plain.index(name) for name in names if name in plain), None) for names in NAMES]
    found = [place for place in places if place is not None]
    return found if len(found) == len(NAMES) else None


def _from_csv(rows: Iterator[tuple[str, list[str]]]) -> Iterator[Pair]:
    first = next(rows, None)
    if first is None:
        return
    place, header = first
    columns = find_columns(header)
    if columns is None:
        if len(header) != len(COLUMNS) or _number(header[2]) is None:
            raise InputError(
                f"{place}: neither a header with {', '.join(COLUMNS)} nor two sentences and a number; quote commas"
            )
        columns = [0, 1, 2]
        yield _pair([header[i] for i in columns], place)
    for place, row in rows:
        if len(row) != len(header):
            raise InputError(f"{place}: {len(row)} cells where the first row has {len(header)}; quote commas")
        yield _pair([row[i] for i in columns], place)


def _from_json(value: Any, place: str) -> Pair:
    keys = list(value) if isinstance(value, dict) else []
    columns = find_columns(keys)
    if columns is None:
        raise InputError(f"{place}: needs the fields {', '.join(COLUMNS)}, has {', '.join(keys) or 'none'}")
    return _pair([value[keys[i]] for i in columns], place)


def _pair(cells: Sequence[Any], place: str) -> Pair:
    first, second, score = cells
    for name, text in zip(COLUMNS, (first, second), strict=False):
        if not isinstance(text, str):
            raise InputError(f"{place}: {name} is {text!r}, not a text")
    number = _number(score)
    if number is None:
        raise InputError(f"{place}: score is {score!r}, not a finite number")
    return Pair(first, second, number)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
