"""Compiled kernels on disk: compiled once per machine, and again whenever anything that they depend on changes.

Numba's own cache checks the modification time of one file and would keep kernels whose tiles, in another, have changed.
Here the folder's name is a hash of every source that compiled code comes from (all kernels, and the modules outside
whose constants are compiled in), of the versions of all compilers and of what MINEMBED_DISABLE excludes; Numba adds the
CPU.  Kernels whose code depends on the permissions of a process, as with tiles, have a folder for each such variant.
It is in minembed's cache folder, or in NUMBA_CACHE_DIR if the user has set that.  A folder that cannot be written or a
damaged file only means compiling again; for the folder there is a warning.  While one process compiles, others wait
(once.py).

Loading is cheap too: Numba would first load its whole compiler, and with each function the bitcode for linking others
with it, some 50 MB in all.  Here only the machine code is loaded, if the addresses of all that it calls are known.

LLVM asks Python for that code in a ctypes callback, which ignores exceptions: after a Ctrl-C there, LLVM would end the
process.  So signals are delayed until a function is loaded or compiled (interrupts.py).
"""

import hashlib
import sys
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core import config
from numba.core.caching import CompileResultCacheImpl, FunctionCache, _CacheLocator
from numba.core.runtime import _nrt_python

from minembed.errors import SourceError
from minembed.kernels.compiled.once import alone, can_be_kept, warn_of_no_folder
from minembed.kernels.compiled.sources import stamp_of
from minembed.kernels.vectors.target import TARGET
from minembed.runtime.folders import cache_folder
from minembed.runtime.interrupts import held_back
from minembed.version import __version__


@cache
def stamp() -> str:
    """A name for everything that the machine code depends on, except the CPU."""
    versions = (numba.__version__, llvmlite.__version__, np.__version__, sys.version)
    return stamp_of(*versions, *sorted(TARGET.disabled))


def folder(variant: str = "") -> Path:
    """The folder of this version's compiled kernels; each variant has a separate one."""
    base = Path(config.CACHE_DIR) if config.CACHE_DIR else cache_folder() / "kernels"
    return base / f"minembed-{__version__}-{_stamp_of(variant)}"


def _stamp_of(variant: str) -> str:
    return f"{stamp()}-{variant}" if variant else stamp()


class _Locator(_CacheLocator):
    def __init__(self, variant: str) -> None:
        self._variant = variant

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_Locator":
        return cls("")

    def get_cache_path(self) -> str:
        return str(folder(self._variant))

    def get_source_stamp(self) -> str:
        return _stamp_of(self._variant)

    def get_disambiguator(self) -> str:
        return _stamp_of(self._variant)


class _Impl(CompileResultCacheImpl):
    def __init__(self, py_func: Any, variant: str = "") -> None:
        self._lineno = py_func.__code__.co_firstlineno
        self._locator = _Locator(variant)
        self._filename_base = self.get_filename_base(py_func.__qualname__, getattr(sys, "abiflags", ""))

    def reduce(self, cres: Any) -> Any:
        (name, kind, (code, bitcode)), *rest = super().reduce(cres)
        return ((name, kind, (code, _names(bitcode, cres.fndesc.llvm_cpython_wrapper_name))), *rest)

    def rebuild(self, target_context: Any, payload: Any) -> Any:
        if not _all_known(payload[0][2][1]):
            target_context.refresh()
        return super().rebuild(target_context, payload)


def _names(bitcode: bytes, entry: str) -> bytes:
    """A module reduced to its entry, as an empty function, and the external functions that it calls."""
    outside = [f.name for f in llvm.parse_bitcode(bitcode).functions if f.is_declaration]
    lines = [f'declare void @"{name}"()' for name in outside if not name.startswith("llvm.")]
    return llvm.parse_assembly("\n".join([*lines, f'define void @"{entry}"() {{ ret void }}'])).as_bitcode()


def _all_known(names: bytes) -> bool:
    """Whether LLVM finds every external function; it ends the process if one is missing."""
    for name, address in getattr(_nrt_python, "c_helpers", {}).items():  # Numba adds these with its compiler
        llvm.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
    wanted = (f.name for f in llvm.parse_bitcode(names).functions if f.is_declaration)
    return all(llvm.address_of_symbol(name) for name in wanted)


class _Cache(FunctionCache):
    def __init__(self, py_func: Any, variant: str = "") -> None:
        self._impl_class = partial(_Impl, variant=variant)
        super().__init__(py_func)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        with held_back(firmly=True):
            try:
                with self._guard_against_spurious_io_errors():
                    return self._load_overload(sig, target_context)
            except Exception:  # any damage of the file: compiling replaces it
                target_context.refresh()
                return None

    def save_overload(self, sig: Any, data: Any) -> None:
        for attempt in (lambda: None, self.flush):  # a damaged index is replaced by an empty one
            try:
                attempt()
                super().save_overload(sig, data)
                return
            except Exception:  # read-only, full, not allowed, damaged
                continue
        self.disable()  # the kernels live as long as the process


def on_disk(dispatcher: Any, variant: str = "") -> Any:
    """Store the machine code of a compiled function on disk; without a folder it is compiled in each process.

    Only for functions that Python calls: others could not be linked with one that is loaded from disk.
    `variant` names what its code depends on beside sources, versions and CPU ("amx" or "emulated", if it uses tiles):
    processes that differ in it never load each other's code.
    """
    compiler, reason = dispatcher.compile, ""
    try:
        dispatcher._cache = _Cache(dispatcher.py_func, variant)
    except AttributeError:  # a Numba that keeps its cache elsewhere
        return dispatcher
    except SourceError as error:  # no home folder
        reason = str(error)
    dispatcher.compile = partial(_compile, dispatcher, compiler, reason)
    return dispatcher


def _compile(dispatcher: Any, compiler: Callable[[Any], Any], reason: str, signature: Any) -> Any:
    """Compile for new types as Numba does, but in one process at a time; warns if the code cannot be stored."""
    if reason:
        warn_of_no_folder(reason)
    kept = dispatcher._cache
    if not isinstance(kept, _Cache) or is_stored(dispatcher, signature) or not can_be_kept(Path(kept.cache_path)):
        with held_back():
            return compiler(signature)
    key = repr((kept._impl.filename_base, kept._index_key(signature, dispatcher.targetctx.codegen())))
    lock = Path(kept.cache_path) / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.lock"
    with alone(lock, dispatcher.py_func.__name__), held_back():
        return compiler(signature)  # it first checks again whether the code is on disk


def is_stored(dispatcher: Any, signature: tuple[Any, ...]) -> bool:
    """Whether a function is compiled for these types: in this process, or on disk for this CPU."""
    if signature in dispatcher.overloads:
        return True
    with held_back():  # the first time it starts Numba's compiler
        try:
            kept = dispatcher._cache
            return kept._index_key(signature, dispatcher.targetctx.codegen()) in kept._cache_file._load_index()
        except Exception:  # missing or damaged: it will be compiled
            return False
