"""What a server says of its models: their names and their facts, and which of them a name means."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args

from minembed.errors import ServerError, SourceError
from minembed.types import Metric

KEY = "minembed"  # of the server's description of a model
MOST_TEXTS = 2048  # of a request, to servers that do not tell their limit


@dataclass(frozen=True, slots=True)
class Facts:
    """A server's description of a model."""

    dimension: int
    max_seq_length: int
    prompts: tuple[str, ...]
    similarity_fn_name: Metric
    max_items: int  # texts of a request
    max_body: int | None  # bytes of a request; None from servers that do not tell it
    others: Mapping[str, Any]


def full_name(name: str, listed: Iterable[str], url: str) -> str:
    """The listed name that a name means: itself, or the one of which it is the last part, if no other ends like it.

    >>> full_name("m", ["a/m", "b/n"], "http://...")
    'a/m'
    >>> full_name("m", ["a/m", "b/m"], "http://...")
    Traceback (most recent call last):
    minembed.errors.SourceError: http://... serves 2 models called 'm': give a full name, one of a/m, b/m
    """
    known = list(listed)
    if name in known:
        return name
    found = [full for full in known if full.rstrip("/").rpartition("/")[2] == name]
    if not found:
        raise SourceError(f"{url} serves no model {name!r}; it has {', '.join(known)}")
    if len(found) > 1:
        raise SourceError(
            f"{url} serves {len(found)} models called {name!r}: give a full name, one of {', '.join(found)}"
        )
    return found[0]


def listed_models(value: Any, url: str) -> dict[str, Facts]:
    """The embedding models that a server lists; raises ServerError if it is not a server of minembed.

    >>> told = {"dimension": 3, "max_seq_length": 9, "similarity_fn_name": "cosine"}
    >>> list(listed_models({"data": [{"id": "m", "minembed": told}]}, "http://..."))
    ['m']
    """
    try:
        found = {one["id"]: one[KEY] for one in value["data"] if KEY in one}
        if value["data"] and not found and not any(one.get("owned_by") == KEY for one in value["data"]):
            raise KeyError(KEY)
        return {
            str(name): Facts(
                int(told["dimension"]),
                int(told["max_seq_length"]),
                tuple(map(str, told.get("prompts", ()))),
                _metric(told["similarity_fn_name"]),
                int(told.get("max_items", MOST_TEXTS)),
                int(told["max_body"]) if "max_body" in told else None,
                dict(told),
            )
            for name, told in found.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        remedy = "connect works only with minembed serve; for other servers use the openai client"
        raise ServerError(f"{url} does not list its models as minembed does: {remedy}") from error


def _metric(name: object) -> Metric:
    for metric in get_args(Metric):
        if metric == name:
            return cast(Metric, metric)
    raise ValueError(name)
