"""`minembed similarity`: the cosine of each pair of texts."""

import json
import sys
from typing import get_args

import click

from minembed.cli.console import as_text
from minembed.cli.model_choice import DEFAULT_MODEL, ModelChoice, load_model, model_options
from minembed.types import Color

# The smallest cosine of each level; the words are those of the STS scale, 5 to 0.  Each bound is halfway between the
# median cosines of all-MiniLM-L6-v2 for the pairs of STS-B dev near one point of that scale and near the next.
READINGS = (
    (0.90, "the same meaning"),
    (0.77, "nearly the same meaning"),
    (0.66, "alike, but important details differ"),
    (0.51, "not alike, but something is shared"),
    (0.27, "the same topic at most"),
    (-1.0, "unrelated"),
)


def reading(cosine: float) -> str:
    """Describe a cosine in words, on the scale of all-MiniLM-L6-v2.

    >>> reading(0.9), reading(0.1)
    ('the same meaning', 'unrelated')
    """
    return next(words for least, words in READINGS if cosine >= least)


@click.command("similarity", short_help="Compare two texts, or more.")
@click.argument("texts", nargs=-1, required=True, metavar="TEXT TEXT...")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON: the texts and the matrix.")
@click.option(
    "--color",
    type=click.Choice(get_args(Color)),
    default="auto",
    show_default=True,
    help="Colours of the matrix.",
)
def command(
    texts: tuple[str, ...],
    choice: ModelChoice,
    as_json: bool,
    color: str,
) -> None:
    """Print the cosine of two texts, or the matrix of cosines of more.

    \b
    minembed similarity "The cat sleeps." "A kitten is napping."
    """
    if len(texts) < 2:
        raise click.UsageError("give at least two texts")
    from minembed.cli.heatmap import colour_depth, heat_map
    from minembed.search.similarity import cosine_similarity

    texts = tuple(map(as_text, texts))
    vectors = load_model(choice).encode(texts)
    cosines = cosine_similarity(vectors, vectors)
    if as_json:
        rows = [[round(value, 6) for value in row] for row in cosines.tolist()]
        click.echo(json.dumps({"model": choice.name, "texts": texts, "cosine": rows}, ensure_ascii=False))
    elif len(texts) == 2:
        cosine = float(cosines[0, 1])
        note = "" if choice.name == DEFAULT_MODEL else f" (by the scale of {DEFAULT_MODEL}; models differ)"
        click.echo(f"{cosine:.4f}  {reading(cosine)}{note}")
    else:
        depth = colour_depth(color, sys.stdout)
        labels = [str(i + 1) for i in range(len(texts))]
        for line in heat_map(cosines, labels, depth):
            click.echo(line, color=depth != "never")
        click.echo()
        for label, text in zip(labels, texts, strict=True):
            click.echo(f"{label:>3}  {text}")
