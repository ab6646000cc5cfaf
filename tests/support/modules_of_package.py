"""The modules of the package, by their import names."""

import ast
import importlib
from importlib.util import find_spec

from places import ROOT

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
MODULES = {
    name: importlib.import_module(name) for name in FILES if not name.endswith("__main__") and name not in NEED_NUMBA
}
