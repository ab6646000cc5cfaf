"""`minembed explain`: why two texts are similar, token by token."""

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any, get_args

import click

from minembed.cli.console import as_text, table
from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.types import Color

if TYPE_CHECKING:
    from minembed.study.explanation import Explanation

LEVELS = ("output", "input", "integrated", "deletion", "all")


@click.command("explain", short_help="Show why two texts are alike.")
@click.argument("a")
@click.argument("b")
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    default="input",
    show_default=True,
    help="What is divided: last hidden states (output), contributions of tokens (input), integrated gradients, "
    "or the effect of deleting a token.",
)
@click.option(
    "--bias",
    type=click.Choice(("show", "spread", "hide")),
    default="show",
    show_default=True,
    help="What to do with the part that comes from no token.",
)
@click.option("--test/--no-test", default=True, show_default=True, help="Compare with the effect of deleting tokens.")
@click.option("--cross-encoder", is_flag=True, help="The model is a cross-encoder: integrated, deletion, all.")
@click.option("--prompt-names", nargs=2, metavar="NAME NAME", help="The checkpoint's prompts for A and B.")
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON: pieces, matrices, residuals, tests.")
@click.option(
    "--color", type=click.Choice(get_args(Color)), default="auto", show_default=True, help="Colours of the map."
)
def command(
    a: str,
    b: str,
    level: str,
    bias: str,
    test: bool,
    cross_encoder: bool,
    prompt_names: tuple[str, str] | None,
    choice: ModelChoice,
    as_json: bool,
    color: str,
) -> None:
    """Divide the score of texts A and B into parts, token by token, and show by how much their sum differs from the
    score.

    \b
    minembed explain "The cat sleeps." "A kitten is napping."
    minembed explain "The cat sleeps." "A kitten is napping." --level all
    """
    from minembed.models.reranker import Reranker
    from minembed.study.explaining import explain

    model = choice.load(Reranker.load, None) if cross_encoder else load_model(choice, keep_params=True)
    names = prompt_names or (None, None)
    found: Any = explain(model, as_text(a), as_text(b), level, bias=bias, test=test, prompt_names=names)  # type: ignore[call-overload]
    levels: dict[str, Explanation] = found if isinstance(found, dict) else {level: found}
    if as_json:
        shown = {name: as_json_object(one) for name, one in levels.items()}
        first = next(iter(levels.values()))
        about = {"model": choice.name, "similarity": first.similarity, "score": first.score}
        click.echo(json.dumps({**about, "levels": shown}, ensure_ascii=False))
        return
    show(levels, color)


def show(levels: "dict[str, Explanation]", color: str) -> None:
    """Print the maps and their notes; for several levels also their test results."""
    from minembed.cli.heatmap import colour_depth
    from minembed.cli.token_map import printable, token_map

    depth = colour_depth(color, sys.stdout)
    width = shutil.get_terminal_size((100, 24)).columns
    for i, one in enumerate(levels.values()):
        click.echo("\n" * bool(i), nl=False)
        for line in token_map(one.matrix, one.a.labels, one.b.labels, depth, width):
            click.echo(line, color=depth != "never")
        click.echo()
        for line in str(one).splitlines():
            click.echo(printable(line))
    if len(levels) > 1:
        rows = [["level", "residual", "tokens", "pairs", "curve"]]
        for name, one in levels.items():
            test = one.test
            told = ["", "", ""] if test is None else [f"{x:+.3f}" for x in (test.tokens, test.pairs, test.curve)]
            rows.append([name, f"{one.residual:.1e}", *told])
        click.echo()
        for line in table(rows, right=frozenset({1, 2, 3, 4})):
            click.echo(line)


def as_json_object(one: "Explanation") -> dict[str, Any]:
    """An explanation as JSON; values that the test could not compute are null.

    >>> import numpy as np
    >>> from minembed.study.explanation import Explanation, Side
    >>> side = Side("cat", ("cat",), np.zeros(1, bool))
    >>> as_json_object(Explanation("output", "dot", 2.0, side, side, np.array([[2.0]])))["residual"]
    0.0
    """
    test = None
    if one.test is not None:
        said = {"tokens": one.test.tokens, "pairs": one.test.pairs, "curve": one.test.curve}
        test = {name: value if value == value else None for name, value in said.items()}
    of_tokens = [part.tolist() for part in one.of_tokens()]
    return {
        "rows": one.a.labels,
        "columns": one.b.labels,
        "tokens": [len(one.a.pieces), len(one.b.pieces)],
        "matrix": one.matrix.tolist(),
        "of_tokens": of_tokens,
        "hidden": one.hidden,
        "sum": one.sum,
        "residual": one.residual,
        "steps": one.steps,
        "notes": one.notes,
        "test": test,
    }
