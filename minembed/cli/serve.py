"""`minembed serve`: serve models over HTTP."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click
from click.core import ParameterSource

from minembed.types import Backend, DtypeChoice

Command = TypeVar("Command", bound=Callable[..., Any])
LINK = re.compile(r"(tcp|udp|sctp)://")  # begins the variable NAME_PORT of a Service, in Kubernetes


def read_keys(ctx: click.Context, param: click.Parameter, path: Path | None) -> tuple[str, ...]:
    """The keys of a file, one per line; lines that are empty or begin with # are ignored."""
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8-sig")  # editors of Windows put a byte-order mark before the first key
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"{path} is not UTF-8: save it as UTF-8, one key per line") from error
    lines = [line.strip() for line in text.split("\n")]
    for i, line in enumerate(lines, 1):
        if not line.isprintable() and not line.startswith("#"):
            raise click.BadParameter(
                f"{path}, line {i}: the key holds a control character or an invisible one, which clients cannot send: "
                "write it anew"
            )
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys:
        raise click.BadParameter(f"{path} holds no key: write one per line")
    return keys


def check_values(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse host names and origins that no request could have."""
    from minembed.errors import InputError
    from minembed.serve.settings import host_form, origin_form

    try:
        for value in values:
            (host_form if param.name == "allowed_host" else origin_form)(value)
    except InputError as error:
        raise click.BadParameter(str(error)) from error
    return values


class Seconds(click.FloatRange):
    """A time from 0 to a day: Python's float also reads "nan", which is in every range."""

    def __init__(self) -> None:
        super().__init__(min=0, max=86_400)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it."""
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return seconds


class Setting(click.Option):
    """An option that an environment variable can set, too; an error of its value names where the value came from."""

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """The variable's value; the one that Kubernetes writes for a Service named minembed is none of ours."""
        value = super().resolve_envvar_value(ctx)
        if value is None or self.envvar != "MINEMBED_PORT" or not LINK.match(value):
            return value
        if not ctx.resilient_parsing:
            told = f"minembed: {self.envvar}={value} is ignored: Kubernetes writes it for a Service named minembed"
            click.echo(told, err=True)
        return None

    def get_error_hint(self, ctx: click.Context | None) -> str:
        """The name of the option, or of the variable that set it."""
        hint = super().get_error_hint(ctx)
        is_variable = ctx is not None and ctx.get_parameter_source(self.name or "") is ParameterSource.ENVIRONMENT
        return f"{self.envvar} (environment variable for {hint})" if is_variable else hint


def setting(name: str, **facts: Any) -> Callable[[Command], Command]:
    """An option that an environment variable can set, too: --max-body as MINEMBED_MAX_BODY."""
    variable = "MINEMBED_" + name.removeprefix("--").replace("-", "_").upper()
    return click.option(name, cls=Setting, envvar=variable, **facts)


def number(name: str, default: int, help_text: str, metavar: str = "N") -> Callable[[Command], Command]:
    """Such an option whose value is a number, at least 1."""
    kind = click.IntRange(min=1)
    return setting(name, type=kind, default=default, show_default=True, metavar=metavar, help=help_text)


@click.command("serve", short_help="Serve models over HTTP, as OpenAI and TEI do.")
@click.argument("models", nargs=-1, metavar="[MODEL]...", envvar="MINEMBED_MODELS")
@setting("--rerank", multiple=True, metavar="MODEL", help="A cross-encoder, for /rerank.")
@setting("--index", multiple=True, metavar="FOLDER", help="An index, for /v1/search.")
@setting("--host", default="127.0.0.1", show_default=True, help="Address.")
@setting("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port; 0: any free one.")
@setting(
    "--api-key-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=read_keys,
    metavar="FILE",
    help="Keys, one per line; requests then need one of them.",
)
@setting("--insecure-no-auth", is_flag=True, help="Allow requests from other machines without a key.")
@setting(
    "--allowed-host",
    multiple=True,
    callback=check_values,
    metavar="NAME",
    help="A host name by which clients may call this server; *: any.",
)
@setting(
    "--allowed-origin",
    multiple=True,
    callback=check_values,
    metavar="URL",
    help="A site whose pages may send requests (CORS); *: any.",
)
@setting("--threads", type=click.IntRange(1, 1024), metavar="N", help="Threads; default: all available cores.")
@setting(
    "--dtype", type=click.Choice(get_args(DtypeChoice)), help="Type of the numbers; default: float32, or as stored."
)
@setting("--backend", type=click.Choice(get_args(Backend)), default="auto", help="Implementation; auto: the fastest.")
@setting("--offline", is_flag=True, help="Use only what is on this machine.")
@number("--max-batch-tokens", 1024, "Tokens that a core computes together.")
@number("--max-queue-tokens", 524_288, "Tokens that may wait; further requests get 429.")
@number("--max-queue-requests", 1024, "Requests that may wait.")
@number("--max-items", 2048, "Texts per request.")
@number("--max-body", 2_000_000, "Bytes per request.", "BYTES")
@number("--max-connections", 256, "Open connections.")
@setting(
    "--too-long",
    type=click.Choice(["truncate", "error"]),
    default="truncate",
    show_default=True,
    help="What to do with texts that are too long.",
)
@setting("--accept-token-ids", is_flag=True, help="Also accept lists of this model's token ids.")
@setting(
    "--access-log",
    type=click.Choice(["human", "json", "none"]),
    default="human",
    show_default=True,
    help="One line per request, on standard error.",
)
@setting(
    "--grace",
    type=Seconds(),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for requests to finish when the server stops.",
)
def command(**given: Any) -> None:
    """Serve embedding models over HTTP, with the interfaces of OpenAI and text-embeddings-inference.

    MODEL is a folder, "org/name" or a bare name; NAME=MODEL serves it under another name.  The first one answers
    requests that name no model. Options can come from the environment: --max-body as MINEMBED_MAX_BODY. A signal stops
    the server: accepted requests are answered, and the exit code is 0.

    \b
    minembed serve all-MiniLM-L6-v2
    minembed serve all-MiniLM-L6-v2 --index notes.index --port 9000
    minembed serve big=org/name small=all-MiniLM-L6-v2
    """
    from minembed.serve.extra import require

    require()
    from minembed.serve.server import run
    from minembed.serve.settings import Settings

    settings = Settings(
        models=given.pop("models"),
        rerankers=given.pop("rerank"),
        indexes=given.pop("index"),
        api_keys=given.pop("api_key_file"),
        allowed_hosts=given.pop("allowed_host"),
        allowed_origins=given.pop("allowed_origin"),
        strict=given.pop("too_long") == "error",
        **given,
    )
    run(settings, lambda url: click.echo(f"minembed: ready on {url}", err=True))
