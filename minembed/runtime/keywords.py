"""Options that one function takes for another: written there once, shown and checked by name here."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from minembed.errors import InputTypeError

Function = TypeVar("Function", bound=Callable[..., Any])


def takes_options_of(target: Callable[..., Any], options: type) -> Callable[[Function], Function]:
    """Let a function take `**options`: the keyword arguments of `target` that the TypedDict `options` names.

    `help` and `inspect.signature` show each with the default that it has in `target`.  Any other keyword argument is
    refused before the function runs, by an InputTypeError (a TypeError) that names it.

    >>> from typing import TypedDict
    >>> Options = TypedDict("Options", {"precision": str}, total=False)
    >>> def encode(text, *, precision="float32", device="cpu"):
    ...     return precision
    >>> @takes_options_of(encode, Options)
    ... def encode_query(text, **options):
    ...     return encode("query: " + text, **options)
    >>> inspect.signature(encode_query)
    <Signature (text, *, precision='float32')>
    >>> encode_query("why", precison="int8")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    minembed.errors.InputTypeError: encode_query() got an unexpected keyword argument 'precison'; did you mean ...?
    """
    described = inspect.signature(target).parameters
    shown = [described[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in options.__annotations__]

    def decorate(function: Function) -> Function:
        own = inspect.signature(function)
        named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        full = own.replace(parameters=[*named, *shown])

        @wraps(function)
        def checked(*args: Any, **kwargs: Any) -> Any:
            for name in kwargs:
                if name not in full.parameters:
                    raise InputTypeError(_refusal(function.__qualname__, name, list(full.parameters)))
            return function(*args, **kwargs)

        vars(checked)["__signature__"] = full
        return cast(Function, checked)

    return decorate


def _refusal(function: str, name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"{function}() got an unexpected keyword argument {name!r}; {hint}"
