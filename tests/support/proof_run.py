"""Run the rows of `make proof` that are not done yet: `python proof_run.py [--rows NAME ...] [--share 0.1]`.

The results are stored after each piece, so that it continues where it stopped.  `--seed` and `--count` repeat one piece
without keeping its result.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import proof_page
import proof_results
from amounts import COUNT, SEED
from places import ROOT, TESTS
from proof_plugin import REPORT
from proof_rows import ROWS, Row

from minembed.runtime.backend import has_native

CLIENTS = 200  # of serve/check_many.py


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
        return ["make", row.make, f"VENV={sys.prefix}"], environment | {"PYTEST_ADDOPTS": "-p proof_plugin"}
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
    each = -(-count // CLIENTS)
    environment |= {name: value.format(count=count, seed=seed, each=each) for name, value in row.settings.items()}
    return [str(python), *row.flags, str(python.parent / "pytest"), *options, *tests], environment


def run_piece(row: Row, python, count, seed):
    """Run one piece; returns its result and the output of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        command, environment = command_of(row, python, count, seed)
        report, revision, begin = Path(folder) / "report.json", proof_results.revision(), time.monotonic()
        done = subprocess.run(
            command, env=environment | {REPORT: str(report)}, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        seconds = time.monotonic() - begin
        told = json.loads(report.read_text(encoding="utf-8")) if report.exists() else None
    said = done.stdout.decode(errors="replace")
    if told is None or not told["tests"]:
        raise SystemExit(f"{row.name}: no test was run\n{said[-3000:]}")
    by_outcome = {
        name: sum(one["outcome"] == name for one in told["tests"].values()) for name in ("passed", "failed", "skipped")
    }
    counts = [one["count"] for one in told["tests"].values() if one["outcome"] != "skipped"]
    counted = sum(1 if number is None else number for number in counts)
    return {
        "row": row.name,
        "asked": count,
        "count": count if row.settings and count else counted,
        "seed": seed,
        "seconds": round(seconds, 1),
        "result": "passed" if done.returncode == 0 else "failed",
        "escapes": by_outcome["failed"],
        "tests": by_outcome["passed"],
        "skipped": by_outcome["skipped"],
        "failed": sorted(name for name, one in told["tests"].items() if one["outcome"] == "failed"),
        "machine": proof_results.machine(told["instructions"]),
        "versions": told["versions"],
        "release": proof_results.release(),
        "revision": revision,
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }, said


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


def run_row(row: Row, share):
    """Run the rest of a row, until a piece fails; returns whether all passed."""
    if not row.needs <= proof_results.cpu()[1]:
        print(f"{row.name}: this CPU lacks {', '.join(sorted(row.needs - proof_results.cpu()[1]))}", flush=True)
        return True
    if row.tool and not shutil.which(row.tool):
        print(f"{row.name}: there is no {row.tool} here", flush=True)
        return True
    if row.native and not has_native():
        print(f"{row.name}: there are no compiled kernels here: make native", flush=True)
        return True
    python = python_of(row)
    if python is None:
        print(f"{row.name}: there is no Python {row.python} here", flush=True)
        return True
    while piece := proof_results.next_piece(row, proof_results.read(), share):
        result, said = run_piece(row, python, piece[1], piece[0])
        proof_results.add(result)
        proof_page.write()
        tell(row, result, said)
        if result["result"] != "passed":
            return False
    return True


def main():
    """Run rows."""
    parser = argparse.ArgumentParser(description="Run the rows that are not done yet.")
    parser.add_argument("--rows", nargs="*", default=[], metavar="NAME", help=f"of {', '.join(ROWS)}")
    parser.add_argument("--share", type=float, default=1.0, help="of each row, for a short run")
    parser.add_argument("--seed", type=int, help="repeat a piece, and keep no result")
    parser.add_argument("--count", type=int, default=0)
    given = parser.parse_args()
    unknown = set(given.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    rows = [ROWS[name] for name in given.rows or ROWS]
    if given.seed is not None:
        results = [(row, *run_piece(row, python_of(row), given.count, given.seed)) for row in rows]
        for row, result, said in results:
            tell(row, result, said)
        return any(result["result"] != "passed" for _, result, _ in results)
    return not all([run_row(row, given.share) for row in rows])


if __name__ == "__main__":
    sys.exit(main())
