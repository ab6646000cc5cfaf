"""JSON: one value per line, or one array of values, read incrementally."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from minembed.errors import InputError

SPACE = re.compile(r"[ \t\r\n]*")
DEEPEST = 100  # nested lists and objects: recursive code needs a stack frame for each
PIECE = 1 << 16  # characters of an array that are read at a time
Record = tuple[str, Any, str]  # its place, its value, and its text as written


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {max(names, key=names.count)!r} comes twice in an object")
    return found


DECODER = json.JSONDecoder(object_pairs_hook=_object)


def line_records(lines: Iterable[str], name: str) -> Iterator[Record]:
    """Read the value of every line that is not blank.

    >>> list(line_records(["[1]\\n", "\\n", "{}"], "x.jsonl"))
    [('x.jsonl, line 1', [1], '[1]\\n'), ('x.jsonl, line 3', {}, '{}')]
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{name}, line {number}"
        try:
            value = DECODER.decode(line.removeprefix("\ufeff"))
            _check_depth(value, line)
        except (ValueError, RecursionError) as error:
            remedy = "; --format json reads an array over many lines" if number == 1 and line.strip() in "[{" else ""
            raise InputError(f"{place}: not JSON ({error}); every line must hold one JSON value{remedy}") from error
        yield place, value, line


def _check_depth(value: Any, raw: str) -> None:
    """Raise RecursionError for a value that is nested too deeply to be written again."""
    if raw.count("[") + raw.count("{") <= DEEPEST:
        return
    level, depth = [value], 0
    while level := [one for one in level if isinstance(one, list | dict)]:
        depth += 1
        if depth > DEEPEST:
            raise RecursionError(f"more than {DEEPEST} lists and objects within each other")
        level = [one for outer in level for one in (outer.values() if isinstance(outer, dict) else outer)]


def array_records(pieces: Iterable[str], name: str) -> Iterator[Record]:
    """Read the values of an array that arrives in pieces; only one value is in memory at a time.

    Raises InputError if it is not an array; for an object that contains arrays, it names them.

    >>> list(array_records(['[{"a"', ': 1}, "b"]'], "x.json"))
    [('x.json, item 0', {'a': 1}, '{"a": 1}'), ('x.json, item 1', 'b', '"b"')]
    """
    text = _Text(pieces)
    if text.skip() != "[":
        raise _no_array(text, name)
    text.at += 1
    number = 0
    while text.skip() != "]" or number:
        place = f"{name}, item {number}"
        value, raw = _value(text, place)
        yield place, value, raw
        number += 1
        after = text.skip()
        if after not in (",", "]") or not after:
            raise InputError(f"{place}: {after or 'the end of the file'!r} stands behind it, not ',' or ']'")
        if after == "]":
            break
        text.at += 1
    text.at += 1
    if text.skip():
        raise InputError(f"{name}: something stands behind the array: {text.held[text.at : text.at + 40]!r}")


class _Text:
    """Characters that were read and not used yet, and the source of more."""

    def __init__(self, pieces: Iterable[str]) -> None:
        self._pieces = iter(pieces)
        self.held, self.at = "", 0  # what is before `at` is used

    def more(self) -> bool:
        """Read as much again as is held, so that a long value is parsed only a few times."""
        found = [self.held[self.at :]]
        size = before = len(found[0])
        while size < max(PIECE, 2 * before):
            piece = next(self._pieces, None)
            if piece is None:
                break
            found.append(piece)
            size += len(piece)
        self.held, self.at = "".join(found), 0
        return size > before

    def skip(self) -> str:
        """Skip white space and return the next character; "" at the end."""
        while True:
            self.at = SPACE.match(self.held, self.at).end()  # type: ignore[union-attr]  # it also matches ""
            if self.at < len(self.held):
                return self.held[self.at]
            if not self.more():
                return ""


def _value(text: _Text, place: str) -> tuple[Any, str]:
    while True:
        try:
            value, end = DECODER.raw_decode(text.held, text.at)
            _check_depth(value, text.held[text.at : end])
        except (ValueError, RecursionError) as error:
            if isinstance(error, ValueError) and text.more():
                continue
            raise InputError(f"{place}: not JSON ({error})") from error
        if end == len(text.held) and text.more():  # a number may continue
            continue
        raw = text.held[text.at : end]
        text.at = end
        return value, raw


def _no_array(text: _Text, name: str) -> InputError:
    while text.more():
        pass
    try:
        value = json.loads(text.held)
    except (ValueError, RecursionError) as error:
        return InputError(f"{name}: not JSON ({error}); it must hold an array of objects or of texts")
    arrays = [key for key, inner in value.items() if isinstance(inner, list)] if isinstance(value, dict) else []
    told = (
        f", with arrays under {', '.join(map(repr, arrays))}: save one of them as a file of its own" if arrays else ""
    )
    return InputError(f"{name} holds a JSON {kind_of(value)}, not an array of objects or of texts{told}")


def kind_of(value: Any) -> str:
    """JSON's name for the type of a value.

    >>> kind_of({}), kind_of(None), kind_of(1.5)
    ('object', 'null', 'number')
    """
    kinds = {dict: "object", list: "array", str: "string", bool: "boolean", type(None): "null"}
    return kinds.get(type(value), "number")
