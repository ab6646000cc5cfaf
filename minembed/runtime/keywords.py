"""Keyword options: written once for functions that pass them on, and a misspelt one gets a suggestion."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from minembed.errors import InputTypeError

Function = TypeVar("Function", bound=Callable[..., Any])


def takes_options_of(target: Callable[..., Any], options: type) -> Callable[[Function], Function]:
    """Let a function take `**options`: the keyword arguments of `target` that the TypedDict `options` names.

    `help` and `inspect.signature` show each with its default in `target`.  Any other keyword argument raises an
    InputTypeError (a TypeError) that names it, before the function runs.

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
        return cast(Function, _checking(function, full))

    return decorate


def takes_options(function: Function) -> Function:
    """Check the arguments of a function with keyword-only options before it runs.

    Raises InputTypeError (a TypeError) for an unknown option, and for one that was given without its name; the message
    says what to write.

    >>> @takes_options
    ... def encode(texts, *, precision="float32"):
    ...     return precision
    >>> encode("why", precison="int8")
    Traceback (most recent call last):
    minembed.errors.InputTypeError: encode() got an unexpected keyword argument 'precison'; did you mean 'precision'?
    >>> encode("why", "int8")
    Traceback (most recent call last):
    minembed.errors.InputTypeError: encode() takes texts as positional; name the options: precision=
    """
    return cast(Function, _checking(function, inspect.signature(function)))


def _checking(function: Callable[..., Any], full: inspect.Signature) -> Callable[..., Any]:
    positional = [p for p in full.parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = [name for name, p in full.parameters.items() if p.kind is p.KEYWORD_ONLY]

    def check(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for name in kwargs:
            if name not in full.parameters:
                raise InputTypeError(_refusal(function.__qualname__, name, list(full.parameters)))
        if len(args) > len(positional) and by_name:
            raise InputTypeError(_positional(function.__qualname__, positional, by_name))

    @wraps(function)
    def checked(*args: Any, **kwargs: Any) -> Any:
        check(args, kwargs)
        return function(*args, **kwargs)

    @wraps(function)
    async def checked_coroutine(*args: Any, **kwargs: Any) -> Any:
        check(args, kwargs)
        return await function(*args, **kwargs)

    chosen = checked_coroutine if inspect.iscoroutinefunction(function) else checked
    vars(chosen)["__signature__"] = full
    return chosen


def _positional(function: str, positional: list[inspect.Parameter], by_name: list[str]) -> str:
    taken = " and ".join(p.name for p in positional if p.name not in ("self", "cls"))
    options = ", ".join(f"{name}=" for name in by_name)
    return f"{function}() takes {taken} as positional; name the options: {options}"


def _refusal(function: str, name: str, known: list[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, 1)
    named = (other for other in known if other not in ("self", "cls"))
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(named)}"
    return f"{function}() got an unexpected keyword argument {name!r}; {hint}"
