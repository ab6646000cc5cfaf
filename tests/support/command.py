"""Run the command line in this process."""

import re
import sys

from click.testing import CliRunner

from minembed.cli import main

ANSI = re.compile(r"\x1b\[[0-9;]*m")
MODULE = [sys.executable, "-m", "minembed"]  # the command line as a process of its own


def run(*args, stdin=None, code=0):
    """Run a command; what it printed on standard output and standard error."""
    result = CliRunner().invoke(main, list(map(str, args)), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".minembed"))
