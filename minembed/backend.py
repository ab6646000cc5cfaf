"""Which implementation serves an operation: a table of names, looked up late, so that NumPy is enough."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from minembed.errors import InputError

TABLE = {  # operation -> backend -> "module:function"
    "encoder": {"numpy": "minembed.encoder:prepare"},
    "attend": {"numpy": "minembed.ops:attend"},
    "gelu": {"numpy": "minembed.ops:gelu"},
    "layer_norm": {"numpy": "minembed.ops:layer_norm"},
    "linear": {"numpy": "minembed.ops:linear"},
    "softmax": {"numpy": "minembed.ops:softmax"},
    "top_k": {"numpy": "minembed.similarity:top_k_numpy"},
}
BACKENDS = ("numpy",)  # fastest last: "auto" takes the last one that is there


def choose(backend: str) -> str:
    """Turn "auto" into the name of a backend; raises InputError for one that does not exist.

    >>> choose("auto")
    'numpy'
    """
    if backend == "auto":
        return BACKENDS[-1]
    if backend not in BACKENDS:
        raise InputError(f"backend {backend!r} is unknown; known: auto, {', '.join(BACKENDS)}")
    return backend


def resolve(operation: str, backend: str = "auto") -> Callable[..., Any]:
    """Find the function that implements an operation.

    Raises InputError for an unknown operation or backend.

    >>> resolve("softmax", "numpy").__module__
    'minembed.ops'
    """
    if operation not in TABLE:
        raise InputError(f"operation {operation!r} is unknown; known: {', '.join(TABLE)}")
    module, name = TABLE[operation][choose(backend)].split(":")
    function: Callable[..., Any] = getattr(import_module(module), name)
    return function
