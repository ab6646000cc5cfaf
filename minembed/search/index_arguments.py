"""Check the arguments of an index and convert them to the form in which it keeps them."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any, TypedDict, get_args

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError, InputTypeError
from minembed.runtime.checks import as_matrix, check_finite
from minembed.runtime.columns import as_texts, column
from minembed.search.index_blocks import Id
from minembed.search.index_files import is_id
from minembed.types import Array, Backend, IndexPrecision, Metric

Ids = Sequence[Id] | Iterable[Id]
Queries = str | Iterable[str] | ArrayLike


class SearchOptions(TypedDict, total=False):
    """The options of `Index.search` that do not change the type of its result."""

    rescore_multiplier: int
    backend: Backend
    threads: int | None


def check_choices(metric: object, precision: object) -> None:
    """Raise InputError for an unknown metric or precision.

    >>> check_choices("dot", "int8")
    """
    for name, value, known in (
        ("metric", metric, get_args(Metric)),
        ("precision", precision, get_args(IndexPrecision)),
    ):
        if value not in known:
            raise InputError(f"{name} {value!r} is unknown; known: {', '.join(known)}")


def as_vectors(name: str, x: Any, one: bool = False) -> Array:
    """Vectors (n, D) as an array; with `one`, also a single (D,).

    >>> as_vectors("queries", [1.0, 2.0], one=True).shape
    (1, 2)
    """
    return as_matrix(name, x, "texts, or vectors of numbers of shape (n, D)", one=one, least=(0, 1))


def as_texts_or_vectors(name: str, source: Any) -> tuple[list[str] | None, Any]:
    """One text or several texts as a list, or else vectors in a form that `as_vectors` accepts.

    Raises InputTypeError for anything else, such as a table of texts, and for an item among texts that is not a text.

    >>> as_texts_or_vectors("queries", "one"), as_texts_or_vectors("queries", (1.0, 2.0))
    ((['one'], None), (None, [1.0, 2.0]))
    """
    if isinstance(source, str):
        return as_texts(source, name, one=True), None
    if _is_array_of_numbers(source):
        return None, source
    items = list(column(source, name, "str or of vectors"))
    if any(isinstance(item, str) or item is None for item in items):
        return as_texts(items, name), None
    return None, items


def as_queries(queries: Any, width: int, encode: Callable[[list[str]], Array]) -> tuple[Array, bool]:  # -> (Q, width)
    """Queries as vectors (texts are encoded by `encode`), and whether it is a single query.

    Raises InputError for vectors of another width, NaN or infinity, InputTypeError for neither texts nor vectors.

    >>> as_queries("one", 2, lambda texts: np.ones((len(texts), 2)))
    (array([[1., 1.]]), True)
    """
    texts, rows = as_texts_or_vectors("queries", queries)
    if texts is not None:
        vectors, alone = encode(texts), isinstance(queries, str)
    elif isinstance(rows, list) and not rows:
        vectors, alone = np.zeros((0, width)), False
    else:
        vectors, alone = as_vectors("queries", rows, one=True), np.ndim(rows) == 1
    if vectors.shape[1] != width:
        raise InputError(f"the index holds vectors {width} wide; got queries of {vectors.shape[1]}")
    check_finite("queries", vectors)
    return vectors, alone


def _is_array_of_numbers(source: Any) -> bool:
    if isinstance(source, np.ndarray) and source.ndim != 1:
        return True  # or refused as such later
    if not hasattr(source, "__array__"):
        return False
    array = np.asarray(source)
    return array.dtype.kind in "fiub" and array.shape != (0,)  # (0,) may also be an empty column of texts


def as_ids(ids: Any) -> list[Id]:
    """Ids as a list of str and int; raises InputError for duplicates.

    >>> as_ids(np.array([3, 5]))
    [3, 5]
    """
    names = [as_id(name) for name in column(ids, "ids", "ids")]
    for i, name in enumerate(names):
        if not is_id(name):
            raise InputTypeError(f"ids[{i}] is {name!r}; an id is a str, or an int of 64 bits")
    if len(set(names)) < len(names):
        seen: set[Id] = set()
        twice = next(i for i, name in enumerate(names) if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise InputError(f"ids[{twice}] is {names[twice]!r}, which is there twice")
    return names


def as_some_ids(ids: Any) -> list[Id]:
    """One id, or several in any order, as a list.

    >>> as_some_ids(np.int64(3)), as_some_ids({"a"})
    ([3], ['a'])
    """
    return as_ids([ids] if isinstance(ids, str | int | np.integer) else list(ids) if isinstance(ids, Set) else ids)


def as_id(name: Any) -> Any:
    """Convert whole numbers and str of NumPy to Python's, which are equal to them; anything else stays as it is.

    >>> as_id(np.int64(3)), as_id(np.str_("a")), as_id(3.0)
    (3, 'a', 3.0)
    """
    return name.item() if isinstance(name, np.integer | np.str_) else name


def as_json(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Copy a dict by way of JSON; raises InputError for values that JSON cannot represent.

    >>> as_json({"corpus": ("a", "b")})
    {'corpus': ['a', 'b']}
    """
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(metadata or {}), allow_nan=False))
    except (ValueError, TypeError, RecursionError) as e:
        raise InputError(f"metadata must be a dict of what JSON can say ({e})") from e
    return plain
