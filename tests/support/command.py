"""Run the command line in this process."""

from click.testing import CliRunner

from minembed.cli import main


def run(*args, stdin=None, code=0):
    """Run a command; what it printed on standard output and standard error."""
    result = CliRunner().invoke(main, list(map(str, args)), input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout, result.stderr
