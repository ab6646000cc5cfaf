"""The modules of the package, by their import names."""

import ast
import importlib
from importlib.util import find_spec

from places import ROOT

from minembed.errors import MissingExtraError

PACKAGES = {"minembed": ROOT / "minembed", "minembed.weights": ROOT / "weights", "minembed.kernels": ROOT / "kernels"}


def module_files():
    """Map the import name of every module to its file."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *(p for p in parts if p != "__init__")])] = path
    return found


FILES = module_files()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}

NEED_NUMBA = [] if find_spec("numba") else [name for name in FILES if name.startswith("minembed.kernels.")]


def imported(name):
    """A module; None for an integration whose framework is not installed: `make test-integrations` tests it."""
    try:
        return importlib.import_module(name)
    except MissingExtraError:
        if not name.startswith("minembed.integrations."):
            raise
        return None


_NAMES = [name for name in FILES if not name.endswith("__main__") and name not in NEED_NUMBA]
MODULES = {name: module for name in _NAMES if (module := imported(name)) is not None}
