"""Requests and answers as handlers see them: HTTP bytes on one side, checked values on the other."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

import msgspec
import orjson

from minembed.runtime.json_files import no_duplicates
from minembed.serve.errors import Refusal
from minembed.serve.presence import Presence
from minembed.text.tokenizer import clean

Struct = TypeVar("Struct", bound=msgspec.Struct)
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
DEEPEST = 32  # nested lists and objects
JSON = "application/json"
VALUE = re.compile("Invalid enum value '.*'", re.DOTALL)  # msgspec echoes the value


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    body: bytes = b""
    status: int = 200
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    tokens: int = 0  # that were computed for it, for the log and the metrics
    model: str = ""


@dataclass(slots=True)
class Request:
    """A request whose head is checked, and whose body is not read yet."""

    method: str
    path: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    receive: Receive
    presence: Presence
    body: bytes = b""
    origin: bytes | None = None  # the site of an allowed page of another server

    def read(self, kind: type[Struct]) -> Struct:
        """The body as a struct; raises Refusal if it is not JSON (400), or not of that form."""
        value = parsed(self.body)
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError as error:
            message = VALUE.sub("Invalid enum value", str(error))
            raise Refusal(400, brief(message), param=param_of(message)) from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _float_or_whole(digits: str) -> float | int:
    """Read 4.0 as an integer: JSON does not distinguish it from 4, and some languages write all numbers like that."""
    number = float(digits)
    return int(number) if number.is_integer() else number


DECODER = json.JSONDecoder(object_pairs_hook=no_duplicates, parse_constant=_no_constant, parse_float=_float_or_whole)


def parsed(body: bytes) -> Any:
    """Read JSON strictly: UTF-8, no duplicate keys, no NaN, no deep nesting.  Raises Refusal with 400.

    >>> parsed(b'{"a": [1]}')
    {'a': [1]}
    """
    try:
        value = DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Refusal(400, brief(f"the body is no sound JSON: {error}"), "syntax") from error
    if body.count(b"[") + body.count(b"{") > DEEPEST and depth(value) > DEEPEST:
        raise Refusal(400, f"the body nests lists and objects deeper than {DEEPEST}", "syntax")
    if b"\\ud" in body or b"\\uD" in body:
        value = repaired(value)
    return value


def repaired(value: Any) -> Any:
    r"""Replace lone surrogates, which JSON can contain and UTF-8 cannot, by U+FFFD, as `encode` does.

    >>> repaired(["a\ud83d", {"b": 1}]) == ["a\ufffd", {"b": 1}]
    True
    """
    if isinstance(value, str):
        return clean(value, 0)
    if isinstance(value, list):
        return [repaired(one) for one in value]
    return {clean(key, 0): repaired(one) for key, one in value.items()} if isinstance(value, dict) else value


def depth(value: Any) -> int:
    """The depth of nested lists and objects.

    >>> depth([1, {"a": []}]), depth("text")
    (3, 0)
    """
    level, deep = [value], 0
    while level := [one for one in level if isinstance(one, list | dict)]:
        deep += 1
        level = [x for one in level for x in (one.values() if isinstance(one, dict) else one)]
        level = [one for one in level if isinstance(one, list | dict)]
    return deep


def brief(message: str, longest: int = 100) -> str:
    """A message shortened to a length.

    >>> brief("x" * 500, 3)
    'xxx...'
    """
    return message if len(message) <= longest else message[:longest] + "..."


def param_of(message: str) -> str | None:
    """The field that an error message of msgspec is about.

    >>> param_of("Expected `str`, got `int` - at `$.model`"), param_of("Object missing required field `input`")
    ('model', 'input')
    """
    _, at, path = message.rpartition(" - at `$.")
    if at:
        return brief(path.rstrip("`").partition("[")[0], 40)
    _, missing, name = message.rpartition("required field `")
    return name.rstrip("`") if missing else None


def answer_json(value: Any, **more: Any) -> Answer:
    """An answer with a JSON body; NumPy arrays become lists.

    >>> answer_json({"a": 1}).body
    b'{"a":1}'
    """
    return Answer(orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY), **more)
