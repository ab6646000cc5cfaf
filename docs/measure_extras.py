"""The cost of each extra of minembed.integrations: its size, torch or not, and the first vector of a new process.

Each is installed into a fresh environment, from this checkout; `make measure-extras` writes the table of
docs/integrations.md.  Sizes are those of site-packages, without pip.  Seconds are of CPU, so that other work on the
machine does not count: the least of five processes that import, load the model and compute one vector in NumPy.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "integrations.md"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
RUNS = 5


@dataclass(frozen=True)
class Extra:
    """An extra, its main package, and the shortest program that computes a vector."""

    name: str
    package: str
    program: str
    alone: bool = False  # the framework itself is installed without its dependencies


EXTRAS = [
    Extra("", "numpy", "from minembed import Embedder; Embedder.load().encode('a')"),
    Extra(
        "langchain",
        "langchain-core",
        "from minembed.integrations.langchain import *; MinembedEmbeddings().embed_query('a')",
    ),
    Extra(
        "llama-index",
        "llama-index-core",
        "from minembed.integrations.llama_index import *; MinembedEmbedding().get_query_embedding('a')",
    ),
    Extra("haystack", "haystack-ai", "from minembed.integrations.haystack import *; MinembedTextEmbedder().run('a')"),
    Extra("chroma", "chromadb", "from minembed.integrations.chroma import *; MinembedEmbeddingFunction()(['a'])"),
    Extra(
        "sklearn",
        "scikit-learn",
        "from minembed.integrations.sklearn import *; MinembedVectorizer().fit_transform(['a'])",
    ),
    Extra("bertopic", "bertopic", "from minembed.integrations.bertopic import *; MinembedBackend().embed(['a'])", True),
    Extra("keybert", "keybert", "from minembed.integrations.keybert import *; MinembedBackend().embed(['a'])", True),
    Extra("mteb", "mteb", "from minembed.integrations.mteb import *; MinembedEncoder().model.encode('a')"),
    Extra(
        "txtai",
        "txtai",
        "from txtai import Embeddings; "
        "Embeddings(method='minembed.integrations.txtai.MinembedVectors', path='all-MiniLM-L6-v2').transform('a')",
    ),
]


def megabytes(folders: Iterable[Path]) -> float:
    """The size of all files in these folders."""
    files = (path for folder in folders for path in folder.rglob("*"))
    return sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink()) / 1e6


def install(extra: Extra, python: Path, torch: list[str]) -> None:
    """Install an extra as the page says."""
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    if extra.name in ("mteb", "txtai"):
        subprocess.run([*pip, *torch], check=True)
    subprocess.run([*pip, f"{ROOT}[{extra.name}]" if extra.name else str(ROOT)], check=True)
    shutil.rmtree(ROOT / "build", ignore_errors=True)  # which pip leaves in a checkout
    if extra.alone:
        subprocess.run([*pip, "--no-deps", extra.package], check=True)


def cpu_seconds(python: Path, program: str) -> float:
    """The CPU seconds of a process of its own."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [str(python), "-W", "ignore", "-c", program]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run(command, check=True, cwd="/", env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(extra: Extra, folder: Path, torch: list[str]) -> str:
    """A row of the table."""
    venv.create(folder, clear=True, with_pip=True)
    python = folder / "bin" / "python"
    install(extra, python, torch)
    site = next(folder.glob("lib/python*/site-packages"))
    versions = {found.name.lower(): found.version for found in distributions(path=[str(site)])}
    ours = [path for path in site.iterdir() if path.is_dir() and not path.name.startswith(("pip", "setuptools"))]
    size, packages = megabytes(ours), len(versions.keys() - {"pip", "setuptools"})
    cpu_seconds(python, extra.program)  # the first writes bytecode
    seconds = min(cpu_seconds(python, extra.program) for _ in range(RUNS))
    with_torch = f"torch {versions['torch']}" if "torch" in versions else "no"
    shutil.rmtree(folder)
    name = f"`minembed[{extra.name}]`" if extra.name else "`minembed`"
    name += f", `--no-deps {extra.package}`" if extra.alone else ""
    version = f"{extra.package} {versions[extra.package]}"
    return f"| {name} | {version} | {packages} | {size:.0f} | {with_torch} | {seconds:.1f} |"


def table(names: list[str], folder: Path, torch: list[str]) -> None:
    """Measure the named extras, or all, and write each into the page at once."""
    for extra in EXTRAS:
        if not names or extra.name in names:
            row = measure(extra, folder, torch)
            print(row, flush=True)
            page = PAGE.read_text(encoding="utf-8")
            PAGE.write_text(with_rows(page, _rows(page) | {extra.name: row}), encoding="utf-8")


def with_rows(page: str, rows: dict[str, str]) -> str:
    """The page with these rows."""
    python = ".".join(map(str, sys.version_info[:3]))
    lines = [
        f"Measured on {date.today():%Y-%m-%d} with Python {python}, by `make measure-extras`.",
        "",
        "| installed | version | packages | MB | torch | first vector, s of CPU |",
        "|---|---|---:|---:|---|---:|",
        *(rows[extra.name] for extra in EXTRAS if extra.name in rows),
    ]
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return "\n".join([before + BEGIN, *lines, END + after])


def _rows(page: str) -> dict[str, str]:
    rows = re.findall(r"^\| `minembed(?:\[([\w-]*)\])?`.*$", page, re.M)
    lines = [line for line in page.splitlines() if line.startswith("| `minembed")]
    return dict(zip(rows, lines, strict=True))


if __name__ == "__main__":
    table(sys.argv[3:], Path(sys.argv[1]).absolute(), sys.argv[2].split())
