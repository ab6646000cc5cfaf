"""Everything that is published of a version, in one folder: `make release` (CONTRIBUTING.md).

    python tests/release/make_release.py [--rehearsal] [--no-tests] [--twice] [--heavy] [--platform NAME ...]
        [-o FOLDER]

From a clean tree and nothing else: a clone of its revision is what is built.  What takes long is kept in .venv/release
and used again where it would come out the same, so that a run which was stopped goes on.  Needs Python's standard
library, git, and pip with an index.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from archives import differences, normalise_sdist, write_sums
from artefacts import MARKS, artefacts, here
from components import list_components
from provenance import NOT_RUN, Notes, now, write_notes
from published import unready
from release_tools import environment, frozen, plain_environment, run, stop

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = tuple(MARKS)


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


def build(python: Path, source: Path, out: Path, platforms: list[str], kept: Path | None) -> list[str]:
    """Wheels and sdist of a clone, into a folder; returns the platforms whose libraries `kept` already had."""
    epoch = run("git", "-C", source, "log", "-1", "--format=%ct").strip()
    settings = {"cwd": source, "env": plain_environment(SOURCE_DATE_EPOCH=epoch, PYTHONHASHSEED="0")}
    wheels = [python, "-m", "minembed.kernels.ahead.wheels", "--no-isolation", "-o", out]
    wheels += ["--keep", kept] if kept else []
    earlier = []
    for platform in ["any", *platforms]:
        print(f"the wheel of {platform}", flush=True)
        before = written(kept, platform)
        run(*wheels, "--platform", platform, **settings)
        earlier += [platform] if before is not None and written(kept, platform) == before else []
    run(python, "-m", "build", "--sdist", "--no-isolation", "-o", out, **settings)
    (sdist,) = out.glob("*.tar.gz")
    normalise_sdist(sdist, int(epoch))
    return earlier


def written(kept: Path | None, platform: str) -> int | None:
    """When the libraries of a platform were stored; None if they are not."""
    manifest = kept / platform / "manifest.json" if kept else None
    return manifest.stat().st_mtime_ns if manifest and manifest.is_file() else None


def clone(revision: str, folder: Path) -> Path:
    """What a stranger gets: the files of a revision, without anything that lies about here."""
    shutil.rmtree(folder, ignore_errors=True)
    run("git", "clone", "-q", "--no-checkout", ROOT, folder)
    run("git", "-C", folder, "checkout", "-q", "--detach", revision)
    return folder


def build_twice(python: Path, work: Path, notes: Notes) -> Path:
    """Build, and build again from another clone; returns the folder, and notes what was compared."""
    first, second = work / "first", work / "a-folder-of-another-name" / "second"
    for folder in (first, second):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    again = notes.platforms if notes.twice else []
    notes.kept = build(python, clone(notes.revision, work / "source"), first, notes.platforms, work / "libraries")
    notes.built = now()
    build(python, clone(notes.revision, second.parent / "source"), second, again, None)
    if differ := differences(first, second):
        stop(f"built twice, and not the same bytes: {', '.join(differ)}, in {first} and {second}")
    notes.reproduced = f"{', '.join(['any', *again])} and the sdist, from two clones: the same bytes"
    return first


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


def run_tests(wanted: bool, *words: str | Path) -> str:
    """The last line of tests, `make WORDS`, or that they were left out."""
    if not wanted:
        return f"{NOT_RUN} (TESTS=0)"
    print(f"make {words[0]}", flush=True)
    done = subprocess.run(
        ["make", "--no-print-directory", "-C", ROOT, *words], stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        stop(f"make {words[0]} failed:\n{done.stdout[-3000:]}")
    return summary(done.stdout)


def summary(printed: str) -> str:
    """The line in which pytest counts; ends where no test has passed, whatever the exit status was.

    >>> summary("==== 5 passed, 1 skipped in 3.2s ====\\nmake: Leaving directory '/tmp'\\n")
    '5 passed, 1 skipped in 3.2s'
    """
    counted = [line for line in printed.splitlines() if re.search(r"\b[1-9]\d* passed\b", line)]
    return counted[-1].strip("= ") if counted else stop(f"no test has passed:\n{printed[-3000:]}")


def tests_of_wheel(wanted: bool, folder: Path, platforms: list[str]) -> str:
    """The tests by this platform's wheel alone, the very file that is published."""
    if here() not in platforms:
        return f"{NOT_RUN} (no wheel of {here()} was built)"
    (wheel,) = artefacts(folder)[here()]
    return run_tests(wanted, "test-wheel", f"WHEEL={wheel}")


def try_out(folder: Path, work: Path, source: Path, notes: Notes) -> list[str]:
    """The smoke test; returns the rows of its table."""
    command = [sys.executable, source / "tests" / "release" / "smoke.py", folder, work / "smoke", "--without-sums"]
    command += ["--heavy"] if notes.heavy else []
    command += [word for name in notes.platforms or ["none"] for word in ("--platform", name)]
    print("the smoke test", flush=True)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=plain_environment())
    lines = []
    for line in process.stdout:
        print(line, end="", flush=True)
        lines.append(line.rstrip())
    if process.wait():
        stop("the smoke test failed, see above")
    return [line for line in lines if line.startswith("|")]


def begin(options: argparse.Namespace) -> Notes:
    """What is known before anything is built; ends where files could not be published, unless they are not to be."""
    revision, (version, dated) = clean_revision(), stated_version(ROOT)
    platforms = [name for name in options.platform or PLATFORMS if name != "none"]
    wrong = unready(ROOT, version, dated, revision)
    if missing := sorted({*PLATFORMS} - {*platforms}):
        wrong.append(f"no wheel for {', '.join(missing)} is built")
    if wrong and not options.rehearsal:
        stop("\n  ".join(["not ready to be published (make release REHEARSAL=1 goes on all the same):", *wrong]))
    notes = Notes(revision, version, dated, "", platforms, all_platforms=not missing, rehearsal=options.rehearsal)
    notes.unready, notes.twice, notes.heavy = wrong, options.twice, options.heavy
    notes.tests = run_tests(options.tests, "test")
    return notes


def arguments() -> argparse.Namespace:
    """What is asked for."""
    parser = argparse.ArgumentParser(description="Build, check and describe everything that is published.")
    parser.add_argument("--rehearsal", action="store_true", help="go on where files may not be published; notes say so")
    parser.add_argument("--no-tests", action="store_false", dest="tests", help="leave out all tests; the notes say so")
    parser.add_argument("--twice", action="store_true", help="build the platforms' wheels twice, too, and compare")
    parser.add_argument("--heavy", action="store_true", help="try the extras with torch and Ray, too")
    parser.add_argument("--platform", action="append", choices=[*PLATFORMS, "none"], help="default: all")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "dist" / "release")
    return parser.parse_args()


def main() -> None:
    """Make a release."""
    options = arguments()
    os.umask(0o022)
    work, out = Path(os.environ.get("VENV", ROOT / ".venv")).absolute() / "release", options.output.absolute()
    work.mkdir(parents=True, exist_ok=True)
    notes = begin(options)
    python = environment(work, "build")
    made, source = build_twice(python, work, notes), work / "source"
    notes.checks = inspect(work, made, source)
    notes.wheel_tests = tests_of_wheel(options.tests, made, notes.platforms)
    list_components(work, made, source, python, notes.version)
    notes.smoke = try_out(made, work, source, notes)
    notes.tools = {name: frozen(environment(work, name)) for name in ("build", "check", "sbom", "citation")}
    (made / "CHANGES.md").write_text(changes(source), encoding="utf-8")
    write_notes(notes, made)
    write_sums(made)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(made, out)
    print(*(f"{path.stat().st_size:>10,} {path.name}" for path in sorted(out.iterdir())), f"in {out}", sep="\n")


if __name__ == "__main__":
    main()
