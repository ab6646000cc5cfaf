"""Run every page of docs/stores/ in an environment of its own, hold it to top_k, write the tables of docs/stores.md.

    python tests/stores/run_stores.py WORK [STORE ...]

WORK keeps the environments, the passages and their vectors; what is there already is used again.  Without names all
stores are run; with some, the figures of the others stay.  Needs nothing but Python's standard library.
"""

import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from places import ROOT
from store_pages import FIGURES, STORES, digest, page_of, size_of
from store_tables import write_tables

HERE = Path(__file__).parent
CAN_LOAD = "import sqlite3, ensurepip; raise SystemExit(not hasattr(sqlite3.Connection, 'enable_load_extension'))"
PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(14, 9, -1)))


def run(*words: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in words], text=True, check=True, **options)


def python_that_loads_extensions() -> str:
    """This Python, or another one on the PATH, that can load SQLite's extensions."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    found = [shutil.which(name, path=folder) for name in PYTHONS for folder in folders]
    for python in [sys.executable, *filter(None, found)]:
        if subprocess.run([python, "-c", CAN_LOAD], capture_output=True, check=False).returncode == 0:
            return python
    sys.exit("no Python on the PATH can load SQLite's extensions, which the page on sqlite-vec needs: install another")


def environment(work: Path, name: str, packages: tuple[str, ...]) -> Path:
    """The Python of an environment with minembed, from the checkout, and these packages."""
    folder = work / "environments" / name
    python = folder / "bin" / "python"
    done = folder / "packages.json"
    if not done.exists() or json.loads(done.read_text()) != list(packages):
        base = python_that_loads_extensions() if name == "sqlite-vec" else sys.executable
        own = next((package for package in packages if package.startswith("minembed")), "minembed")
        others = [package for package in packages if package != own]
        print(f"{name}: an environment with {' '.join([own, *others])}", file=sys.stderr)
        run(base, "-m", "venv", "--clear", folder)
        run(python, "-m", "pip", "install", "-q", "-e", f"{ROOT}{own.removeprefix('minembed')}", *others)
        done.write_text(json.dumps(packages))
    return python


def prepare(work: Path) -> None:
    """Passages and queries, and the vectors of both."""
    python = environment(work, "kernels", ("minembed[numba]",))
    if not (work / "passages.jsonl").exists():
        run(python, ROOT / "docs" / "passages.py", work)
    run(python.parent / "minembed", "pull", stdout=subprocess.DEVNULL)
    for file in ("passages.jsonl", "queries.txt"):
        vectors = (work / file).with_suffix(".npy")
        if not vectors.exists():
            run(python.parent / "minembed", "embed", "-i", work / file, "--field", "text", "-o", vectors)


def is_gone(process: int) -> bool:
    """Whether a process has ended; one that is ending has some seconds."""
    for _ in range(100):
        if not Path(f"/proc/{process}").exists():
            return True
        time.sleep(0.1)
    return False


def installed(python: Path) -> int:
    """Bytes of what is installed in an environment, but for what every environment begins with."""
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    begun = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
    return sum(size_of(path) for path in packages.iterdir() if not path.name.startswith(begun))


def check(work: Path, name: str) -> dict[str, Any]:
    """The figures of one store: its page is run to the end, opened again, killed after the insertion, opened again."""
    page = page_of(name)
    python, plain = environment(work, name, page.packages), environment(work, "plain", ())
    settings = dict(os.environ, PYTHONPATH=str(ROOT / "tests" / "support"))
    facts: dict[str, Any] = {"program": digest(page)}
    for folder in (work / name, work / f"{name}-killed"):
        shutil.rmtree(folder, ignore_errors=True)
    for phase in ("all", "again", "killed", "after"):
        command = [str(python), str(HERE / "check_store.py"), name, str(work), phase]
        ended = subprocess.run(command, text=True, stdout=subprocess.PIPE, env=settings, check=False)
        if ended.returncode != (-9 if phase == "killed" else 0):
            sys.exit(f"{name}: the phase {phase} ended with {ended.returncode}")
        own = json.loads(ended.stdout.splitlines()[-1])
        if phase == "killed":
            own = {"insert_s": min(own["insert_s"], facts["insert_s"])}
        facts |= own
        server = facts.pop("server", None)
        if server is not None and not is_gone(server):
            sys.exit(f"{name}: after the phase {phase} its server, process {server}, is still there")
    return facts | {"installed": installed(python) - installed(plain)}


def machine() -> str:
    """The processor and how many of its cores may be used."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        cpu = next((x.partition(": ")[2] for x in info.read_text().splitlines() if x.startswith("model name")), cpu)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cpu}, {cores} core{'' if cores == 1 else 's'}, {platform.system()} {platform.machine()}"


def main(work: Path, names: list[str]) -> None:
    work.mkdir(parents=True, exist_ok=True)
    prepare(work)
    for name in names or STORES:
        facts = check(work, name) | {"machine": machine(), "date": datetime.date.today().isoformat()}
        figures = (json.loads(FIGURES.read_text()) if FIGURES.exists() else {}) | {name: facts}
        FIGURES.write_text(json.dumps({key: figures[key] for key in STORES if key in figures}, indent=1) + "\n")
        write_tables()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2:])
