"""The command line: one file per command, which is imported only when the command is called or listed.

`import minembed` does not import click or anything heavier.  The modules that compute are imported inside the
commands, so `minembed --help` answers at once.
"""

import difflib
import errno
from importlib import import_module
from typing import Any

import click

from minembed.cli.console import Failure, one_line_warnings, stops_on_signals, tells_logs, use_utf8
from minembed.errors import MinembedError
from minembed.version import __version__

COMMANDS: tuple[str, ...] = ("demo", "embed", "similarity", "search", "index", "dedupe", "cluster", "map", "rerank")
COMMANDS += ("serve", "evaluate", "train", "models", "pull", "quantize", "info")
COMMANDS += ("explain", "trace", "report", "study", "doctor")
ALL_OR_NOTHING = frozenset(("search", "index", "dedupe", "cluster", "map", "rerank", "evaluate"))
INTERRUPTED = 130  # 128 + SIGINT, as in shells


class Commands(click.Group):
    """The commands of this folder; also handles their errors.

    >>> Commands().get_command(click.Context(Commands()), "demo").name
    'demo'
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List all commands, in the order in which a beginner needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"minembed.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; the error for an unknown one suggests a similar name."""
        near = difflib.get_close_matches(args[0], COMMANDS, 1)
        if args[0] not in COMMANDS and near and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set up the streams for any text, then parse the command line."""
        use_utf8()
        try:
            return super().parse_args(ctx, args)
        except OSError as error:  # for example a full disk that --help is written to
            if error.errno == errno.EPIPE:
                raise
            raise Failure(error.strerror or str(error)) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a MinembedError ends it with one line and exit code 1."""
        try:
            with stops_on_signals(), one_line_warnings(), tells_logs():
                return super().invoke(ctx)
        except MinembedError as error:
            raise Failure(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of the pipe is gone: click ends the command silently
                raise
            where = f"{error.filename}: " if error.filename else ""
            raise Failure(f"{where}{error.strerror or error}") from error
        except KeyboardInterrupt:
            if ctx.invoked_subcommand in ALL_OR_NOTHING:
                click.echo("minembed: interrupted: no file was changed; the same command begins again", err=True)
            ctx.exit(INTERRUPTED)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="minembed")
def main() -> None:
    """Turn texts into vectors on the CPU, with real sentence-embedding models and plain NumPy.

    \b
    minembed demo                                     see it work
    minembed similarity "a cat" "a kitten"            compare texts
    minembed embed -i texts.txt -o vectors.npy        embed a file
    minembed search notes.txt "how to bake bread"     search a file
    minembed COMMAND --help                           all options of a command
    """
