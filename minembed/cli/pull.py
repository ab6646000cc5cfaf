"""`minembed pull`: download a model once, and print its folder."""

import hashlib
from pathlib import Path

import click

from minembed.cli.console import table
from minembed.cli.model_choice import DEFAULT_MODEL


def sha256(path: Path) -> str:
    """The SHA-256 of a file, which is read in pieces.

    >>> import os
    >>> sha256(Path(os.devnull))[:16]
    'e3b0c44298fc1c14'
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


@click.command("pull", short_help="Download a model, or find it on this machine.")
@click.argument("name", default=DEFAULT_MODEL)
@click.option("--revision", metavar="REV", help="Branch, tag or commit on the Hub.")
@click.option("--offline", is_flag=True, help="Look only on this machine.")
def command(name: str, revision: str | None, offline: bool) -> None:
    """Download a model (all-MiniLM-L6-v2 by default), or find it on this machine.

    Prints the folder, the source it came from, and the size and SHA-256 of every file.
    """
    from minembed.weights.sources.locate import locate

    found = locate(name, revision=revision, local_files_only=offline)
    files = sorted(path for path in found.folder.rglob("*") if path.is_file())
    click.echo(found.folder)
    click.echo(f"source: {found.source}" + (f", revision {found.revision}" if found.revision else ""))
    rows = [[f"{path.stat().st_size:,}", sha256(path), path.relative_to(found.folder).as_posix()] for path in files]
    for line in table([["bytes", "sha256", "file"], *rows], right=frozenset({0})):
        click.echo(line)
