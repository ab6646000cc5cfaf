"""Everything that is published of a version, in one folder: `make release` (CONTRIBUTING.md).

    python tests/release/make_release.py [--no-tests] [--twice] [--heavy] [--platform NAME ...] [-o FOLDER]

From a clean tree and nothing else: a clone of its revision is what is built.  What takes long is kept in .venv/release
and used again where it would come out the same, so that a run which was stopped goes on.  Needs Python's standard
library, git, and pip with an index.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from archives import differences, normalise_sdist, write_sums
from provenance import Notes, write_notes
from release_tools import QUIET, environment, frozen, plain_environment, run, stop

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = ("linux-x86_64", "linux-aarch64", "macos-arm64", "windows-x86_64")


def clean_revision() -> str:
    """The revision of a tree in which nothing is changed."""
    if changed := run("git", "-C", ROOT, "status", "--porcelain"):
        stop(f"commit or remove first what a clone would not have:\n{changed.rstrip()}")
    return run("git", "-C", ROOT, "rev-parse", "HEAD").strip()


def stated_version(root: Path) -> tuple[str, str]:
    """The version, and what the changelog says beside it: a date, or "unreleased".

    The three files that name the version have to agree.
    """
    version = re.search(r'__version__ = "([^"]+)"', (root / "minembed/version.py").read_text(encoding="utf-8"))[1]
    heading = re.search(r"^## (\S+?)(?:, (.+))?$", (root / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    cited = re.search(r'^version: "?([^"\n]+)', (root / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    if not version == heading[1] == cited[1]:
        stop(f"version.py says {version}, CHANGELOG.md {heading[1]}, CITATION.cff {cited[1]}: make them one")
    return version, heading[2] or ""


def changes(root: Path) -> str:
    """The newest section of the changelog."""
    return re.split(r"^(?=## )", (root / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.M)[1]


def build(python: Path, source: Path, out: Path, platforms: list[str], kept: Path | None) -> None:
    """Wheels and sdist of a clone, into a folder."""
    epoch = run("git", "-C", source, "log", "-1", "--format=%ct").strip()
    settings = {"cwd": source, "env": plain_environment(SOURCE_DATE_EPOCH=epoch, PYTHONHASHSEED="0")}
    wheels = [python, "-m", "minembed.kernels.ahead.wheels", "--no-isolation", "-o", out]
    wheels += ["--keep", kept] if kept else []
    for platform in ["any", *platforms]:
        print(f"the wheel of {platform}", flush=True)
        run(*wheels, "--platform", platform, **settings)
    run(python, "-m", "build", "--sdist", "--no-isolation", "-o", out, **settings)
    (sdist,) = out.glob("*.tar.gz")
    normalise_sdist(sdist, int(epoch))


def clone(revision: str, folder: Path) -> Path:
    """What a stranger gets: the files of a revision, without anything that lies about here."""
    shutil.rmtree(folder, ignore_errors=True)
    run("git", "clone", "-q", "--no-checkout", ROOT, folder)
    run("git", "-C", folder, "checkout", "-q", "--detach", revision)
    return folder


def build_twice(python: Path, work: Path, revision: str, platforms: list[str], twice: bool) -> tuple[Path, str]:
    """Build, and build again from another clone; returns the folder, and what was compared."""
    first, second = work / "first", work / "a-folder-of-another-name" / "second"
    for folder in (first, second):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    again = platforms if twice else []
    build(python, clone(revision, work / "source"), first, platforms, work / "libraries")
    build(python, clone(revision, second.parent / "source"), second, again, None)
    if differ := differences(first, second):
        stop(f"built twice, and not the same bytes: {', '.join(differ)}, in {first} and {second}")
    return first, f"{', '.join(['any', *again])} and the sdist, from two clones: the same bytes"


def inspect(work: Path, folder: Path, source: Path) -> list[str]:
    """What twine, check-wheel-contents and cffconvert say; returns their last lines."""
    python, cff = environment(work, "check"), environment(work, "citation")
    files = sorted(path.name for path in folder.iterdir() if path.name.endswith((".whl", ".tar.gz")))
    settings = {"cwd": folder, "env": plain_environment(NO_COLOR="1", TERM="dumb")}
    said = [run(python, "-m", "twine", "check", "--strict", *files, **settings)]
    wheels = [name for name in files if name.endswith(".whl")]
    for name in wheels:  # W004 takes compiled kernels for modules; the Python files are those of the pure wheel
        ignored = [] if name.endswith("-none-any.whl") else ["--ignore", "W004"]
        said.append(run(python, "-m", "check_wheel_contents", *ignored, name, **settings))
    said.append(run(cff.with_name("cffconvert"), "--validate", "-i", source / "CITATION.cff"))
    return [line for text in said for line in text.splitlines() if line.strip()]


def list_components(work: Path, folder: Path, source: Path, build_python: Path, version: str) -> None:
    """Two SBOMs: what an installation of the pure wheel brings, and what built the compiled kernels."""
    python = environment(work, "sbom")
    installed = work / "installed"
    run(sys.executable, "-m", "venv", "--clear", "--without-pip", installed)
    (wheel,) = folder.glob("*-none-any.whl")
    run(sys.executable, "-m", "pip", "--python", installed / "bin" / "python", "install", *QUIET, wheel)
    epoch = run("git", "-C", source, "log", "-1", "--format=%ct").strip()
    command = [python, "-m", "cyclonedx_py", "environment", "--output-reproducible", "--mc-type", "library"]
    command += ["--pyproject", source / "pyproject.toml", "--of", "JSON"]
    settings = {"env": plain_environment(SOURCE_DATE_EPOCH=epoch)}
    for name, described in (("", installed / "bin" / "python"), ("-build", build_python)):
        path = folder / f"minembed-{version}{name}.cdx.json"
        run(*command, "-o", path, described, **settings)
        complete(path, version)


def complete(path: Path, version: str) -> None:
    """Put into a list of components the version of what it is of, which pyproject.toml leaves to version.py."""
    bom = json.loads(path.read_text(encoding="utf-8"))
    bom["metadata"]["component"] |= {"version": version, "purl": f"pkg:pypi/minembed@{version}"}
    path.write_text(json.dumps(bom, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def run_tests(wanted: bool) -> str:
    """The last line of the test suite, or that it was left out."""
    if not wanted:
        return "not run (TESTS=0)"
    print("the tests", flush=True)
    done = subprocess.run(["make", "-C", ROOT, "test"], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        stop(f"make test failed:\n{done.stdout[-3000:]}")
    return done.stdout.strip().splitlines()[-1].strip("= ")


def try_out(folder: Path, work: Path, source: Path, heavy: bool) -> str:
    """The smoke test; returns its table."""
    command = [sys.executable, source / "tests" / "release" / "smoke.py", folder, work / "smoke"]
    command += ["--heavy"] if heavy else []
    print("the smoke test", flush=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=plain_environment())
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line.rstrip())
    if process.wait():
        stop("the smoke test failed, see above")
    return "\n".join(lines)


def main() -> None:
    """Make a release."""
    parser = argparse.ArgumentParser(description="Build, check and describe everything that is published.")
    parser.add_argument("--no-tests", action="store_true", help="leave out the test suite; the notes say so")
    parser.add_argument("--twice", action="store_true", help="build the platforms' wheels twice, too, and compare")
    parser.add_argument("--heavy", action="store_true", help="try the extras with torch and Ray, too")
    parser.add_argument("--platform", action="append", choices=[*PLATFORMS, "none"], help="default: all")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist" / "release")
    options = parser.parse_args()
    os.umask(0o022)
    work, out = Path(os.environ.get("VENV", ROOT / ".venv")).absolute() / "release", options.output.absolute()
    work.mkdir(parents=True, exist_ok=True)
    revision, (version, dated) = clean_revision(), stated_version(ROOT)
    notes = Notes(revision, version, dated, sys.argv[1:], tests=run_tests(not options.no_tests))
    platforms = [name for name in options.platform or PLATFORMS if name != "none"]
    python = environment(work, "build")
    made, notes.reproduced = build_twice(python, work, revision, platforms, options.twice)
    source = work / "source"
    notes.checks = inspect(work, made, source)
    list_components(work, made, source, python, version)
    notes.smoke, notes.heavy = try_out(made, work, source, options.heavy), options.heavy
    notes.tools = {name: frozen(environment(work, name)) for name in ("build", "check", "sbom", "citation")}
    (made / "CHANGES.md").write_text(changes(source), encoding="utf-8")
    write_notes(notes, made)
    write_sums(made)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(made, out)
    print(*(f"{path.stat().st_size:>10,} {path.name}" for path in sorted(out.iterdir())), f"in {out}", sep="\n")


if __name__ == "__main__":
    main()
