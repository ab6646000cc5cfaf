r"""Retrieval sets in the files of BEIR: queries, a corpus, and judgements of which document answers which query.

Queries and corpus are .jsonl with _id, text and, in a corpus, title; or .tsv with id and text (or id, title and text).
Judgements are .tsv with query-id, corpus-id and score, or the four columns of TREC (query, iteration, document, grade).
"""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from minembed.data.old_texts import json_rows, lines
from minembed.errors import InputError

IDS = ("_id", "id")


def read_documents(path: Path) -> dict[str, str]:
    """Read the texts of a file by their ids; a title stands before its text.

    Raises InputError, with file and line, for a row without id or text, and for an id that came before.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "corpus.jsonl"
    ...     _ = path.write_text('{"_id": "d1", "title": "Bread", "text": "Knead the dough."}')
    ...     read_documents(path)
    {'d1': 'Bread Knead the dough.'}
    """
    found: dict[str, str] = {}
    with path.open("rb") as file:
        rows = _jsonl(json_rows(file, str(path))) if path.suffix.lower() == ".jsonl" else _tsv(file, path)
        for place, name, text in rows:
            if name in found:
                raise InputError(f"{place}: the id {name!r} came before; every text needs its own")
            found[name] = text
    if not found:
        raise InputError(f"{path} holds no texts")
    return found


def read_judgements(path: Path) -> dict[str, dict[str, float]]:
    """Read the grades of documents, by query and document; 0 and less is not relevant.

    Raises InputError, with file and line, for a row of another form, and where there are none.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "test.tsv"
    ...     _ = path.write_text("query-id\\tcorpus-id\\tscore\\nq1\\td1\\t2\\n")
    ...     read_judgements(path)
    {'q1': {'d1': 2.0}}
    """
    found: dict[str, dict[str, float]] = {}
    with path.open("rb") as file:
        for number, line in enumerate(lines(file, str(path)), 1):
            if not line.strip():
                continue
            cells = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
            if len(cells) not in (3, 4):
                raise InputError(f"{path}, line {number}: {len(cells)} columns; needs query-id, corpus-id and score")
            query, document, grade = cells[0], cells[-2], _grade(cells[-1])
            if grade is None and number == 1:
                continue  # a header
            if grade is None:
                raise InputError(f"{path}, line {number}: score is {cells[-1]!r}, not a finite number")
            found.setdefault(query, {})[document] = grade
    if not found:
        raise InputError(f"{path} holds no judgements")
    return found


def _jsonl(rows: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for place, value in rows:
        name = next((value[key] for key in IDS if key in value), None) if isinstance(value, dict) else None
        if isinstance(name, bool) or not isinstance(name, str | int):
            raise InputError(f"{place}: needs an object with the fields _id and text")
        cells = [value.get("title") or "", value.get("text")]
        for key, cell in zip(("title", "text"), cells, strict=True):
            if not isinstance(cell, str):
                raise InputError(f"{place}: {key} is {cell!r}, not a text")
        yield place, str(name), " ".join(cells).strip()


def _tsv(file: Any, path: Path) -> Iterator[tuple[str, str, str]]:
    for number, line in enumerate(lines(file, str(path)), 1):
        cells = line.rstrip("\r\n").split("\t")
        if not line.strip() or (number == 1 and cells[0].lower() in IDS):
            continue
        if len(cells) not in (2, 3):
            raise InputError(f"{path}, line {number}: {len(cells)} columns; needs id and text, or id, title and text")
        yield f"{path}, line {number}", cells[0], " ".join(cells[1:]).strip()


def _grade(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
