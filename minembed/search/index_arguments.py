"""What a caller gives an index, as it is kept: texts, ids, vectors and metadata, checked."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError, InputTypeError
from minembed.runtime.checks import as_matrix, check_texts
from minembed.search.index_blocks import Id
from minembed.search.index_files import is_id
from minembed.types import Array, Backend

Ids = Sequence[Id] | Iterable[Id]
Queries = str | Sequence[str] | ArrayLike


class SearchOptions(TypedDict, total=False):
    """The options of `Index.search` that do not change what kind of result it gives."""

    rescore_multiplier: int
    backend: Backend
    threads: int | None


def as_vectors(name: str, x: Any, one: bool = False) -> Array:
    """Take vectors (n, D) as an array; with `one`, also a single (D,).

    >>> as_vectors("queries", [1.0, 2.0], one=True).shape
    (1, 2)
    """
    return as_matrix(name, x, "texts, or vectors of numbers of shape (n, D)", one=one, least=(0, 1))


def as_texts(texts: Any) -> list[Any]:
    """Take one text, or several, as a list; raises InputTypeError for what is no text.

    >>> as_texts("one")
    ['one']
    """
    check_texts(texts)
    several = [texts] if isinstance(texts, str) else list(texts)
    for i, text in enumerate(several):
        if not isinstance(text, str):
            raise InputTypeError(f"texts[{i}] is {type(text).__name__}, not str")
    return several


def as_ids(ids: Any) -> list[Id]:
    """Take ids as a list of str and int; raises InputError where one comes twice.

    >>> as_ids(np.array([3, 5]))
    [3, 5]
    """
    names = [name.item() if isinstance(name, np.integer) else name for name in ids]
    for i, name in enumerate(names):
        if not is_id(name):
            raise InputTypeError(f"ids[{i}] is {name!r}; an id is a str, or an int of 64 bits")
    if len(set(names)) < len(names):
        seen: set[Id] = set()
        twice = next(i for i, name in enumerate(names) if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(f"ids[{twice}] is {names[twice]!r}, which is there twice")
    return names


def as_json(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Copy a dict as JSON would give it back; raises InputError for what JSON cannot say.

    >>> as_json({"corpus": ("a", "b")})
    {'corpus': ['a', 'b']}
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(metadata or {}), allow_nan=False))
    except (ValueError, TypeError, RecursionError) as e:
        raise InputError(f"metadata must be a dict of what JSON can say ({e})") from e
    return plain
