"""Compiled functions from a library that was built with the wheel: kernels without Numba and without compiling.

The library for this CPU's instruction set is inside the package.  Before it is opened its manifest is read, and
compared with this version, this machine, these sources and the bytes of the file.
"""

import ctypes
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from minembed.errors import BackendError
from minembed.kernels.compiled.calling import Compiled, caller, words_in
from minembed.kernels.compiled.sources import hashes_of, in_checkout
from minembed.kernels.compiled.variants import VARIANTS, variant_of
from minembed.kernels.entries import ENTRIES
from minembed.kernels.libraries import ADVICE, NATIVE, Library, open_library, read_libraries
from minembed.kernels.vectors.instruction_sets import LANES, Target
from minembed.kernels.vectors.target import TARGET


@dataclass(frozen=True, slots=True)
class Native:
    """The entries of a variant in open libraries; those that Python has asked for are cached."""

    variant: str
    about: Library
    libraries: Mapping[str, ctypes.CDLL] = field(repr=False)  # by variant: its own, and those that share code with it
    functions: dict[str, Callable[..., Any]] = field(default_factory=dict, repr=False, compare=False)

    @property
    def backend(self) -> str:
        """The backend's name."""
        return "native"

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """The function with a name in ENTRIES.

        Raises BackendError where the library has no such entry.
        """
        if name not in self.functions:
            self.functions[name] = caller(self._entry(name))
        return self.functions[name]

    def bind(self, name: str, fixed: Mapping[int, Any]) -> Callable[..., Any]:
        """The function with some arguments fixed, by their positions; it takes the others, in order.

        Raises BackendError if the library has no such entry, InputTypeError for an argument of another kind.
        """
        return caller(self._entry(name), fixed)

    def compile(self, names: Iterable[str]) -> None:
        """Look functions up; there is nothing to compile.

        Raises BackendError where the library has no such entry.
        """
        for name in names:
            self[name]

    def is_compiled(self, names: Iterable[str]) -> bool:
        """Whether the library has these functions."""
        return all(name in self.about.entries for name in names)

    def __reduce__(self) -> tuple[Any, ...]:
        return open_native, ()  # another process opens the library that fits its CPU

    def _entry(self, name: str) -> Compiled:
        try:
            kinds, shape = ENTRIES[name].kinds, self.about.entries[name]
            function = self.libraries[shape.shared or self.variant][f"minembed_{name}"]
        except (KeyError, AttributeError):
            raise BackendError(f"{self.about.file} has no compiled {name}: {ADVICE}") from None
        if shape.words != words_in(kinds):
            raise BackendError(f"{self.about.file} has another {name}, of {shape.words} words: {ADVICE}")
        function.argtypes, function.restype = [ctypes.c_char_p], ctypes.c_int64
        return Compiled(name, kinds, function, shape.returns)


def constants_of(target: Target) -> dict[str, int]:
    """Constants compiled into a library that Python needs too, to pack weights and allocate buffers.

    >>> constants_of(Target("x86_64", frozenset()))["panel"]
    16
    """
    rows, vectors = target.tile
    sizes = {"panel": LANES * vectors, "tile_rows": rows}
    return sizes | {"byte_rows": target.byte_rows, "bfloat16_rows": target.bfloat16_rows}


@cache
def open_native(folder: Path = NATIVE) -> Native:
    """Open the library for this CPU, once per process.

    Raises BackendError if there is none, or it is damaged, or comes from other sources.
    """
    name = variant_of(TARGET)
    if name is None:
        compiler = "Numba compiles some where it is installed (pip install 'minembed[numba]')"
        raise BackendError(f"no kernels are compiled ahead of time for {TARGET.describe()}: {compiler}")
    return open_variant(name, folder)


def open_variant(name: str, folder: Path = NATIVE) -> Native:
    """Open the library of a variant, which this CPU must be able to run; raises like `open_native`."""
    libraries = read_libraries(folder)
    now = hashes_of(libraries.sources) if in_checkout() else libraries.sources
    if changed := [source for source in now if now[source] != libraries.sources[source]]:
        raise BackendError(f"{libraries.manifest} is older than {', '.join(changed[:3])}: run `make native` again")
    opened, own = {name: open_library(libraries, name)}, VARIANTS[name].target
    about, wanted = libraries.by_name[name], constants_of(own)
    if about.constants != wanted:
        raise BackendError(f"{about.file} has the constants {about.constants}, not {wanted}: {ADVICE}")
    if own.tile != TARGET.tile:
        raise BackendError(f"{about.file} packs by tiles of {own.tile}, but {TARGET.describe()} by {TARGET.tile}")
    for other in sorted({entry.shared for entry in about.entries.values()} - {"", name}):
        opened[other] = open_library(libraries, other)
    return Native(name, about, opened)
