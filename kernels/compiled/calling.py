"""Calling an entry of a library: its arguments are checked, and become 64-bit words.

A library trusts every address it gets, so a wrong dtype, a view with gaps or too few elements would silently overwrite
memory.  The checks are those of Numba's dispatcher; neither checks that an array is long enough.

The words of a call are packed by a function that is generated for the entry, line by line: a loop over kinds would be
several times too slow for a short query.  Arguments that are always the same become words once.
"""

import ctypes
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from minembed.errors import BackendError, InputTypeError
from minembed.kernels.entries import Kind
from minembed.kernels.libraries import FAILED

FORMATS = {"int64": "q", "float32": "f4x", "float64": "d", "bool": "?7x"}
FLOATS = (float, int, np.floating)
DTYPES = ("int8", "int32", "int64", "uint8", "uint16", "float32", "float64")
NOTHING = ctypes.c_char * 0  # its from_buffer takes arrays of any length, if writeable and contiguous
WRONG = (TypeError, ValueError, AttributeError, OverflowError, struct.error)
address_of, buffer_of = ctypes.addressof, NOTHING.from_buffer


def words_in(kinds: Sequence[Kind]) -> int:
    """The number of words for arguments of these kinds.

    >>> words_in(("int64", "float32[,]", ("bool", "int8[] const")))
    7
    """
    return sum(words_in(kind) if isinstance(kind, tuple) else 1 + _dimensions(kind) for kind in kinds)


def words_of(kind: Kind, value: Any) -> bytes:
    """The words of one argument.

    Raises InputTypeError if it is of another kind.

    >>> words_of("int64", 2) + words_of("bool", True)
    b'\\x02\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00'
    """
    if isinstance(kind, tuple):
        if type(value) is not tuple or len(value) != len(kind):
            raise InputTypeError(f"should be a tuple of {len(kind)}, not {_told(value)}")
        return b"".join(words_of(part, x) for part, x in zip(kind, value, strict=True))
    if _dimensions(kind):
        return _words_of_array(kind, value)
    fits = {"bool": (bool, np.bool_), "int64": (int, np.integer, np.bool_)}.get(kind, FLOATS)
    if not isinstance(value, fits):
        raise InputTypeError(f"should be {kind}, not {_told(value)}")
    try:
        return struct.pack(f"<{FORMATS[kind]}", value)
    except (struct.error, OverflowError):
        raise InputTypeError(f"should be {kind}, which {value} does not fit") from None


@dataclass(frozen=True, slots=True)
class Compiled:
    """An entry of a library."""

    name: str
    kinds: Sequence[Kind]  # of its arguments
    function: Callable[[bytes], int]  # from words to its result, or FAILED
    returns: bool  # whether the result means anything


def caller(entry: Compiled, fixed: Mapping[int, Any] = MappingProxyType({})) -> Callable[..., Any]:
    """An entry as a function of its arguments, in order, except those that are fixed here, by their positions.

    It and the function raise InputTypeError for an argument of another kind, which names the entry and the argument.
    Fixed arguments live as long as the function; addresses of their arrays are read once, their contents may change.

    >>> caller(Compiled("twice", ("int64",), lambda words: 2 * words[0], True))(21)
    42
    """
    given = {i: _explained(entry, i, value) for i, value in fixed.items()}
    left = [i for i in range(len(entry.kinds)) if i not in given]
    scope: dict[str, Any] = {"kept": dict(fixed), "function": entry.function, **TOOLS}
    scope |= {"explain": partial(_explain, entry, left), "failed": partial(_failed, entry)}
    lines: list[str] = []
    parts: list[tuple[str, str]] = []  # struct's format, and what is packed
    for i, kind in enumerate(entry.kinds):
        if i in given:
            scope[f"w{i}"] = given[i]
            parts.append((f"{len(given[i])}s", f"w{i}"))
        else:
            parts += _lines_for(kind, f"a{i}", lines)
    scope["pack"] = struct.Struct("<" + "".join(form for form, _ in parts)).pack
    arguments, values = ", ".join(f"a{i}" for i in left), ", ".join(value for _, value in parts)
    body = "".join(f"        {line}\n" for line in (*lines, f"words = pack({values})"))
    text = (
        f"def {entry.name}({arguments}):\n    try:\n{body}"
        f"    except WRONG:\n        raise explain({arguments}) from None\n"
        "    result = function(words)\n    if result == FAILED:\n        raise failed()\n"
    )
    exec(text + "    return result\n" * entry.returns, scope)
    made: Callable[..., Any] = scope.pop(entry.name)  # otherwise the cycle would wait for the garbage collector
    return made


def _explain(entry: Compiled, left: Sequence[int], *values: Any) -> Exception:
    """Raise the error that names the wrong argument."""
    for i, value in zip(left, values, strict=True):
        _explained(entry, i, value)
    return BackendError(f"{entry.name} cannot be called with these arguments")  # never: all of them fit


def _explained(entry: Compiled, i: int, value: Any) -> bytes:
    try:
        return words_of(entry.kinds[i], value)
    except InputTypeError as error:
        raise InputTypeError(f"{entry.name}: argument {i} {error}") from None


def _failed(entry: Compiled) -> Exception:
    return BackendError(f"the compiled {entry.name} failed: something in it cannot be computed, as a division by zero")


def _lines_for(kind: Kind, value: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    """Append the lines that check an argument; yields what is packed for it."""
    if isinstance(kind, tuple):
        names = [f"{value}_{i}" for i in range(len(kind))]
        lines += [f"if type({value}) is not tuple: raise TypeError", f"({', '.join(names)},) = {value}"]
        for part, name in zip(kind, names, strict=True):
            yield from _lines_for(part, name, lines)
    elif _dimensions(kind):
        yield from _lines_for_array(kind, value, lines)
    else:
        if kind == "bool":
            lines.append(f"if {value} is not True and {value} is not False: {value} = as_bool({value})")
        elif kind != "int64":
            lines.append(f"if not isinstance({value}, FLOATS): raise TypeError")
        yield FORMATS[kind], value


def _lines_for_array(kind: str, value: str, lines: list[str]) -> Iterator[tuple[str, str]]:
    dtype, shape = _dtype_of(kind), [f"{value}n{i}" for i in range(_dimensions(kind))]
    find = f"of_constant({value})" if kind.endswith(" const") else f"address_of(buffer_of({value}))"
    lines += [
        f"if {value}.dtype != {dtype.name}: raise TypeError",
        f"({', '.join(shape)},) = {value}.shape",
        f"{value}p = {find}",
    ]
    if dtype.itemsize > 1:
        lines.append(f"if {value}p & {dtype.itemsize - 1}: raise TypeError")
    yield "Q", f"{value}p"
    for length in shape:
        yield "q", length


def _as_bool(value: Any) -> bool:
    if not isinstance(value, np.bool_):
        raise TypeError
    return bool(value)


def _dimensions(kind: Kind) -> int:
    return 0 if isinstance(kind, tuple) or "[" not in kind else 1 + kind.count(",")


def _dtype_of(kind: str) -> np.dtype[Any]:
    return np.dtype(kind.partition("[")[0])


def _address_of_constant(array: Any) -> int:
    """The address of an array that is only read."""
    if array.flags.writeable:
        return address_of(buffer_of(array))
    if not array.flags.c_contiguous:
        raise TypeError
    address: int = array.__array_interface__["data"][0]
    return address


def _words_of_array(kind: str, value: Any) -> bytes:
    dtype, dimensions, constant = _dtype_of(kind), _dimensions(kind), kind.endswith(" const")
    wanted = f"should be an array of {dtype.name} of {dimensions} dimension{'s' if dimensions > 1 else ''}"
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.ndim != dimensions:
        raise InputTypeError(f"{wanted}, not {_told(value)}")
    if not value.flags.c_contiguous or not value.flags.aligned:
        raise InputTypeError(f"{wanted} without gaps, in C order, aligned; it has the strides {value.strides}")
    if not constant and not value.flags.writeable:
        raise InputTypeError(f"{wanted} that can be written to, not a read-only one")
    return struct.pack(f"<Q{dimensions}q", value.__array_interface__["data"][0], *value.shape)


def _told(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"one of {value.dtype} of shape {value.shape}"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    return f"{type(value).__name__} ({value!r:.40})" if isinstance(value, int | float | str) else type(value).__name__


TOOLS = {  # called by the generated functions
    "WRONG": WRONG,
    "FAILED": FAILED,
    "FLOATS": FLOATS,
    "address_of": address_of,
    "buffer_of": buffer_of,
    "of_constant": _address_of_constant,
    "as_bool": _as_bool,
    **{name: np.dtype(name) for name in DTYPES},
}
