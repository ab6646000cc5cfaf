"""The command line: one file a command, imported only when it is called or listed.

Click, and anything heavier, stays out of `import minembed`; what computes is imported inside the commands, so that
`minembed --help` answers at once.
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
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


class Commands(click.Group):
    """The commands of this folder, and what becomes of their errors.

    >>> Commands().get_command(click.Context(Commands()), "demo").name
    'demo'
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name all commands, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command of the table."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = import_module(f"minembed.cli.{cmd_name}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was perhaps meant."""
        near = difflib.get_close_matches(args[0], COMMANDS, 1)
        if args[0] not in COMMANDS and near and not ctx.resilient_parsing:
            raise click.UsageError(f"No such command {args[0]!r}. Did you mean {near[0]!r}?", ctx)
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, once the streams can carry any text."""
        use_utf8()
        try:
            return super().parse_args(ctx, args)
        except OSError as error:  # of the disk that --help is written to
            if error.errno == errno.EPIPE:
                raise
            raise Failure(error.strerror or str(error)) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error made on purpose ends it with one line and exit code 1."""
        try:
            with stops_on_signals(), one_line_warnings(), tells_logs():
                return super().invoke(ctx)
        except MinembedError as error:
            raise Failure(str(error)) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # the reader of a pipe has left: click ends the command quietly
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
