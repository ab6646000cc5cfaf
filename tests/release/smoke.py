"""Artefacts in environments of their own: `make check-release`, and a part of `make release`.

    python tests/release/smoke.py FOLDER WORK [--python PATH ...] [--platform NAME ...] [--heavy] [--only NAME ...]
        [--record] [--without-sums]

FOLDER holds what `make release` made: its hashes are compared first, and what is missing is an error.  On every Python
that is found: the pure wheel, which computes with NumPy alone, this platform's wheel, with its native kernels, and the
sdist.  On one Python: every extra of the pure wheel.  Nothing is fetched but by pip, and the model has to be in
minembed's cache: minembed pull.

What passed is noted in WORK/passed.json, and not tried again (known.py says when it is).  --record writes what is known
of extras into the table of docs/support.md.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory

from artefacts import MARKS, artefacts, here, wrong_choices, wrong_files
from known import Known, write_table
from programs import ALONE, BASE, BESIDE, COMMANDS, COSINE, EXTRAS, HEAVY, IGNORED, VECTORS, WITHIN
from release_tools import QUIET, plain_environment, try_to

OLDEST = (3, 10)
NOTES = "How do I bake bread?\nKnead the dough, then let it rise.\nCompile it with -O2.\n"


@dataclass(frozen=True)
class Python:
    """A Python on this machine."""

    path: Path
    minor: str  # as in 3.11
    full: str  # as sys.version has it: which 3.11 it is


@dataclass
class Row:
    """What became of one environment."""

    artefact: str
    extra: str
    python: str
    backend: str = ""
    megabytes: float = 0  # of everything installed but pip
    own_megabytes: float = 0  # of minembed alone
    packages: int = 0
    seconds: float = 0
    failed: str = ""
    day: str = ""  # on which it was tried


def asked(path: Path) -> Python | None:
    """A Python that minembed is for and that can make environments; None for others."""
    program = "import sys, venv, ensurepip; print('3.%d' % sys.version_info[1], sys.version.replace('\\n', ' '))"
    try:
        done = subprocess.run([path, "-c", program], capture_output=True, text=True, check=False)
    except OSError:
        return None
    minor, _, full = done.stdout.strip().partition(" ")
    if done.returncode or tuple(map(int, minor.split("."))) < OLDEST:
        return None
    return Python(path, minor, full)


def pythons() -> list[Python]:
    """Every Python on PATH and of pyenv that minembed is for, one of each minor version, oldest first."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += Path.home().glob(".pyenv/versions/*/bin")
    found: dict[tuple[int, ...], Python] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("python3.*"))):
        if re.fullmatch(r"python3\.\d+", path.name) and (python := asked(path)):
            found.setdefault(tuple(map(int, python.minor.split("."))), python)
    return [found[minor] for minor in sorted(found)]


def install(python: Path, artefact: Path, extra: str) -> None:
    """Install an artefact with an extra, and what the docs say besides."""
    pip = [python, "-m", "pip", "install", *QUIET]
    extra, *others = BESIDE.get(extra, (extra,))
    try_to(*pip, f"{artefact}[{extra}]" if extra else artefact, *others)
    if extra in ALONE:
        try_to(*pip, "--no-deps", ALONE[extra])


def size(folder: Path, names: tuple[str, ...] = ("*",), without: tuple[str, ...] = ()) -> float:
    """Megabytes of what lies in site-packages under these names."""
    chosen = {path for name in names for path in folder.glob(name) if not path.name.startswith(without)}
    files = (f for path in chosen for f in ([path] if path.is_file() else path.rglob("*")) if f.is_file())
    return round(sum(file.stat().st_size for file in files) / 1e6, 1)


def measure(row: Row, python: Path) -> None:
    """How large the environment is."""
    (site,) = python.parents[1].glob("lib/python*/site-packages")
    begun = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "distutils-precedence")
    row.megabytes, row.own_megabytes = size(site, without=begun), size(site, ("minembed", "minembed-*"))
    row.packages = sum(1 for path in site.glob("*.dist-info") if not path.name.startswith(begun))


def tier_of(artefact: Path, extra: str, numba: bool) -> str:
    """What has to compute."""
    if artefact.name.endswith(".whl") and not artefact.name.endswith("-any.whl"):
        return "native"
    return "numba" if numba else "numpy"


def warnings_of(extra: str) -> list[str]:
    """Every warning is an error, but those that an extra's packages raise by themselves."""
    return ["error", *IGNORED.get(extra, [])]


def use(row: Row, python: Path, artefact: Path, version: str) -> None:
    """Import, encode, search, the commands, and what the extra adds, from an empty folder."""
    filters = warnings_of(row.extra)
    own = {"HF_HUB_OFFLINE": "1", "MPLBACKEND": "agg", "RAY_USAGE_STATS_ENABLED": "0"}
    with TemporaryDirectory() as place:
        (Path(place) / "notes.txt").write_text(NOTES)
        settings = {"cwd": place, "env": plain_environment(**own, PYTHONWARNINGS=",".join(filters))}
        strict = [python, "-I", *(word for one in filters for word in ("-W", one)), "-c"]
        found = json.loads(try_to(*strict, BASE, **settings).splitlines()[-1])
        row.backend = found["backend"]
        assert found["backend"] == tier_of(artefact, row.extra, found["numba"]), found
        assert found["version"] == version and abs(found["cosine"] - COSINE) < WITHIN, found
        assert found["torch"] == (row.extra in HEAVY and row.extra != "ray"), "torch is there, or is not"
        for words, said in COMMANDS:
            answer = try_to(python.with_name("minembed"), *words, **settings)
            assert said.format(version=version) in answer, f"minembed {' '.join(words)} says {answer[-500:]}"
        try_to(*strict, VECTORS, **settings)
        if EXTRAS[row.extra]:
            try_to(*strict, EXTRAS[row.extra], **settings)


def check(artefact: Path, extra: str, python: Python, work: Path, version: str) -> Row:
    """One environment: made, used, measured and removed."""
    row = Row(artefact.name, extra, python.minor, day=f"{datetime.now(timezone.utc):%Y-%m-%d}")
    folder, begin = work / "environment", time.monotonic()
    try:
        try_to(python.path, "-m", "venv", "--clear", folder)
        own = folder / "bin" / "python"
        install(own, artefact, extra)
        if extra not in ALONE:
            try_to(own, "-m", "pip", "check", "--disable-pip-version-check")
        use(row, own, artefact, version)
        measure(row, own)
    except (AssertionError, ValueError, subprocess.TimeoutExpired) as error:
        row.failed = str(error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    row.seconds = round(time.monotonic() - begin)
    return row


def plan(
    found: dict[str, list[Path]], known: list[Python], heavy: bool, only: list[str]
) -> Iterator[tuple[Path, str, Python]]:
    """All environments that are asked for: artefact, extra, Python."""
    for python in known if not only or "base" in only else []:
        for name in ("pure", here(), "sdist"):
            yield from ((path, "", python) for path in found.get(name, []))
    python = next((one for one in known if one.minor == f"3.{sys.version_info.minor}"), known[0])
    for extra in EXTRAS:
        if extra and (extra in only or (not only and (heavy or extra not in HEAVY))):
            yield found["pure"][0], extra, python


def smoke(folder: Path, work: Path, known: list[Python], heavy: bool, only: list[str]) -> list[Row]:
    """Every environment that did not pass before, a line each."""
    rows, passed = [], Known(work / "passed.json")
    for artefact, extra, python in plan(artefacts(folder), known, heavy, only):
        key = passed.key(artefact, extra, python.full)
        row = Row(**passed.rows[key]) if key in passed.rows else None
        if row is None:
            row = check(artefact, extra, python, work, artefact.name.removesuffix(".tar.gz").split("-")[1])
            if not row.failed:
                passed.add(key, asdict(row))
        rows.append(row)
        print(line(row), flush=True)
    return rows


def line(row: Row) -> str:
    """A row of the table of the notes."""
    what = (
        "sdist" if row.artefact.endswith(".gz") else row.artefact.split("-none-")[-1].removesuffix(".whl").split(".")[0]
    )
    told = "passed" if not row.failed else "**failed**: " + row.failed.replace("\n", " / ")
    sizes = f"{row.packages} | {row.megabytes} | {row.own_megabytes}"
    return f"| {what} | {row.extra or '(none)'} | {row.python} | {row.backend} | {sizes} | {told} | {row.day} |"


def main(words: list[str] | None = None) -> None:
    """Check a folder of artefacts; the exit status is 1 where something is wrong."""
    parser = argparse.ArgumentParser(description="Install artefacts into environments of their own, and use them.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--python", type=Path, action="append", help="default: every one that is found")
    parser.add_argument("--platform", action="append", choices=[*MARKS, "none"], help="whose wheels are there: all")
    parser.add_argument("--heavy", action="store_true", help=f"also {', '.join(HEAVY)}")
    parser.add_argument("--only", action="append", default=[], choices=["base", *filter(None, EXTRAS)])
    parser.add_argument("--record", action="store_true", help="write the table of docs/support.md")
    parser.add_argument("--without-sums", action="store_true", help="before there are hashes")
    options = parser.parse_args(words)
    options.work.mkdir(parents=True, exist_ok=True)
    folder, platforms = options.folder.absolute(), [name for name in options.platform or MARKS if name != "none"]
    if wrong := wrong_files(folder, platforms, not options.without_sums) or wrong_choices(folder, platforms):
        sys.exit("\n".join(wrong))
    known = [found for path in options.python if (found := asked(path))] if options.python else pythons()
    if len(known) < len(options.python or [1]):
        sys.exit(f"a Python from 3.{OLDEST[1]} on, with venv and ensurepip, has to be there; found: {known}")
    rows = smoke(folder, options.work.absolute(), known, options.heavy, options.only)
    if options.record:
        write_table([asdict(row) for row in rows if row.extra])
    wrong = [f"{row.artefact} {row.extra} on {row.python}: {row.failed}" for row in rows if row.failed]
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
