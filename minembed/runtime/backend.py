"""The implementations of each operation: a table of names that are imported late, so that NumPy is enough."""

import logging
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from minembed.errors import BackendError, BackendWarning, InputError, MinembedError, MissingExtraError, warn
from minembed.runtime.interrupts import held_back, not_swallowed
from minembed.types import Backend

if TYPE_CHECKING:
    from minembed.transformer.config import Config
    from minembed.transformer.params import Params
    from minembed.transformer.tier import Tier

LOG = logging.getLogger("minembed")
TABLE = {  # operation -> backend -> "module:function"
    "encoder": {
        "numpy": "minembed.transformer.tier:prepare",
        "numba": "minembed.kernels.encoder.tier:prepare",
        "native": "minembed.kernels.native_tier:prepare",
    },
    "scan": {
        "numpy": "minembed.search.scan:scan_numpy",
        "numba": "minembed.kernels.topk.tier:scan",
        "native": "minembed.kernels.native_tier:scan",
    },
    "rescore": {
        "numpy": "minembed.search.scan:rescore_numpy",
        "numba": "minembed.kernels.topk.tier:rescore",
        "native": "minembed.kernels.native_tier:rescore",
    },
    "adamw": {
        "numpy": "minembed.train.optim:update",
        "numba": "minembed.kernels.training.optimizer:update",
        "native": "minembed.kernels.native_tier:update",
    },
    "adamw_replay": {
        "numpy": "minembed.train.optim:replay",
        "numba": "minembed.kernels.training.optimizer:replay",
        "native": "minembed.kernels.native_tier:replay",
    },
    "training": {
        "numba": "minembed.kernels.training.operations:StepOperations",
        "native": "minembed.kernels.native_tier:step_operations",
    },
    "load_native": {"native": "minembed.kernels.compiled.ahead_of_time:open_native"},
    "compile": {"numba": "minembed.kernels.encoder.tier:compile_kernels"},
    "is_compiled": {"numba": "minembed.kernels.encoder.tier:is_compiled"},
    "kept_in": {"numba": "minembed.kernels.compiled.cache:folder"},
    "describe": dict.fromkeys(("numba", "native"), "minembed.kernels.encoder.tier:describe"),
    "bfloat16_gain": dict.fromkeys(("numba", "native"), "minembed.kernels.encoder.fastest:bfloat16_gain"),
    "describe_tiles": dict.fromkeys(("numba", "native"), "minembed.kernels.tiles.permission:describe"),
}
BACKENDS = tuple(name for name in get_args(Backend) if name != "auto")  # the reference first
NAMES = {"numba": "Numba", "numpy": "NumPy"}
KERNELS_COME_BY = "install a wheel of this platform, run `make native` in a checkout, or pip install 'minembed[numba]'"
WORTH_CALLING = 100_000
WORTH_LOADING = 200_000_000  # multiplications: NumPy does fewer before Numba is loaded
NUMBA_AT_LEAST = (0, 62)  # the first with LLVM 20, whose vector functions the kernels call
NUMBA_SETTINGS = ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "NUMBA_ENABLE_AVX")  # the CPU that Numba compiles for


def choose(backend: str) -> str:
    """Turn "auto" into the name of the fastest backend installed; raises InputError for an unknown backend.

    Whether it works is only found out when it is loaded.

    >>> choose("numpy")
    'numpy'
    """
    if backend == "auto":
        return "native" if has_native() else "numba" if find_spec("numba") else "numpy"
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is unknown; known: auto, {', '.join(BACKENDS)}")
    return backend


def has_native() -> bool:
    """Whether this installation has compiled kernels, and no setting asks Numba to compile for a certain CPU.

    >>> has_native() in (True, False)
    True
    """
    places = _places_of("minembed.kernels")
    return any((Path(place) / "native" / "manifest.json").is_file() for place in places) and not numba_settings()


def _places_of(package: str) -> list[str]:
    """The folders of a package; its finder, which takes 0.1 ms, is only asked before the package is imported."""
    imported = sys.modules.get(package)
    if imported is not None:
        return list(imported.__path__)
    found = find_spec(package)
    return list(found.submodule_search_locations or ()) if found else []


def numba_settings() -> list[str]:
    """The environment variables that make Numba compile for another CPU than this one.

    >>> [name for name in numba_settings() if name not in os.environ]
    []
    """
    return [name for name in NUMBA_SETTINGS if os.environ.get(name)]


def prepare(
    backend: str, params: "Params", config: "Config", dtype: str, keep_params: bool = False
) -> tuple[str, "Tier"]:
    """Prepare an encoder: returns the name of the backend that computes, and the tier.

    `keep_params` keeps the NumPy tier beside kernels, whose weights are packed: it shares the parameters' memory.
    If compiled kernels cannot be used (not installed, too old, broken, for another CPU, or their test fails), a
    BackendWarning says why, and the next slower backend does the same work.  Errors of the arguments are raised.
    """
    for chosen in _from(choose(backend)):
        if chosen == "numpy":
            break
        try:
            with not_swallowed():
                check(chosen)
                return chosen, resolve("encoder", chosen)(params, config, dtype, keep_params)
        except InputError:
            raise
        except Exception as error:  # a broken installation may raise anything
            _warn(chosen, error)
    if backend == "auto":
        LOG.info("computing with NumPy, several times slower than compiled kernels: %s", KERNELS_COME_BY)
    return "numpy", resolve("encoder", "numpy")(params, config, dtype)


def bfloat16_gain(backend: str) -> str:
    """Why a backend encodes faster in bfloat16 than in float32 on this CPU; "" if it does not.

    >>> bfloat16_gain("numpy")
    ''
    """
    chosen = choose(backend)
    if chosen == "numpy":
        return ""
    try:
        with not_swallowed():
            check(chosen)
            return str(resolve("bfloat16_gain", chosen)())
    except InputError:  # of the settings in the environment
        raise
    except Exception:  # a broken installation may raise anything; `prepare` warns about it
        return ""


def serving(backend: str, work: int) -> str:
    """The backend for an operation of `work` multiplications; "auto" is NumPy if loading the kernels takes longer.

    A BackendWarning says so if compiled kernels were wanted and cannot be used.

    >>> serving("auto", 1000)
    'numpy'
    """
    if backend == "auto" and work < WORTH_CALLING:
        return "numpy"
    first = choose(backend)
    if backend == "auto" and first == "numba" and work < WORTH_LOADING and not _is_loaded(first):
        return "numpy"
    if first == "numpy" or _is_loaded(first):  # before others are looked for on disk
        return first
    for chosen in _from(first):
        if chosen == "numpy" or _is_loaded(chosen):
            return chosen
        try:
            with not_swallowed():
                check(chosen)
                import_module(resolve("scan", chosen).__module__)
                return chosen
        except InputError:  # of the settings in the environment
            raise
        except Exception as error:  # a broken installation may raise anything
            _warn(chosen, error)
    return "numpy"


def _from(backend: str) -> tuple[str, ...]:
    """A backend and its replacements; Numba only if it is installed, since one warning is enough."""
    if backend == "native":
        return (backend, "numba", "numpy") if find_spec("numba") else (backend, "numpy")
    return (backend,) if backend == "numpy" else (backend, "numpy")


def _is_loaded(backend: str) -> bool:
    if backend == "native":
        return "minembed.kernels.native_tier" in sys.modules
    return "numba" in sys.modules and "minembed.kernels.topk.tier" in sys.modules


def _warn(backend: str, error: Exception) -> None:
    message = f"{error}" if isinstance(error, MinembedError) else f"{type(error).__name__}: {error}"
    instead = NAMES[_from(backend)[1]]
    warn(f"the {backend} tier cannot be used, {instead} computes instead: {message}", BackendWarning)


def check(backend: str) -> None:
    """Raise a MinembedError, which says why, if a backend cannot be used.

    >>> check("numpy")
    """
    if backend == "numba":
        check_numba()
    elif backend == "native":
        resolve("load_native", "native")()


def check_numba() -> None:
    """Raise MissingExtraError if Numba is not installed, BackendError if it is too old or must not compile.

    >>> check_numba() if find_spec("numba") else None
    """
    if not find_spec("numba"):
        raise MissingExtraError("numba is not installed: pip install 'minembed[numba]'")
    with held_back():
        import numba
    version = tuple(int(part) for part in numba.__version__.split(".")[:2])
    if version < NUMBA_AT_LEAST:
        wanted = ".".join(map(str, NUMBA_AT_LEAST))
        raise BackendError(f"numba {numba.__version__} is too old: {wanted} or later is needed")
    if getattr(numba.config, "DISABLE_JIT", False):
        raise BackendError("NUMBA_DISABLE_JIT is set, and the kernels exist only compiled")


def resolve(operation: str, backend: str = "auto") -> Callable[..., Any]:
    """Find the function that implements an operation.

    Raises InputError for an unknown operation or backend, or for a backend that lacks the operation.

    >>> resolve("encoder", "numpy").__module__
    'minembed.transformer.tier'
    """
    if operation not in TABLE:
        raise InputError(f"operation {operation!r} is unknown; known: {', '.join(TABLE)}")
    backend, implementations = choose(backend), TABLE[operation]
    if backend not in implementations:
        raise InputError(f"operation {operation!r} has no backend {backend!r}; it has {', '.join(implementations)}")
    module, name = implementations[backend].split(":")
    if module not in sys.modules:
        with held_back():  # it may import Numba
            import_module(module)
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
