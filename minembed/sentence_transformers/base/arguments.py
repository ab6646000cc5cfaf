"""Arguments that several methods share: prompts, batches, options that the reference does not have."""

from collections.abc import Mapping
from functools import wraps
from typing import Any

import numpy as np

from minembed.errors import InputError, InputTypeError
from minembed.sentence_transformers.settings import call_limit


def heeds_processing(function: Any) -> Any:
    """Let a method accept `processing_kwargs`, which set another limit in tokens for one call."""

    @wraps(function)
    def limited(self: Any, *args: Any, processing_kwargs: Any = None, **options: Any) -> Any:
        limit = call_limit(processing_kwargs)
        return function(self if limit is None else self._limited(limit), *args, **options)

    return limited


def as_prompts(given: Any) -> dict[str, Any]:
    """Prompts by name, none for None; raises InputTypeError unless `given` maps names to texts.

    >>> as_prompts({"query": "query: "}), as_prompts(None)
    ({'query': 'query: '}, {})
    """
    prompts = {} if given is None else given
    named = isinstance(prompts, Mapping) and all(isinstance(name, str) for name in prompts)
    if not named or not all(isinstance(text, str | None) for text in prompts.values()):
        raise InputTypeError(f'prompts must map names to texts, as in {{"query": "query: "}}; not {given!r}')
    return dict(prompts)


def as_batch(inputs: Any) -> Any:
    """A batch as a list or an iterator; arrays of text become lists.

    Raises InputTypeError for a dict.

    >>> as_batch(np.array(["a", "b"]))
    ['a', 'b']
    """
    if isinstance(inputs, dict):
        raise InputTypeError("inputs is dict: messages and images are not supported; give a str or a list of str")
    return inputs.tolist() if isinstance(inputs, np.ndarray) else inputs


def check_new_options(kwargs: dict[str, Any], known: tuple[str, ...], what: str) -> dict[str, Any]:
    """Raise InputError for unknown keyword arguments; `task` is accepted and has no effect.

    >>> check_new_options({"task": "query"}, ("truncation",), "encode")
    {}
    """
    for name in kwargs:
        if name not in (*known, "task"):
            raise InputError(f"{what}() got {name}=, which it does not use; beyond the reference's: {', '.join(known)}")
    return {name: value for name, value in kwargs.items() if name != "task"}
