"""Rows of a file with the vectors of their texts, in blocks."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

from minembed.data.texts import TextRow
from minembed.errors import InputError, MinembedError, of_text  # noqa: F401 (examples)
from minembed.runtime.progress import Counted
from minembed.types import Array

Vectors = Any  # an array (n, width), or a list of rows and None
Pair = tuple[list[TextRow], Vectors]


@contextmanager
def naming_rows(row_of: Callable[[int], TextRow]) -> Iterator[None]:
    """Add the place of the row to errors about one of the texts that a model gets: `row_of` finds the row.

    >>> from minembed.data.table import Row
    >>> row = TextRow(8, "a", Row("x.csv, row 8", {}, ""))
    >>> with naming_rows(lambda text: row):
    ...     raise of_text(InputError, 7, "has more than 4 tokens")
    Traceback (most recent call last):
    minembed.errors.InputError: x.csv, row 8: the text has more than 4 tokens
    """
    try:
        yield
    except MinembedError as error:
        if error.text is None:
            raise
        raise type(error)(f"{row_of(error.text).row.place}: the text {error.about}") from error


def nth_text(rows: Iterable[TextRow], n: int) -> TextRow:
    """The row of the n-th text, from 0.

    >>> from minembed.data.table import Row
    >>> nth_text([TextRow(i, text, Row("x", {}, "")) for i, text in enumerate(["a", None, "b"])], 1).number
    2
    """
    return next(islice((row for row in rows if row.text is not None), n, None))


def paired(
    stream: Callable[[Iterable[str]], Iterator[Array]], rows: Iterable[TextRow], total: int | None
) -> Iterator[Pair]:
    """Yield blocks of rows with their vectors, None for a row without a text, and keep only these in memory.

    >>> from minembed.data.table import Row
    >>> rows = [TextRow(i, text, Row("x", {}, "")) for i, text in enumerate(["a", None, "b"])]
    >>> for some, vectors in paired(lambda texts: iter([np.ones((len(list(texts)), 1))]), rows, None):
    ...     print([row.text for row in some], vectors)
    ['a', None, 'b'] [array([1.]), None, array([1.])]
    """
    waiting, before = deque[TextRow](), 0  # before: the number of texts in rows that were yielded

    def noted() -> Iterator[str]:
        for row in rows:
            waiting.append(row)
            if row.text is not None:
                yield row.text

    texts: Iterable[str] = noted()
    with naming_rows(lambda text: nth_text(waiting, text - before)):
        for block in stream(texts if total is None else Counted(texts, total)):
            some, vectors, done = list[TextRow](), list[Any](), 0
            while done < len(block):
                row = waiting.popleft()
                some.append(row)
                vectors.append(None if row.text is None else block[done])
                done += row.text is not None
            before += done
            yield some, block if len(some) == len(block) else vectors
    if waiting:
        yield list(waiting), [None] * len(waiting)


def recut(pairs: Iterable[Pair], sizes: Iterable[int]) -> Iterator[Pair]:
    """The same rows in blocks of given sizes, so that a block depends only on its rows, not on how they arrived.

    >>> from minembed.data.table import Row
    >>> rows = [TextRow(i, "x", Row("x", {}, "")) for i in range(5)]
    >>> blocks = [(rows[:3], np.arange(3)), (rows[3:], np.arange(3, 5))]
    >>> [vectors.tolist() for _, vectors in recut(blocks, [1, 4])]
    [[0], [1, 2, 3, 4]]
    """
    incoming, rows, vectors = iter(pairs), list[TextRow](), list[Vectors]()
    for size in sizes:
        while len(rows) < size:
            some, more = next(incoming)
            rows += some
            vectors.append(more)
        joined = _joined(vectors)
        yield rows[:size], joined[:size]
        rows, vectors = rows[size:], [joined[size:]]


def _joined(parts: Sequence[Vectors]) -> Vectors:
    parts = [part for part in parts if len(part)] or parts[:1]
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts)
    return [vector for part in parts for vector in part]
