"""Run the command line in this process."""

import re
import signal
import sys

from click.testing import CliRunner

from minembed.cli import main

ANSI = re.compile(r"\x1b\[[0-9;]*m")
MODULE = [sys.executable, "-m", "minembed"]  # the command line as a process of its own
COMPILING = re.compile(r"^(compiling \w+ kernels|another process compiles) .*\n", re.M)  # if no other test was earlier
SIGNALS = [signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)]


def run(*args, stdin=None, code=0):
    """Run a command; returns its standard output and standard error, without what is said about compiling."""
    result = CliRunner().invoke(main, list(map(str, args)), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout, COMPILING.sub("", result.stderr)


def heeds_signals():
    """For preexec_fn: the tests may run with these signals ignored, as in the background of a shell."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(".minembed"))
