"""The packages of the extra `viz`, imported when they are first needed."""

import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from minembed.errors import MissingExtraError
from minembed.runtime.interrupts import not_swallowed

LARGEST_SEED = 2**32 - 1  # that these packages accept


def scikit_learn(purpose: str) -> tuple[Any, Any]:
    """Import sklearn's manifold and cluster modules, or say what to install.

    >>> has("no such package")
    False
    """
    try:
        with not_swallowed():
            return import_module("sklearn.manifold"), import_module("sklearn.cluster")
    except ImportError as error:
        raise missing(purpose, "scikit-learn") from error


def umap_learn() -> Any:
    """Import umap, which compiles itself on its first run, or say what to install.

    >>> has("umap") in (True, False)
    True
    """
    try:
        with not_swallowed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about TensorFlow, which is not needed here
            return import_module("umap")
    except ImportError as error:
        raise missing("UMAP", "umap-learn") from error


def matplotlib() -> Any:
    """Import matplotlib, or say what to install.

    >>> has("matplotlib") in (True, False)
    True
    """
    try:
        with not_swallowed():
            return import_module("matplotlib")
    except ImportError as error:
        raise missing("a picture", "matplotlib") from error


def missing(purpose: str, package: str) -> MissingExtraError:
    """The error that names the extra.

    >>> str(missing("UMAP", "umap-learn"))
    "UMAP needs umap-learn: pip install 'minembed[viz]'; maps by pca in .html need nothing more"
    """
    remedy = "pip install 'minembed[viz]'; maps by pca in .html need nothing more"
    return MissingExtraError(f"{purpose} needs {package}: {remedy}")


def has(package: str) -> bool:
    """Whether a package is installed, without importing it.

    >>> has("numpy")
    True
    """
    try:
        return find_spec(package) is not None
    except ValueError:  # a module of that name without a spec is already imported
        return False
