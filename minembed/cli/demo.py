"""`minembed demo`: ten sentences on two topics, and whether the model separates the topics."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from minembed.cli.console import new_file
from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.types import Color

if TYPE_CHECKING:
    from minembed.types import Array

COOKING = (
    "Fry the onions slowly until they turn soft and golden.",
    "Let the bread dough rise in a warm place, then bake it.",
    "Taste the soup and add a pinch of salt before serving.",
    "Roast the vegetables in a hot oven until the edges brown.",
    "Boil the pasta in plenty of salted water and drain it.",
)
PROGRAMMING = (
    "The function returns the wrong value for an empty list.",
    "The unit test fails because the function raises an error.",
    "Rewrite this loop as a recursive function in Python.",
    "The compiler reports a type error in this line of code.",
    "Set a breakpoint in the function and run the debugger.",
)


@dataclass(frozen=True, slots=True)
class Separation:
    """The cosines within topics, compared with those across topics."""

    mean_within: float
    mean_across: float
    lowest_within: float
    highest_across: float

    def verdict(self) -> str:
        """Say in one line whether the topics are separated.

        >>> Separation(0.4, 0.1, 0.3, 0.2).verdict()
        'Every pair within a topic is more alike than any pair across topics.'
        """
        if self.lowest_within > self.highest_across:
            return "Every pair within a topic is more alike than any pair across topics."
        if self.mean_within > self.mean_across:
            return "On average, pairs within a topic are more alike than pairs across topics."
        return "Pairs within a topic are no more alike than pairs across topics."


def separation(cosines: "Array", first: int) -> Separation:  # (N, N); the first rows are one topic
    """Compare pairs within topics with pairs across topics.

    >>> import numpy as np
    >>> separation(np.array([[1, 0.5, 0.1], [0.5, 1, 0.2], [0.1, 0.2, 1]]), first=2).highest_across
    0.2
    """
    import numpy as np

    topic = np.arange(len(cosines)) < first
    pair = np.triu(np.ones(cosines.shape, dtype=bool), k=1)  # each pair once, without a text with itself
    same = topic[:, None] == topic[None, :]
    within, across = cosines[pair & same], cosines[pair & ~same]
    return Separation(float(within.mean()), float(across.mean()), float(within.min()), float(across.max()))


def check_picture(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a file name whose ending names no format."""
    if value is not None and value.suffix.lower() not in (".png", ".svg"):
        raise click.BadParameter(f"{value.name!r} must end in .png or .svg", ctx, parameter)
    return value


@click.command("demo", short_help="A demo: which of ten sentences are alike?")
@model_options
@click.option(
    "--color",
    type=click.Choice(get_args(Color)),
    default="auto",
    show_default=True,
    help="Colours of the heat map.",
)
@click.option(
    "-o",
    "--output",
    type=new_file(),
    metavar="FILE",
    callback=check_picture,
    help="Also draw the heat map, as .png or .svg (extra viz).",
)
def command(
    choice: ModelChoice,
    color: str,
    output: Path | None,
) -> None:
    """Embed ten sentences, five on cooking and five on programming, and show which are alike.

    The first run downloads the model (about 90 MB); after that it works without a network.
    """
    import numpy as np

    from minembed.cli.heatmap import colour_depth, heat_map
    from minembed.runtime.backend import KERNELS_COME_BY
    from minembed.search.similarity import cosine_similarity

    loaded = load_model(choice)
    sentences = COOKING + PROGRAMMING
    labels = [f"C{i + 1}" for i in range(len(COOKING))] + [f"P{i + 1}" for i in range(len(PROGRAMMING))]
    vectors = loaded.encode(sentences)
    cosines = cosine_similarity(vectors, vectors)
    others = np.where(np.eye(len(sentences), dtype=bool), -np.inf, cosines)
    nearest = others.argmax(axis=1).tolist()
    own = sum(labels[i][0] == labels[j][0] for i, j in enumerate(nearest))
    depth = colour_depth(color, sys.stdout)

    click.echo(f"{choice.name} ({loaded.source}): {loaded.dimension} numbers per sentence\n")
    for label, sentence in zip(labels, sentences, strict=True):
        click.echo(f"  {label}  {sentence}")
    click.echo("\nCosines of all pairs of sentences (C cooking, P programming)\n")
    for line in heat_map(cosines, labels, depth):
        click.echo(f"  {line}", color=depth != "never")
    click.echo(f"\nNearest neighbour of each: {own} of {len(sentences)} within their own topic\n")
    for i, j in enumerate(nearest):
        click.echo(f"  {labels[i]} -> {labels[j]}  {others[i, j]:.3f}  {sentences[j]}")
    found = separation(cosines, len(COOKING))
    click.echo(
        f"\nWithin a topic: mean {found.mean_within:6.3f}, lowest  {found.lowest_within:6.3f}\n"
        f"Across topics:  mean {found.mean_across:6.3f}, highest {found.highest_across:6.3f}\n"
        f"{found.verdict()}"
    )
    if loaded.backend == "numpy":
        click.echo(f"\nComputed with NumPy; several times as fast with compiled kernels: {KERNELS_COME_BY}", err=True)
    if output is not None:
        draw(cosines, labels, sentences, choice.name, output)


def draw(cosines: "Array", labels: list[str], sentences: tuple[str, ...], model: str, output: Path) -> None:
    """Draw the heat map to a file."""
    from minembed.maps.heat import draw_heat
    from minembed.runtime.files import replacing

    with replacing(output) as file:
        draw_heat(cosines, labels, sentences, f"Cosines of ten sentences · {model}", file, output.suffix[1:].lower())
    click.echo(f"\n{output}: the heat map", err=True)
