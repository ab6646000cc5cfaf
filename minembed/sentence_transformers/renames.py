"""Keyword arguments that the reference has renamed, and still accepts under their old names."""

import logging
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from minembed.errors import InputTypeError

Function = TypeVar("Function", bound=Callable[..., Any])
LOG = logging.getLogger("minembed")


def takes_old_names(**renames: str) -> Callable[[Function], Function]:
    """Let a function accept keyword arguments under their old names as well; logs each at INFO.

    An old name with the new name "" belongs to an argument that has no effect any more.

    Raises InputTypeError if both names are given.

    >>> @takes_old_names(sentences="inputs")
    ... def encode(inputs):
    ...     return inputs
    >>> encode(sentences="a")
    'a'
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def renamed(*args: Any, **options: Any) -> Any:
            for old in renames.keys() & options.keys():
                new = renames[old]
                if not new:
                    LOG.info("%s() leaves %s= out: it changes nothing", function.__name__, old)
                    del options[old]
                    continue
                if new in options:
                    raise InputTypeError(f"{function.__name__}() got {old}= and {new}=: one by two names")
                LOG.info("%s() calls %s= by its new name, %s=", function.__name__, old, new)
                options[new] = options.pop(old)
            return function(*args, **options)

        return cast(Function, renamed)

    return decorate
