"""Find the column of a table that holds the texts, and read the text of a row."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from minembed.data.headings import ADDRESS, DATE, NUMBER, TEXTS, plain
from minembed.errors import InputError

EXAMPLE = 40  # characters of a value that a message shows
TEXT_LIKE = re.compile(r"[^\W\d_].*\s.*[^\W\d_]", re.DOTALL)  # letters, a space, letters
IDENTIFIER = re.compile(r"\S*\d\S*")
LONG_WORD = 40  # characters: a longer value without spaces is a text, in languages without spaces
NULL = "\\N"  # databases write this for null
Later = Literal["columns", "fields"]  # that later rows may have and the first rows do not


@dataclass(frozen=True, slots=True)
class Column:
    """A column, or a field of its values: "doc.body" has the path ("doc", "body")."""

    name: str
    path: tuple[str, ...]


def choose_column(names: Sequence[str], rows: Sequence[Mapping[str, Any]], name: str) -> Column:
    """The column that holds the texts.

    That is the only column with a usual name for texts (unless the first rows have numbers and the like there, and
    texts elsewhere), or else the only one with texts in the first rows.  Raises InputError, with all columns and an
    example of each, if there is none, or more than one.

    >>> rows = [{"id": "A1", "category": "food", "description": "Rye bread, 1 kg"}]
    >>> choose_column(list(rows[0]), rows, "shop.csv").name
    'description'
    """
    if len(names) == 1:
        return Column(names[0], (names[0],))
    for group in TEXTS:
        found = [column for column in names if plain(column) in group]
        if len(found) == 1 or (group is TEXTS[0] and "text" in found):
            chosen = "text" if len(found) > 1 else found[0]
            if _holds_ids([row.get(chosen) for row in rows]) and _text_columns(names, rows):
                raise _unclear(f"{name}: column {chosen!r} holds no texts, and another does", names, rows)
            return Column(chosen, (chosen,))
        if found:
            raise _unclear(f"{name}: {len(found)} columns may hold the texts", names, rows)
    found = _text_columns(names, rows)
    if len(found) != 1:
        raise _unclear(f"{name}: cannot tell which column holds the texts", names, rows)
    return Column(found[0], (found[0],))


def find_column(
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    field: str,
    name: str,
    option: str,
    more: Later | None = None,
) -> Column:
    """The column that `field` names: by its name, by its number from 1, or by a path, as in "doc.body".

    `more` says what later rows may have beyond the first rows: fields of columns, or also columns.  Raises InputError
    if there is no such column.

    >>> find_column(["id", "doc"], [{"doc": {"body": "one"}}], "doc.body", "x.jsonl", "--field").path
    ('doc', 'body')
    """
    if field in names:
        return Column(field, (field,))
    if field.isascii() and field.isdigit() and 1 <= int(field) <= len(names):
        return Column(names[int(field) - 1], (names[int(field) - 1],))
    parts = field.split(".")
    for i in range(len(parts) - 1, 0, -1):
        if ".".join(parts[:i]) in names:
            column = Column(field, (".".join(parts[:i]), *parts[i:]))
            if more is not None or any(_inner(row, column.path) is not None for row in rows):
                return column
    if more == "columns":
        return Column(field, (field,))
    near = difflib.get_close_matches(field, names, 1)
    told = f" (did you mean {near[0]!r}?)" if near else ""
    raise _unclear(f"{name}: there is no column {field!r}{told}", names, rows, option)


def value_of(row: Mapping[str, Any], column: Column) -> Any:
    """The value of a row in a column; None if it has none.

    >>> value_of({"doc": [{"body": "one"}, {"body": "two"}]}, Column("doc.body", ("doc", "body")))
    ['one', 'two']
    """
    return row.get(column.path[0]) if len(column.path) == 1 else _inner(row, column.path)


def text_of(value: Any, column: str, place: str) -> str | None:
    r"""A value as a text: a list of texts is joined by line breaks; None if it is missing (null, NaN, \N, blank).

    Raises InputError for a number, an object and anything else.

    >>> text_of(["one", "two"], "doc", "x, row 0"), text_of(" ", "doc", "x, row 1")
    ('one\ntwo', None)
    """
    if isinstance(value, str):
        return None if value.strip() in ("", NULL) else value
    if value is None or (isinstance(value, float) and value != value):
        return None
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return text_of("\n".join(value), column, place)
    raise InputError(f"{place}: {column!r} is {str(value)[:EXAMPLE]} ({type(value).__name__}), not a text")


def _inner(row: Any, path: Sequence[str]) -> Any:
    for i, part in enumerate(path):
        if isinstance(row, list):
            if part.isascii() and part.isdigit():
                row = row[int(part)] if int(part) < len(row) else None
                continue
            return [_inner(item, path[i:]) for item in row]
        row = row.get(part) if isinstance(row, Mapping) else None
    return row


def _text_columns(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return [column for column in names if _holds_texts([row.get(column) for row in rows])]


def _holds_ids(values: Sequence[Any]) -> bool:
    """Whether all values are numbers, or words with digits."""
    told = [str(value).strip() for value in values if value is not None and value != ""]
    return bool(told) and all(map(IDENTIFIER.fullmatch, told))


def _holds_texts(values: Sequence[Any]) -> bool:
    """Whether most values are texts of more than one word, and none are lists, objects and the like."""
    told = [value for value in values if value is not None and value != ""]
    if not told or not all(isinstance(value, str) for value in told):
        return False
    kinds = (NUMBER, ADDRESS, DATE)
    texts = [
        value
        for value in told
        if not any(kind.fullmatch(value.strip()) for kind in kinds)
        and (TEXT_LIKE.search(value) or len(value) >= LONG_WORD)
    ]
    return 2 * len(texts) > len(told)


def _unclear(what: str, names: Sequence[str], rows: Sequence[Mapping[str, Any]], option: str = "--field") -> InputError:
    return InputError(f"{what}; name one with {option}:\n{listing(names, rows)}")


def listing(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Columns, one per line, each with an example of its values.

    >>> print(listing(["id", "text"], [{"id": "A1", "text": None}, {"id": "A2", "text": "Rye bread"}]))
      id    'A1'
      text  'Rye bread'
    """
    width = min(max(map(len, names), default=0), 30)
    lines = []
    for column in names[:40]:
        example = next((row[column] for row in rows if row.get(column) not in (None, "")), None)
        lines.append(f"  {column:<{width}}  {str(example)[:EXAMPLE]!r}")
    more = [f"  and {len(names) - 40} more"] if len(names) > 40 else []
    return "\n".join([*lines, *more])
