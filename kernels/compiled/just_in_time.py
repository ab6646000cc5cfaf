"""Functions compiled by Numba on this machine when they are first used, and stored on disk."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from minembed.kernels.entries import ENTRIES
from minembed.runtime.interrupts import held_back


@cache
def _dispatcher(name: str) -> Any:
    entry = ENTRIES[name]
    with held_back():
        return getattr(import_module(f"minembed.kernels.{entry.module}"), entry.function)


def _signature(name: str) -> Any:
    with held_back():
        from minembed.kernels.compiled.numba_types import signature

    return signature(name)


@dataclass(frozen=True, slots=True)
class JustInTime:
    """The functions of kernels/entries.py, compiled by Numba.

    >>> JIT.backend
    'numba'
    """

    @property
    def backend(self) -> str:
        """The backend's name."""
        return "numba"

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """The function with a name in ENTRIES: Numba compiles it for the types that it is called with."""
        function: Callable[..., Any] = _dispatcher(name)
        return function

    def bind(self, name: str, fixed: Mapping[int, Any]) -> Callable[..., Any]:
        """The function with some arguments fixed, by their positions; it takes the others, in order."""
        function, filled = self[name], [fixed.get(i) for i in range(len(ENTRIES[name].kinds))]
        places = [i for i in range(len(filled)) if i not in fixed]

        def call(*given: Any) -> Any:
            arguments = filled.copy()
            for place, argument in zip(places, given, strict=True):
                arguments[place] = argument
            return function(*arguments)

        return call

    def compile(self, names: Iterable[str]) -> None:
        """Compile functions for the types in ENTRIES, or load them from disk."""
        for name in names:
            _dispatcher(name).compile(_signature(name))

    def is_compiled(self, names: Iterable[str]) -> bool:
        """Whether functions are loaded, or stored on disk for this CPU."""
        with held_back():
            from minembed.kernels.compiled.cache import is_stored

        return all(is_stored(_dispatcher(name), _signature(name)) for name in names)


JIT = JustInTime()
