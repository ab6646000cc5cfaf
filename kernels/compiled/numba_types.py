"""Numba's types of the arguments that kernels/entries.py names."""

from typing import Any

from numba import types

from minembed.kernels.entries import ENTRIES, Kind


def numba_type(kind: Kind) -> Any:
    """The type of one argument.

    >>> numba_type("float32[] const")
    Array(float32, 1, 'C', True, aligned=True)
    """
    if isinstance(kind, tuple):
        make: Any = types.Tuple
        return make([numba_type(part) for part in kind])
    name, _, readonly = kind.partition(" ")
    scalar, bracket, inside = name.partition("[")
    number = types.boolean if scalar == "bool" else getattr(types, scalar)
    return types.Array(number, 1 + inside.count(","), "C", readonly=bool(readonly)) if bracket else number


def signature(name: str) -> tuple[Any, ...]:
    """The types of all arguments of an entry.

    >>> len(signature("run_int8"))
    28
    """
    return tuple(numba_type(kind) for kind in ENTRIES[name].kinds)
