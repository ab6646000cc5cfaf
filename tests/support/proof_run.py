"""Run the rows of `make proof` that are not done yet: `python proof_run.py [--rows NAME ...] [--share 0.1]`.

The results are stored after each piece, so that it continues where it stopped.  `--seed` and `--count` repeat one piece
without keeping its result.
"""

import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import proof_page
import proof_results
from amounts import COUNT, SEED
from places import ROOT, TESTS
from proof_plugin import BEGUN, REPORT, versions
from proof_rows import ROWS, Row

from minembed.runtime.backend import has_native

LIMIT = 4 * 3600  # seconds of a piece: what is not done by then hangs
SAID = 2000  # characters that are kept of what a failed piece printed


class NothingRun(Exception):
    """No test of a piece began: what it needs could not be installed, or pytest refused it."""


def python_of(row: Row):
    """The Python of a row, or None if this machine lacks it; another version gets an environment of its own."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if row.python in ("", here):
        return Path(sys.executable)
    home = Path(sys.prefix) / f"proof-{row.python}"
    python = home / "bin" / "python"
    if not python.exists():
        command = found_python(row.python)
        if command is None:
            return None
        subprocess.run([command, "-m", "venv", home], check=True)
        pip = [python, "-m", "pip", "install", "-q", "-e", ".[dev]"]
        subprocess.run(pip, cwd=ROOT, check=True)
    return python


def found_python(version):
    """A Python of this version on the machine."""
    places = [*Path.home().glob(f".pyenv/versions/{version}.*/bin/python"), f"python{version}"]
    for command in map(str, places):
        try:
            said = subprocess.run(
                [command, "-c", "import sys; print(*sys.version_info[:2], sep='.')"], capture_output=True
            )
        except OSError:
            continue
        if said.stdout.decode().strip() == version:
            return command
    return None


def command_of(row: Row, python, count, seed):
    """The command of a piece, and its environment."""
    environment = os.environ | {"PYTHONPATH": str(TESTS / "support"), "PYTHONSAFEPATH": "1"}
    if row.make:
        oldest = [f"OLDEST={found_python(row.oldest)}"] if row.oldest else []
        return ["make", row.make, f"VENV={sys.prefix}", *oldest], environment | {"PYTEST_ADDOPTS": "-p proof_plugin"}
    marks = "not slow" if row.usual else "slow or not slow"
    options = [
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-p",
        "proof_plugin",
        "-m",
        marks,
        f"--hypothesis-seed={seed}",
    ]
    options += [f"--confcutdir={ROOT}", "-o", "console_output_style=classic"]
    tests = [str(TESTS / test) for test in row.tests]
    if row.total:
        environment |= {COUNT: str(count), SEED: str(seed)}
    environment |= row.settings
    return [str(python), *row.flags, str(python.parent / "pytest"), *options, *tests], environment


def run_limited(command, environment):
    """Run a command for at most LIMIT seconds, with all that it starts; returns its status (None: stopped) and text."""
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        file.seek(0)
        return status, file.read().decode(errors="replace")


def how_it_ended(status):
    """What became of a run without a report, in words."""
    return f"stopped after {LIMIT} s" if status is None else f"ended with status {status} and no test that was tried"


def run_piece(row: Row, python, count, seed):
    """Run one piece; returns its result and the output of pytest.  Raises NothingRun if no test began."""
    with tempfile.TemporaryDirectory() as folder:
        command, environment = command_of(row, python, count, seed)
        report, revision, begin = Path(folder) / "report.json", proof_results.revision(), time.monotonic()
        status, said = run_limited(command, environment | {REPORT: str(report)})
        seconds = time.monotonic() - begin
        begun = report.with_suffix(BEGUN).exists()
        told = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
    if not begun or (told and not told["tests"]):
        raise NothingRun(f"{row.name}: no test was run\n{said[-3000:]}")
    result = {"row": row.name, "asked": count, "seed": seed, "seconds": round(seconds, 1), "revision": revision}
    result |= {"release": proof_results.release(), "date": f"{datetime.datetime.now(datetime.timezone.utc).date()}"}
    result |= outcome(status, told)
    return (result if result["result"] == "passed" else result | {"said": said[-SAID:]}), said


def outcome(status, told):
    """What a result says of its tests.  Without a report it is a failure; what was tried by then is not known."""
    if told is None or status is None:
        place = {"machine": proof_results.machine("unknown"), "versions": versions()}
        failed = {"count": 0, "escapes": 1, "tests": 0, "skipped": 0, "failed": [how_it_ended(status)]}
        return {"result": "failed"} | failed | place
    tests = told["tests"]
    named = {
        word: [name for name in tests if tests[name]["outcome"] == word] for word in ("passed", "failed", "skipped")
    }
    counts = [one["count"] for one in tests.values() if one["outcome"] == "passed"]
    return {
        "count": sum(1 if number is None else number for number in counts),
        "result": "passed" if status == 0 and counts else "failed",
        "escapes": len(named["failed"]),
        "tests": len(named["passed"]),
        "skipped": len(named["skipped"]),
        "failed": sorted(named["failed"]) or [how_it_ended(status)] * (status != 0 or not counts),
        "machine": proof_results.machine(told["instructions"]),
        "versions": told["versions"],
    }


def tell(row: Row, result, said):
    """Print the result of a piece, and how to repeat a failure."""
    of = f" of {row.total:,}" if row.total else ""
    print(
        f"{row.name}: {result['count']:,}{of} {row.unit}, seed {result['seed']}, {result['seconds']:,.0f} s: "
        f"{result['result']}, {result['escapes']} escapes",
        flush=True,
    )
    if result["result"] != "passed":
        print(said[-6000:])
        print(f"to repeat it: make proof ROWS={row.name} SEED={result['seed']} COUNT={result['asked']}", flush=True)


def absent(row: Row):
    """What this machine lacks for a row, in words, or ""."""
    if lacks := row.needs - proof_results.cpu()[1]:
        return f"this CPU lacks {', '.join(sorted(lacks))}"
    if row.tool and not shutil.which(row.tool):
        return f"there is no {row.tool} here"
    if row.native and not has_native():
        return "there are no compiled kernels here: make native"
    there = found_python(row.oldest) if row.oldest else python_of(row)
    return "" if there else f"there is no Python {row.oldest or row.python} here"


def run_row(row: Row, share):
    """Run the rest of a row, until a piece fails; returns what became of it: "", "failed" or what the machine lacks."""
    while piece := proof_results.next_piece(row, proof_results.read(), share):
        if lacking := absent(row):
            return lacking
        try:
            result, said = run_piece(row, python_of(row), piece[1], piece[0])
        except NothingRun as error:
            print(error, flush=True)
            return "failed"
        proof_results.add(result)
        proof_page.write()
        tell(row, result, said)
        if result["result"] != "passed":
            return "failed"
    return ""


def print_ages(rows):
    """Print how much was changed since the results of rows."""
    for row in rows:
        for revision in sorted({one["revision"] for one in proof_results.read() if one["row"] == row.name}):
            since = proof_results.changed_since(revision)
            told = "not a revision of this repository" if since is None else "{} commits, {} files since".format(*since)
            print(f"{row.name}: {revision}: {told}", flush=True)


def arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description="Run the rows that are not done yet.")
    parser.add_argument("--rows", nargs="*", default=[], metavar="NAME", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--share", type=float, default=1.0, help="of each row that has a size, for a short run")
    parser.add_argument("--seed", type=int, help="repeat a piece, and keep no result")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--age", action="store_true", help="say how much was changed since each result; run nothing")
    given = parser.parse_args()
    unknown = set(given.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    return given


def main():
    """Run rows; returns the status of the command."""
    given = arguments()
    rows = [ROWS[name] for name in given.rows or ROWS]
    if given.age:
        return print_ages(rows)
    if given.seed is not None:
        results = [(row, *run_piece(row, python_of(row), given.count, given.seed)) for row in rows]
        for row, result, said in results:
            tell(row, result, said)
        return any(result["result"] != "passed" for _, result, _ in results)
    ended = {row.name: run_row(row, given.share) for row in rows}
    for name, why in ended.items():
        if why:
            print(f"{name}: {why if why == 'failed' else f'not run, {why}'}", flush=True)
    return "failed" in ended.values()


if __name__ == "__main__":
    sys.exit(main())
