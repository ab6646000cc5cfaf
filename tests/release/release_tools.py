"""Environments of the tools that make a release, with the versions that requirements/ pins; and how they are run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

REQUIREMENTS = Path(__file__).with_name("requirements")
QUIET = ("-q", "--disable-pip-version-check", "--no-warn-script-location")


def stop(message: str) -> NoReturn:
    """End with a line that says what to do."""
    sys.exit(f"make release: {message}")


def run(*words: str | Path, keep: bool = False, **options: object) -> str:
    """Run a command, and return what it prints; where it fails, say with what, and end.

    keep: let its output through instead, for commands that people watch.
    """
    command = [str(word) for word in words]
    pipe = {} if keep else {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    done = subprocess.run(command, text=True, check=False, **pipe, **options)
    if done.returncode:
        said = "" if keep else f":\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        stop(f"{' '.join(command[:6])} failed with {done.returncode}{said}")
    return done.stdout or ""


def try_to(*words: str | Path, **options: object) -> str:
    """Run a command; AssertionError with its last lines where it fails."""
    command = [str(word) for word in words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800, **options)
    assert done.returncode == 0, f"{' '.join(command[-3:])[-200:]}: {(done.stderr or done.stdout).strip()[-1500:]}"
    return done.stdout + done.stderr


def plain_environment(**more: str) -> dict[str, str]:
    """The variables of this process, without those that would change what is built or imported."""
    dropped = ("PYTHONPATH", "PYTHONSAFEPATH", "PYTHONHOME", "PYTHONWARNINGS", "MINEMBED_DISABLE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped and not name.startswith("NUMBA_")}
    return kept | more


def environment(work: Path, name: str) -> Path:
    """The Python of the environment with what requirements/NAME.txt pins, made anew where the list has changed."""
    wanted = (REQUIREMENTS / f"{name}.txt").read_text(encoding="utf-8")
    folder, made = work / name, work / name / "requirements.txt"
    if not made.is_file() or made.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        print(f"an environment with the tools of {name}.txt", flush=True)
        run(sys.executable, "-m", "venv", folder)
        run(
            *(folder / "bin" / "python", "-m", "pip", "install", *QUIET, "--no-deps"),
            *("-r", REQUIREMENTS / f"{name}.txt"),
        )
        made.write_text(wanted, encoding="utf-8")
    return folder / "bin" / "python"


def frozen(python: Path) -> list[str]:
    """What an environment holds, a line a package, pip too."""
    return run(python, "-m", "pip", "freeze", "--all", "--disable-pip-version-check").split("\n")[:-1]
