"""Pairs of texts for a cross-encoder: the accepted types, and the errors for others."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from minembed.errors import InputTypeError
from minembed.runtime.columns import column, is_table, missing


def as_pairs(pairs: Any) -> Iterable[Any]:
    """Accept an iterable of pairs; raises InputTypeError, which says what to write instead, for anything else.

    >>> list(as_pairs(zip(["a query"], ["a document"])))
    [('a query', 'a document')]
    >>> as_pairs({"a query": "a document"})
    Traceback (most recent call last):
    minembed.errors.InputTypeError: pairs is dict: give pairs.items()
    """
    kind = type(pairs).__name__
    if is_table(pairs):
        raise InputTypeError(f"pairs is {kind}: give two of its columns, as in zip(table[a], table[b])")
    if isinstance(pairs, Mapping):
        raise InputTypeError(f"pairs is {kind}: give pairs.items()")
    if isinstance(pairs, str | bytes) or not isinstance(pairs, Iterable):
        raise InputTypeError(f"pairs is {kind}; give a list of (query, document)")
    return column(pairs.tolist() if isinstance(pairs, np.ndarray) else pairs, "pairs", "(query, document)")


def is_one_pair(pairs: object) -> bool:
    """Whether a sequence begins with a text: then it is itself one pair, and not a list of pairs.

    >>> is_one_pair(["a query", "a document"]), is_one_pair([["a query", "a document"]]), is_one_pair([])
    (True, False, False)
    """
    return isinstance(pairs, Sequence) and not isinstance(pairs, str) and len(pairs) > 0 and isinstance(pairs[0], str)


def as_pair(pair: object, i: int) -> tuple[str, str]:
    """Check pair number i; raises InputTypeError, which names i, unless it is a pair of two str.

    >>> as_pair(["a query", "a document"], 0)
    ('a query', 'a document')
    """
    if isinstance(pair, Sequence) and not isinstance(pair, str) and len(pair) == 2:
        query, document = pair
        if isinstance(query, str) and isinstance(document, str):
            return query, document
        wrong = document if isinstance(query, str) else query
        if absent := missing(wrong):
            remedy = 'leave such pairs out, or use "" instead'
            raise InputTypeError(f"pairs[{i}] has a text that is missing ({absent}); {remedy}")
        raise InputTypeError(f"pairs[{i}] holds {type(wrong).__name__}: a pair is two str, a query and a document")
    raise InputTypeError(f"pairs[{i}] is {type(pair).__name__}: a pair is two str, a query and a document")
