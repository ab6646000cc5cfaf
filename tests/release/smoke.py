"""Artefacts in environments of their own: `make check-release`, and a part of `make release`.

    python tests/release/smoke.py FOLDER WORK [--python PATH ...] [--heavy] [--only NAME ...] [--record]

FOLDER holds what `make release` made; its hashes are compared first.  On every Python that is found: the pure wheel,
which computes with NumPy alone, this platform's wheel, with its native kernels, and the sdist.  On one Python: every
extra of the pure wheel.  Nothing is fetched but by pip, and the model has to be in minembed's cache: minembed pull.

What passed is noted in WORK/passed.json, and not tried again with the same artefact and program.  --record writes what
is known of extras into the table of docs/support.md.
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from archives import SUMS, wrong_sums
from known import Known, write_table
from programs import ALONE, BASE, BESIDE, COMMANDS, COSINE, EXTRAS, HEAVY, WITHIN
from release_tools import QUIET, plain_environment

OLDEST = (3, 10)
NOTES = "How do I bake bread?\nKnead the dough, then let it rise.\nCompile it with -O2.\n"
TARGETS = {  # what pip has to choose from the folder for machines that are not at hand
    "manylinux_2_28_x86_64": "manylinux",
    "musllinux_1_2_x86_64": "manylinux",
    "manylinux_2_28_aarch64": "aarch64",
    "macosx_14_0_arm64": "macosx_11_0_arm64",
    "macosx_14_0_x86_64": "none-any",
    "win_amd64": "win_amd64",
    "win_arm64": "none-any",
}


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


def pythons() -> dict[str, Path]:
    """Every Python on PATH and of pyenv that minembed is for, by its minor version, oldest first."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += Path.home().glob(".pyenv/versions/*/bin")
    found: dict[int, Path] = {}
    for path in (path for folder in folders for path in folder.glob("python3.*")):
        version = re.fullmatch(r"python3\.(\d+)", path.name)
        if version and (3, int(version[1])) >= OLDEST:
            asked = "import sys, venv, ensurepip; print(sys.version_info.minor)"
            done = subprocess.run([path, "-c", asked], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                found.setdefault(int(done.stdout), path)
    return {f"3.{minor}": found[minor] for minor in sorted(found)}


def try_to(*words: str | Path, **options: object) -> str:
    """Run a command; AssertionError with its last lines where it fails."""
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800, **options)
    assert done.returncode == 0, f"{' '.join(command[-3:])[-200:]}: {(done.stderr or done.stdout).strip()[-1500:]}"
    return done.stdout + done.stderr


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


def use(row: Row, python: Path, artefact: Path, version: str) -> None:
    """Import, encode, search, the commands, and what the extra adds, from an empty folder."""
    with TemporaryDirectory() as place:
        (Path(place) / "notes.txt").write_text(NOTES)
        settings = {
            "cwd": place,
            "env": plain_environment(HF_HUB_OFFLINE="1", MPLBACKEND="agg", RAY_USAGE_STATS_ENABLED="0"),
        }
        strict = [python, "-I", "-W", "error", "-c"]
        found = json.loads(try_to(*strict, BASE, **settings).splitlines()[-1])
        row.backend = found["backend"]
        assert found["backend"] == tier_of(artefact, row.extra, found["numba"]), found
        assert found["version"] == version and abs(found["cosine"] - COSINE) < WITHIN, found
        assert found["torch"] == (row.extra in HEAVY and row.extra != "ray"), "torch is there, or is not"
        for words, said in COMMANDS:
            answer = try_to(python.with_name("minembed"), *words, **settings)
            assert said.format(version=version) in answer, f"minembed {' '.join(words)} says {answer[-500:]}"
        if EXTRAS[row.extra]:
            try_to(*(strict if row.extra not in NOISY else [python, "-I", "-c"]), EXTRAS[row.extra], **settings)


NOISY: dict[str, str] = {}  # extras whose packages warn by themselves, and of what


def check(artefact: Path, extra: str, python: Path, work: Path, version: str) -> Row:
    """One environment: made, used, measured and removed."""
    row = Row(artefact.name, extra, python.name.removeprefix("python"))
    folder, begin = work / "environment", time.monotonic()
    try:
        try_to(python, "-m", "venv", "--clear", folder)
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


def artefacts(folder: Path) -> dict[str, Path]:
    """The pure wheel, this machine's, and the sdist."""
    wheels = sorted(folder.glob("*.whl"))
    mark = {"linux": f"manylinux2014_{platform.machine()}", "darwin": "macosx", "win32": "win_amd64"}[sys.platform]
    found = {"sdist": next(iter(folder.glob("*.tar.gz")), None)}
    found["pure"] = next((wheel for wheel in wheels if wheel.name.endswith("-none-any.whl")), None)
    found["native"] = next((wheel for wheel in wheels if mark in wheel.name), None)
    return {name: path for name, path in found.items() if path}


def check_choice(folder: Path) -> list[str]:
    """What pip would choose for other machines, from what is there; returns what is wrong."""
    wrong = []
    names = [wheel.name for wheel in folder.glob("*.whl")]
    for target, mark in TARGETS.items():
        if any(mark in name for name in names):
            with TemporaryDirectory() as place:
                try_to(
                    *(sys.executable, "-m", "pip", "download", *QUIET[:2], "--no-index", "--no-deps", "-d", place),
                    *("--find-links", folder, "--only-binary=:all:", "--platform", target, "minembed"),
                )
                (chosen,) = Path(place).iterdir()
            if mark not in chosen.name:
                wrong.append(f"for {target} pip chooses {chosen.name}")
    return wrong


def plan(found: dict[str, Path], known: dict[str, Path], heavy: bool) -> Iterator[tuple[Path, str, Path]]:
    """All environments: artefact, extra, Python."""
    for python in known.values():
        for name in ("pure", "native", "sdist"):
            if name in found:
                yield found[name], "", python
    python = known.get(f"3.{sys.version_info.minor}", next(iter(known.values())))
    for extra in EXTRAS:
        if extra and (heavy or extra not in HEAVY):
            yield found["pure"], extra, python


def smoke(folder: Path, work: Path, pythons: dict[str, Path], heavy: bool, only: list[str]) -> list[Row]:
    """Every environment that did not pass before, a line each."""
    rows, known = [], Known(work / "passed.json")
    for artefact, extra, python in plan(artefacts(folder), pythons, heavy or bool(only)):
        if not only or (extra or "base") in only:
            key = known.key(artefact, python.name, BASE, COMMANDS, EXTRAS[extra], extra)
            row = Row(**known.rows[key]) if key in known.rows else None
            if row is None:
                row = check(artefact, extra, python, work, artefact.name.removesuffix(".tar.gz").split("-")[1])
                if not row.failed:
                    known.add(key, asdict(row))
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
    return f"| {what} | {row.extra or '(none)'} | {row.python} | {row.backend} | {sizes} | {told} |"


def main() -> None:
    """Check a folder of artefacts; the exit status is 1 where something is wrong."""
    parser = argparse.ArgumentParser(description="Install artefacts into environments of their own, and use them.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--python", type=Path, action="append", help="default: every one that is found")
    parser.add_argument("--heavy", action="store_true", help=f"also {', '.join(HEAVY)}")
    parser.add_argument("--only", action="append", default=[], help='an extra, or "base"')
    parser.add_argument("--record", action="store_true", help="write the table of docs/support.md")
    parser.add_argument("--json", type=Path, help="write the rows here as well")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    folder, known = options.folder.absolute(), pythons()
    if options.python:
        known = {path.name.removeprefix("python"): path for path in options.python}
    wrong = [f"{name}: not as {SUMS} says" for name in (wrong_sums(folder) if (folder / SUMS).is_file() else [])]
    wrong += check_choice(folder)
    rows = smoke(folder, options.work.absolute(), known, options.heavy, options.only)
    if options.record:
        write_table([asdict(row) for row in rows if row.extra])
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")
    wrong += [f"{row.artefact} {row.extra} on {row.python}: {row.failed}" for row in rows if row.failed]
    sys.exit("\n".join(wrong) if wrong else 0)


if __name__ == "__main__":
    main()
