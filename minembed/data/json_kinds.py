"""The types of JSON values: find one type for a whole column, without loss."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minembed.data.arrow_rows import arrow_module

EXACT = 1 << 53  # whole numbers up to this are exact as floats
LONGEST = 1 << 63  # of a signed number of 64 bits
MOST_FIELDS = 100  # of an object that becomes a struct; more are probably keys from data
Name = Literal["null", "bool", "int", "long", "float", "text", "list", "object", "json"]


@dataclass(frozen=True, slots=True)
class Kind:
    """The type of a column's values: "long" is a whole number too large for a float; "json" is any value as JSON text.

    >>> kind_of([1, None])
    Kind(name='list', item=Kind(name='int', item=None, fields={}), fields={})
    """

    name: Name
    item: "Kind | None" = None  # of a list
    fields: Mapping[str, "Kind"] = field(default_factory=dict)  # of an object


NULL, JSON = Kind("null"), Kind("json")


def kind_of(value: Any) -> Kind:
    """The kind of one value.

    >>> kind_of(2**60).name, kind_of({}).name, kind_of(2**70).name
    ('long', 'json', 'json')
    """
    if value is None:
        return NULL
    if isinstance(value, str):
        return Kind("text")
    if isinstance(value, bool):
        return Kind("bool")
    if isinstance(value, int):
        return Kind("int") if abs(value) <= EXACT else Kind("long") if -LONGEST <= value < LONGEST else JSON
    if isinstance(value, float):
        return Kind("float")
    if isinstance(value, list):
        item = NULL
        for one in value:
            item = joined(item, kind_of(one))
        return Kind("list", item)
    if isinstance(value, dict) and 0 < len(value) <= MOST_FIELDS:
        return Kind("object", fields={name: kind_of(one) for name, one in value.items()})
    return JSON


def joined(one: Kind, other: Kind) -> Kind:
    """The kind that can hold the values of both.

    >>> [joined(kind_of(1), kind_of(value)).name for value in (None, 2, 0.5, "a", 2**60)]
    ['int', 'int', 'float', 'json', 'long']
    """
    if one == other or other.name == "null":
        return one
    if one.name == "null":
        return other
    names = {one.name, other.name}
    if names == {"int", "float"}:
        return Kind("float")
    if names == {"int", "long"}:
        return Kind("long")
    if one.item and other.item:
        return Kind("list", joined(one.item, other.item))
    if names == {"object"}:
        fields = dict(one.fields)
        for name, kind in other.fields.items():
            fields[name] = joined(fields.get(name, NULL), kind)
        return Kind("object", fields=fields) if len(fields) <= MOST_FIELDS else JSON
    return JSON


def has_json(kind: Kind) -> bool:
    """Whether some values of this kind are written as JSON text.

    >>> has_json(kind_of([[1], "a"])), has_json(kind_of([1]))
    (True, False)
    """
    inner = [*([kind.item] if kind.item else []), *kind.fields.values()]
    return kind.name == "json" or any(map(has_json, inner))


def fitted(value: Any, kind: Kind) -> Any:
    """A value in the form that Arrow accepts for a kind.

    >>> fitted([[1], "a", None], kind_of([[1], "a"]))
    ['[1]', '"a"', None]
    """
    if value is None:
        return None
    if kind.name == "json":
        return json.dumps(value, ensure_ascii=False)
    if kind.name == "float":
        return float(value)
    if kind.item is not None:
        return [fitted(one, kind.item) for one in value]
    if kind.fields:
        return {name: fitted(value.get(name), one) for name, one in kind.fields.items()}
    return value


def arrow_type(kind: Kind) -> Any:
    """The type of Arrow for a kind; needs the extra `arrow`.

    >>> from importlib.util import find_spec
    >>> str(arrow_type(kind_of([1]))) if find_spec("pyarrow") else "list<item: int64>"
    'list<item: int64>'
    """
    arrow = arrow_module()
    if kind.item is not None:
        return arrow.list_(arrow_type(kind.item))
    if kind.fields:
        return arrow.struct([(name, arrow_type(one)) for name, one in kind.fields.items()])
    simple = {"null": arrow.null, "bool": arrow.bool_, "int": arrow.int64, "long": arrow.int64, "float": arrow.float64}
    return simple.get(kind.name, arrow.string)()


def kinds_of(rows: Sequence[Mapping[str, Any]], known: Mapping[str, Kind]) -> dict[str, Kind]:
    """The kinds of columns, updated with more rows.

    >>> {name: kind.name for name, kind in kinds_of([{"a": 1}, {"a": 0.5, "b": "x"}], {}).items()}
    {'a': 'float', 'b': 'text'}
    """
    found = dict(known)
    for row in rows:
        for name, value in row.items():
            found[name] = joined(found.get(name, NULL), kind_of(value))
    return found


def merged(columns: Iterable[Mapping[str, Kind]]) -> dict[str, Kind]:
    """The kinds of columns of several files, merged.

    >>> {name: kind.name for name, kind in merged([{"a": kind_of(1)}, {"a": kind_of("x"), "b": NULL}]).items()}
    {'a': 'json', 'b': 'null'}
    """
    found: dict[str, Kind] = {}
    for some in columns:
        for name, kind in some.items():
            found[name] = joined(found.get(name, NULL), kind)
    return found


def kind_from(said: Mapping[str, Any]) -> Kind:
    """A kind, from the result of `dataclasses.asdict`.

    >>> from dataclasses import asdict
    >>> kind_from(asdict(kind_of([{"a": 1}]))) == kind_of([{"a": 1}])
    True
    """
    item, fields = said["item"], said["fields"]
    inner = {name: kind_from(one) for name, one in fields.items()}
    return Kind(said["name"], None if item is None else kind_from(item), inner)
