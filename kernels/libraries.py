"""The compiled libraries of the kernels beside this module: reading their manifest, and opening a checked one.

`make native` or building a wheel puts them there (kernels/ahead/); a checkout has none.  A library is only
opened if its bytes match the manifest.
"""

import ctypes
import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minembed.errors import BackendError
from minembed.version import __version__

SCHEMA = 2
NATIVE = Path(__file__).with_name("native")
MANIFEST = "manifest.json"
DETECTOR = "cpu"  # the library that queries the features of an x86 CPU
FAILED = -(1 << 63)  # returned by an entry that has failed
LARGEST = 1 << 20  # bytes of a manifest
ADVICE = "install minembed again, or run `make native` in its checkout"


def platform_here() -> str:
    """The platform of this process, as the manifest names it; "" if no libraries are built for it.

    >>> platform_here() in ("", "linux-x86_64", "linux-aarch64", "macos-arm64", "windows-x86_64")
    True
    """
    system = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, "")
    if sys.platform == "win32":
        machine = {"AMD64": "x86_64"}.get(os.environ.get("PROCESSOR_ARCHITECTURE", ""), "")
    else:
        machine = os.uname().machine
    name = f"{system}-{machine}"
    wide = sys.maxsize > 1 << 32 and sys.byteorder == "little"  # a 32-bit Python may run on a 64-bit system
    return name if wide and name in ("linux-x86_64", "linux-aarch64", "macos-arm64", "windows-x86_64") else ""


@dataclass(frozen=True, slots=True)
class EntryShape:
    """The signature of an entry: the number of its words, and whether it returns an int64."""

    words: int
    returns: bool
    shared: str = ""  # the name of the library that has it, if it is another variant's with the same code


@dataclass(frozen=True, slots=True)
class Library:
    """A library, as the manifest names it."""

    file: Path
    sha256: str
    constants: dict[str, int]
    entries: dict[str, EntryShape]


@dataclass(frozen=True, slots=True)
class Libraries:
    """The libraries of a folder for this machine."""

    manifest: Path
    sources: dict[str, str]  # their sources: names and hashes
    by_name: dict[str, Library]


def read_libraries(folder: Path = NATIVE) -> Libraries:
    """Read the manifest.

    Raises BackendError if there is none, if it is damaged, or if its libraries are for another version of minembed
    or another machine.
    """
    manifest = folder / MANIFEST
    try:
        with manifest.open("rb") as file:
            told = json.loads(file.read(LARGEST))
    except FileNotFoundError:
        raise BackendError(f"there are no compiled kernels here, in {folder}: {ADVICE}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BackendError(f"{manifest} could not be read ({error}): {ADVICE}") from None
    schema = told.get("schema") if isinstance(told, dict) else None
    if schema != SCHEMA:
        raise BackendError(f"{manifest} has the schema {schema!r}, not {SCHEMA}: {ADVICE}")
    for field, wanted in (("version", __version__), ("platform", platform_here())):
        if told.get(field) != wanted:
            raise BackendError(f"{manifest} is for the {field} {told.get(field)!r}, not {wanted!r}: {ADVICE}")
    try:
        libraries = {name: _library(folder, about) for name, about in told["libraries"].items()}
        sources = {_text(name): _text(value) for name, value in told["sources"].items()}
        shared = {entry.shared for library in libraries.values() for entry in library.entries.values()}
        if absent := shared - {"", *libraries}:
            raise ValueError(f"entries are in {', '.join(sorted(absent))}, which it does not name")
        return Libraries(manifest, sources, libraries)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackendError(f"{manifest} is damaged ({type(error).__name__}: {error}): {ADVICE}") from None


def open_library(libraries: Libraries, name: str) -> ctypes.CDLL:
    """Open a library, whose functions then run without the GIL.

    Raises BackendError if it is missing, its bytes have changed since it was built, or the system refuses it.
    """
    if name not in libraries.by_name:
        there = ", ".join(libraries.by_name)
        raise BackendError(f"{libraries.manifest} names no library {name!r}, only {there}: {ADVICE}")
    library = libraries.by_name[name]
    try:
        found = hashlib.sha256(library.file.read_bytes()).hexdigest()
    except OSError as error:
        raise BackendError(f"{library.file} could not be read ({error.strerror}): {ADVICE}") from None
    if found != library.sha256:
        raise BackendError(f"{library.file} is damaged, or not what {libraries.manifest} tells of: {ADVICE}")
    try:
        return ctypes.CDLL(str(library.file))
    except OSError as error:
        raise BackendError(f"the system does not open {library.file} ({error}): {ADVICE}") from None


def _library(folder: Path, about: dict[str, Any]) -> Library:
    name = _text(about["file"])
    if name != Path(name).name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no name of a file in its folder")
    constants = {_text(key): _number(value) for key, value in about["constants"].items()}
    return Library(
        folder / name, _text(about["sha256"]), constants, {n: _entry(e) for n, e in about["entries"].items()}
    )


def _entry(about: dict[str, Any]) -> EntryShape:
    returns = {"none": False, "int64": True}[_text(about["returns"])]
    return EntryShape(_number(about["words"]), returns, _text(about.get("in", "")))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no number")
    return value
