"""A folder of libraries and their manifest: a process for each variant, then linking, checking and counting."""

import ast
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np

from minembed.errors import BackendError
from minembed.kernels.ahead.platforms import Platform, link
from minembed.kernels.ahead.small_objects import emit_detector, emit_missing
from minembed.kernels.compiled.sources import hashes_of, sources
from minembed.kernels.compiled.variants import VARIANTS
from minembed.kernels.libraries import DETECTOR, MANIFEST, SCHEMA
from minembed.version import __version__


def variants_of(platform: Platform) -> list[str]:
    """The names of all variants in its wheel.

    >>> from minembed.kernels.ahead.platforms import PLATFORMS
    >>> variants_of(PLATFORMS["linux-aarch64"])
    ['dotprod', 'neon']
    """
    return [name for name, variant in VARIANTS.items() if variant.machine == platform.machine]


def build(platform: Platform, variants: Sequence[str], folder: Path) -> Path:
    """Build libraries, which replace the contents of the folder; returns the path of the manifest.

    Raises BackendError if something cannot be emitted or linked, or would need another library.
    """
    for name in variants:
        if name not in variants_of(platform):
            raise BackendError(f"{platform.name} has no variant {name!r}, only {', '.join(variants_of(platform))}")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".building-") as made:
        libraries = _libraries(platform, {name: _emitted(platform, name, Path(made)) for name in variants}, Path(made))
        if platform.machine == "x86_64":
            libraries[DETECTOR] = _detector(platform, Path(made))
        named = {n: h for about in libraries.values() for n, h in about.pop("sources").items()}
        told = {
            "schema": SCHEMA,
            "version": __version__,
            "sources": named,
            "code": code_of(named),
            "platform": platform.name,
            "toolchain": _toolchain(platform),
            "libraries": libraries,
        }
        manifest = Path(made) / MANIFEST
        _write(told, manifest)
        _replace(folder, [Path(made) / about["file"] for about in libraries.values()], manifest)
    return folder / MANIFEST


def code_of(names: Iterable[str]) -> dict[str, str]:
    """A hash of each of these sources, by their names in `sources`, without comments, docstrings and layout.

    >>> code_of(["kernels/no_such_file.py"])
    {'kernels/no_such_file.py': ''}
    """
    found = sources()
    return {name: _code(found[name]) if name in found and found[name].is_file() else "" for name in sorted(names)}


def _code(path: Path) -> str:
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()[:16]


def renewed(platform: Platform, folder: Path) -> bool:
    """Whether existing libraries are the same as building would make now; their manifest then names today's sources.

    They are if they are complete, and this version, the tools and the code have not changed since; comments may have.

    >>> from minembed.kernels.ahead.platforms import PLATFORMS
    >>> renewed(PLATFORMS["linux-x86_64"], Path("no-such-folder"))
    False
    """
    if not still_fit(platform, folder):
        return False
    told = json.loads((folder / MANIFEST).read_bytes())
    _write(told | {"sources": hashes_of(told["sources"])}, folder / MANIFEST)
    return True


def _write(told: dict[str, Any], manifest: Path) -> None:
    manifest.write_text(json.dumps(told, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def still_fit(platform: Platform, folder: Path) -> bool:
    """Whether existing libraries are complete, and this version, the tools and the code have not changed since.

    >>> from minembed.kernels.ahead.platforms import PLATFORMS
    >>> still_fit(PLATFORMS["linux-x86_64"], Path("no-such-folder"))
    False
    """
    try:
        told = json.loads((folder / MANIFEST).read_bytes())
        digests = {x["file"]: hashlib.sha256((folder / x["file"]).read_bytes()).hexdigest() == x["sha256"]
                   for x in told["libraries"].values()}  # fmt: skip
        fit = {*variants_of(platform)} <= {*told["libraries"]} and told["toolchain"] == _toolchain(platform)
        made_for = told["schema"], told["version"], told["platform"]
        fit = fit and made_for == (SCHEMA, __version__, platform.name)
        return fit and all(digests.values()) and told["code"] == code_of(told["sources"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _emitted(platform: Platform, name: str, made: Path) -> dict[str, Any]:
    """Emit the objects of a variant in a separate process; returns their record for the manifest."""
    objects = made / name
    objects.mkdir()
    command = [sys.executable, "-m", "minembed.kernels.ahead.emission", name, platform.name, str(objects)]
    if code := subprocess.run(command, env=_environment()).returncode:
        raise BackendError(f"the kernels of {name} could not be compiled (exit status {code}); see above")
    about: dict[str, Any] = json.loads((objects / "about.json").read_bytes())
    return about


def _libraries(platform: Platform, emitted: dict[str, dict[str, Any]], made: Path) -> dict[str, dict[str, Any]]:
    """Link the objects of all variants; an object that several have is only in the library of the last of them."""
    holders: dict[tuple[str, bytes], str] = {}
    libraries = {}
    for name, about in reversed(emitted.items()):
        own = []
        for file in sorted((made / name).glob("*.o")):
            holder = holders.setdefault((file.stem, file.read_bytes()), name)
            if holder == name:
                own.append(file)
            else:
                about["entries"][file.stem]["in"] = holder
        emit_missing(platform, made / name / "~missing.o")
        library = made / f"kernels-{name}{platform.suffix}"
        libraries[name] = _linked(platform, [*own, made / name / "~missing.o"], library) | about
    return libraries


def _environment() -> dict[str, str]:
    """The environment without the variables that would change the code."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA_", "MINEMBED_"))}
    return kept | {"PYTHONHASHSEED": "0"}


def _detector(platform: Platform, made: Path) -> dict[str, Any]:
    emit_detector(platform, made / "cpu.o")
    emit_missing(platform, made / "~missing.o")
    linked = _linked(platform, [made / "cpu.o", made / "~missing.o"], made / f"{DETECTOR}{platform.suffix}")
    return linked | {"constants": {}, "entries": {}, "sources": {}}


def _linked(platform: Platform, objects: Sequence[Path], library: Path) -> dict[str, Any]:
    link(platform, objects, library)
    content = library.read_bytes()
    return {"file": library.name, "sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def _toolchain(platform: Platform) -> dict[str, str]:
    asked = subprocess.run([*platform.linker(), "--version"], capture_output=True, text=True)
    return {
        "python": sys.version.split()[0],
        "numpy": np.__version__,
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "llvm": ".".join(map(str, llvm.llvm_version_info)),
        "linker": asked.stdout.partition("\n")[0],
    }


def _replace(folder: Path, libraries: Sequence[Path], manifest: Path) -> None:
    """Move the files into place, the manifest last: until then the libraries match no manifest and are not opened."""
    (folder / MANIFEST).unlink(missing_ok=True)
    for old in (*folder.glob("kernels-*.*"), *folder.glob(f"{DETECTOR}.*")):
        old.unlink()
    for file in (*libraries, manifest):
        file.replace(folder / file.name)
