"""Which implementation serves an operation: a table of names, looked up late, so that NumPy is enough."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, get_args

from minembed.errors import BackendError, BackendWarning, InputError, MinembedError, MissingExtraError, warn
from minembed.runtime.interrupts import not_swallowed
from minembed.types import Backend

if TYPE_CHECKING:
    from minembed.transformer.config import Config
    from minembed.transformer.params import Params
    from minembed.transformer.tier import Tier

TABLE = {  # operation -> backend -> "module:function"
    "encoder": {"numpy": "minembed.transformer.tier:prepare", "numba": "minembed.kernels.encoder.tier:prepare"},
    "scan": {"numpy": "minembed.search.scan:scan_numpy", "numba": "minembed.kernels.topk.tier:scan"},
    "rescore": {"numpy": "minembed.search.scan:rescore_numpy", "numba": "minembed.kernels.topk.tier:rescore"},
    "adamw": {"numpy": "minembed.train.optim:update", "numba": "minembed.kernels.training.optimizer:update"},
    "adamw_replay": {"numpy": "minembed.train.optim:replay", "numba": "minembed.kernels.training.optimizer:replay"},
    "training": {"numba": "minembed.kernels.training.operations:StepOperations"},
    "compile": {"numba": "minembed.kernels.encoder.tier:compile_kernels"},
    "is_compiled": {"numba": "minembed.kernels.encoder.tier:is_compiled"},
    "describe": {"numba": "minembed.kernels.encoder.tier:describe"},
    "bfloat16_gain": {"numba": "minembed.kernels.encoder.fastest:bfloat16_gain"},
    "describe_tiles": {"numba": "minembed.kernels.tiles.permission:describe"},
}
BACKENDS = tuple(name for name in get_args(Backend) if name != "auto")  # the reference first
WORTH_CALLING = 100_000
WORTH_LOADING = 200_000_000  # multiplications: NumPy has done them before Numba is loaded
NUMBA_AT_LEAST = (0, 62)  # the first with LLVM 20, whose vector functions the kernels call


def choose(backend: str) -> str:
    """Turn "auto" into the name of a backend that is installed; raises InputError for one that does not exist.

    >>> choose("numpy")
    'numpy'
    """
    if backend == "auto":
        return "numba" if find_spec("numba") else "numpy"
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is unknown; known: auto, {', '.join(BACKENDS)}")
    return backend


def prepare(
    backend: str, params: "Params", config: "Config", dtype: str, keep_params: bool = False
) -> tuple[str, "Tier"]:
    """Prepare an encoder: the name of the backend that computes, and the tier.

    `keep_params` keeps the NumPy tier beside kernels, whose weights are packed: it shares the parameters' memory.
    Where the numba tier cannot be had (not installed, too old, broken, or its kernels fail their test), a
    BackendWarning says why, and the NumPy tier does the same work.  Errors of the arguments are raised.
    """
    backend = choose(backend)
    if backend == "numpy":
        return backend, resolve("encoder", "numpy")(params, config, dtype)
    try:
        with not_swallowed():
            check_numba()
            return backend, resolve("encoder", "numba")(params, config, dtype, keep_params)
    except InputError:
        raise
    except Exception as error:  # whatever a broken installation throws
        _warn(error)
        return "numpy", resolve("encoder", "numpy")(params, config, dtype)


def bfloat16_gain(backend: str) -> str:
    """Why a backend encodes faster in bfloat16 than in float32 on this CPU; "" where it does not.

    >>> bfloat16_gain("numpy")
    ''
    """
    if choose(backend) == "numpy":
        return ""
    try:
        with not_swallowed():
            check_numba()
            return str(resolve("bfloat16_gain", "numba")())
    except InputError:  # of the settings in the environment
        raise
    except Exception:  # whatever a broken installation throws; who prepares an encoder hears of it
        return ""


def serving(backend: str, work: int) -> str:
    """The backend that serves an operation of so many multiplications; "auto" is NumPy where there are too few to
    load the kernels for.

    A BackendWarning says so where the numba tier was wanted and cannot be had.

    >>> serving("auto", 1000)
    'numpy'
    """
    loaded = "minembed.kernels.topk.tier" in sys.modules
    if backend == "auto" and work < (WORTH_CALLING if loaded else WORTH_LOADING):
        return "numpy"
    chosen = choose(backend)
    if chosen == "numpy" or loaded:
        return chosen
    try:
        with not_swallowed():
            check_numba()
            import_module("minembed.kernels.topk.tier")
            return chosen
    except InputError:  # of the settings in the environment
        raise
    except Exception as error:  # whatever a broken installation throws
        _warn(error)
        return "numpy"


def _warn(error: Exception) -> None:
    message = f"{error}" if isinstance(error, MinembedError) else f"{type(error).__name__}: {error}"
    warn(f"the numba tier cannot be used, NumPy computes instead: {message}", BackendWarning)


def check_numba() -> None:
    """Raise MissingExtraError where Numba is not installed, BackendError where it is too old or may not compile.

    >>> check_numba() if find_spec("numba") else None
    """
    if not find_spec("numba"):
        raise MissingExtraError("numba is not installed: pip install 'minembed[numba]'")
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
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
