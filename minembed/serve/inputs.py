"""The inputs of a request: a text, several texts, or lists of token ids, if the server accepts these."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minembed.serve.errors import Refusal
from minembed.serve.settings import Settings


@dataclass(frozen=True, slots=True)
class Inputs:
    """The items of a request."""

    items: Sequence[Any]  # texts, or lists of token ids
    of_ids: bool = False
    is_single: bool = False  # whether it was a single item, not a list


def as_inputs(value: Any, name: str, settings: Settings) -> Inputs:
    """Parse inputs: str, [str], [int] or [[int]].  Raises Refusal if they are empty, mixed or too many.

    >>> as_inputs("a", "input", Settings(models=("m",)))
    Inputs(items=['a'], of_ids=False, is_single=True)
    """
    if isinstance(value, str):
        check_texts([value], name)
        return Inputs([value], is_single=True)
    check_count(value, name, settings.max_items if not value or not isinstance(value[0], int) else len(value))
    kinds = {type(item) for item in value}
    if kinds == {str}:
        check_texts(value, name)
        return Inputs(value)
    if len(kinds) > 1:
        raise Refusal(400, f"`{name}` mixes texts and token ids: send one kind", param=name)
    if not settings.accept_token_ids:
        remedy = "ids of another tokenizer would give wrong vectors: send texts, or start with --accept-token-ids"
        raise Refusal(400, f"`{name}` holds token ids; {remedy}", param=name)
    single = kinds == {int}
    lists = [value] if single else value
    if not all(lists):
        raise Refusal(400, f"`{name}` has an empty list", "empty", name)
    return Inputs(lists, of_ids=True, is_single=single)


def check_count(items: Sequence[Any], name: str, most: int) -> None:
    """Refuse a list that is empty, or has too many items.

    >>> check_count([1, 2, 3], "texts", 2)
    Traceback (most recent call last):
    minembed.serve.errors.Refusal: `texts` has 3 items: send up to 2 a request
    """
    if not items:
        raise Refusal(400, f"`{name}` cannot be empty", "empty", name)
    if len(items) > most:
        raise Refusal(400, f"`{name}` has {len(items)} items: send up to {most} a request", param=name)


def check_texts(texts: Sequence[str], name: str) -> None:
    """Refuse a text that is empty.

    >>> check_texts(["a", ""], "input")
    Traceback (most recent call last):
    minembed.serve.errors.Refusal: `input` cannot be empty: item 1 is
    """
    if not all(texts):
        where = f": item {texts.index('')} is" if len(texts) > 1 else ""
        raise Refusal(400, f"`{name}` cannot be empty{where}", "empty", name)
