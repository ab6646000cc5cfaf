"""`minembed report`: a page about two texts."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from minembed.cli.console import as_text, check_place
from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.cli.passages import selection_options

if TYPE_CHECKING:
    from minembed.data.texts import Selection

ENDINGS = (".html", ".htm")


@click.command("report", short_help="Write a page about why two texts are alike.")
@click.argument("a", metavar="TEXT")
@click.argument("b", metavar="TEXT")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The page.",
)
@click.option(
    "--corpus",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Other texts for a map: one per line, or a table.",
)
@click.option("--title", metavar="TEXT", help="Title of the page; default: the beginnings of both texts.")
@selection_options
@model_options
def command(
    a: str,
    b: str,
    output: Path,
    corpus: Path | None,
    title: str | None,
    selection: "Selection",
    choice: ModelChoice,
) -> None:
    """Divide the score of two texts into parts, and write a page that needs no network and no other file.

    It shows which tokens make the score, at several levels; where each head looks; the score by layer, and without each
    head.

    \b
    minembed report "A cat sleeps." "A kitten naps." -o cats.html
    minembed report "A cat sleeps." "A kitten naps." --corpus notes.csv
    """
    from minembed.study.report import report

    if output.suffix.lower() not in ENDINGS:
        raise click.UsageError(f"{output}: the page must end in .html")
    check_place(output)
    texts = None if corpus is None else texts_of(corpus, selection)
    found = report(load_model(choice, keep_params=True), as_text(a), as_text(b), corpus=texts, title=title)
    found.save(output)
    first = found.explanations[0]
    click.echo(f"{first.similarity} {first.score:.4f}; {output} ({output.stat().st_size / 1e6:.1f} MB)")


def texts_of(path: Path, selection: "Selection") -> list[str]:
    """The texts of a file in any format that `search` reads."""
    from minembed.data.corpus import Corpus

    return list(Corpus.of(path, selection).passages().texts)
