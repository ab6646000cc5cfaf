"""`minembed doctor`: what this machine computes with, and whether vectors are identical in any batch on it."""

import json
import os
import platform
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from minembed.cli.console import table
from minembed.cli.model_choice import DEFAULT_MODEL, DTYPES
from minembed.errors import SourceError
from minembed.version import __version__

if TYPE_CHECKING:
    from minembed.cli.invariance import Invariance
    from minembed.models.embedder import Embedder

_NEVER = "a row's bits depend on how many rows there are"
PACKAGES = ("numpy", "numba", "tokenizers", "safetensors", "threadpoolctl", "huggingface_hub", "click", "tqdm")


@click.command("doctor", short_help="Check this machine.")
@click.option(
    "-m", "--model", default=DEFAULT_MODEL, show_default=True, metavar="NAME|FOLDER", help="Model to test with."
)
@click.option("--warm", is_flag=True, help="Compile the kernels now.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, model: str, warm: bool, as_json: bool) -> None:
    """Check this machine: versions, BLAS, kernels, cores, cache, and whether vectors are the same in any batch.

    Downloads nothing. The exit code is 1 if something is wrong.
    """
    from minembed.cli.invariance import check

    if warm:
        warm_up()
    facts = {**versions(), **blas(), **kernels(), **cores(), **cache()}  # before anything is compiled
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("always")
        loaded, state, damaged = find_model(model)
    result = check(loaded)
    facts |= {"model": state, **computes_with(loaded, facts["tier"], [str(w.message) for w in raised])}
    if as_json:
        tested = {
            name: getattr(result, name) for name in ("safe_rows", "encoder_rows", "vectors", "different", "passed")
        }
        click.echo(json.dumps({**facts, "self_test": tested}, ensure_ascii=False, indent=1))
    else:
        for line in table([[name, value] for name, value in facts.items()]):
            click.echo(line)
        click.echo()
        for line in report(result, loaded is None):
            click.echo(line)
    ctx.exit(0 if result.passed and not damaged else 1)


def find_model(name: str) -> "tuple[Embedder | None, str, bool]":
    """Load a model if it is on this machine: the model, a description, and whether it is damaged."""
    from minembed.errors import MinembedError
    from minembed.models.embedder import Embedder
    from minembed.weights.sources.locate import locate

    try:
        folder = locate(name, local_files_only=True).folder
    except SourceError:
        return None, f"{name} is not on this machine; `minembed pull {name}` downloads it", False
    try:
        loaded = Embedder.load(folder)
    except MinembedError as error:
        return None, f"{name} cannot be used: {error}", True
    return loaded, f"{name} in {folder}", False


def computes_with(loaded: "Embedder | None", tier: str, warned: Sequence[str]) -> dict[str, str]:
    """The tier, if the model was computed by another one than expected, and the warnings.

    >>> computes_with(None, "numpy", ["something is odd"])
    {'tier': 'numpy', 'warnings': 'something is odd'}
    """
    if loaded is not None and loaded.backend != tier.partition(",")[0]:
        tier = f"{loaded.backend}; it should have been {tier}"
    return {"tier": tier} | ({"warnings": "; ".join(warned)} if warned else {})


def versions() -> dict[str, str]:
    """The versions of minembed, of Python, and of minembed's dependencies.

    >>> versions()["minembed"] == __version__
    True
    """

    def found(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    python = f"{platform.python_version()} ({platform.python_implementation()}, {sys.executable})"
    own = {"minembed": __version__, "python": python, "platform": platform.platform()}
    return own | {package: found(package) for package in PACKAGES}


def blas() -> dict[str, str]:
    """The libraries that multiply matrices, and the kernels that they chose for this CPU.

    >>> list(blas())
    ['BLAS']
    """
    import numpy as np
    from threadpoolctl import ThreadpoolController

    libraries: list[dict[str, Any]] = ThreadpoolController().select(user_api="blas").info()
    if not libraries:
        built: Any = np.show_config(mode="dicts")
        name = built.get("Build Dependencies", {}).get("blas", {}).get("name", "unknown")
        return {"BLAS": f"{name}, whose threads cannot be limited to one; the self-test shows whether that matters"}
    described = (
        f"{library['internal_api']} {library['version']}, {library.get('architecture') or 'unnamed'} kernels, "
        f"{library['num_threads']} threads ({Path(library['filepath']).name})"
        for library in libraries
    )
    return {"BLAS": "; ".join(described)}


def kernels() -> dict[str, str]:
    """The tier, and for both kinds of compiled kernels their instruction set, or why there are none.

    >>> list(kernels())
    ['tier', 'native', 'kernels', 'tiles']
    """
    from minembed.runtime.backend import KERNELS_COME_BY, choose, numba_settings

    native, tiles = _described("native", _native)
    just_in_time, others = _described("numba", _just_in_time)
    chosen = choose("auto")
    if chosen == "native" and not tiles:
        chosen = "numba"
    if chosen == "numba" and not others:
        chosen = "numpy"
    reason = f", since {' and '.join(numba_settings())} is set" if numba_settings() else ""
    reason += f": for compiled kernels {KERNELS_COME_BY}" if chosen == "numpy" else ""
    return {
        "tier": f"{chosen}, which backend='auto' uses here{reason}",
        "native": native,
        "kernels": just_in_time,
        "tiles": tiles or others or "none; NumPy does not use them",
    }


def _described(backend: str, describe: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    from minembed.errors import MinembedError
    from minembed.runtime.backend import check
    from minembed.runtime.interrupts import not_swallowed

    try:
        with not_swallowed():
            check(backend)
            return describe()
    except MinembedError as error:
        return f"none: {error}", ""
    except Exception as error:  # a broken installation can raise anything
        return f"none: {type(error).__name__}: {error}", ""


def _native() -> tuple[str, str]:
    from minembed.runtime.backend import resolve

    library, instructions = resolve("load_native", "native")(), resolve("describe", "native")()
    return f"{library.about.file}, for {instructions}", str(resolve("describe_tiles", "native")())


def _just_in_time() -> tuple[str, str]:
    from minembed.runtime.backend import resolve

    stored = [dtype for dtype in DTYPES if resolve("is_compiled", "numba")(dtype)]
    instructions, tiles = (resolve(operation, "numba")() for operation in ("describe", "describe_tiles"))
    try:
        kept = _writable(resolve("kept_in", "numba")(), "NUMBA_CACHE_DIR")
    except SourceError as error:
        kept = f"nowhere: {error}"
    compiled = ", ".join(stored) or "no dtype yet (minembed doctor --warm)"
    return f"{instructions}; compiled for {compiled}; kept in {kept}", tiles


def warm_up() -> None:
    """Compile the kernels of encoding, search and training that are not compiled yet; says so on standard error.

    Raises MissingExtraError if Numba is not installed.
    """
    from minembed.runtime.backend import check_numba, choose, resolve

    if choose("auto") == "native":
        click.echo("the native tier has nothing to compile", err=True)
        return
    check_numba()
    for part in (*DTYPES, "search", "training"):
        click.echo(f"compiling kernels: {part} ...", nl=False, err=True)
        click.echo(f" {resolve('compile', 'numba')(part):.1f} s", err=True)


def cores() -> dict[str, str]:
    """The number of cores that this process may use, and that the machine has."""
    from minembed.runtime.threads import available_cores

    return {"cores": f"{available_cores()} for this process, {os.cpu_count()} in the machine"}


def cache() -> dict[str, str]:
    """The folder of pulled models, and whether it is writable."""
    from minembed.weights.sources.locate import cache_folder

    try:
        folder = cache_folder()
    except SourceError as error:
        return {"cache": str(error)}
    return {"cache": _writable(folder, "MINEMBED_CACHE")}


def _writable(folder: Path, variable: str) -> str:
    from minembed.runtime.folders import why_not_writable

    reason = why_not_writable(folder)
    return f"{folder} ({f'NOT writable, {reason}: set {variable} to a folder that is' if reason else 'writable'})"


def report(result: "Invariance", random: bool) -> list[str]:
    """The result of the self-test, in a few lines."""
    weights = "random weights of MiniLM's shape" if random else "the model"
    lines = [f"Are vectors the same in any batch?  Tested with {weights}:"]
    for products, rows in ("matrix products", result.safe_rows), ("the encoder's own", result.encoder_rows):
        lines.append(
            f"  {products}: "
            + (_NEVER if rows is None else f"a row keeps its bits from {rows} row{'s' * (rows > 1)} on")
        )
    lines += [
        f"  {result.different} of {result.vectors} vectors differ from the same text computed alone",
        f"  ({result.rounds} random orders, with various batch sizes and numbers of threads)",
    ]
    if result.passed:
        return [*lines, "Yes: identical to the last bit."]
    return [
        *lines,
        "NO: the last bits of a vector depend on the texts computed with it.",
        "With --batch-size 1 (batch_size=1 in Python) vectors are identical on this machine",
        "too, more slowly.  Please report the BLAS line above.",
    ]
