"""`minembed trace`: a text's tokens, the steps from there to its vector, and the attention of a layer."""

import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from minembed.cli.console import as_text, check_place, new_file, table
from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.types import Color

if TYPE_CHECKING:
    from minembed.study.step import Step
    from minembed.study.traced import Trace

MOST = 24  # tokens of the picture: as many as fit on a screen
CELL = 4  # columns of a percentage


@click.command("trace", short_help="Show every step from a text to its vector.")
@click.argument("text")
@model_options
@click.option("--names", multiple=True, metavar="PATTERN", help='Steps to list, such as "layer.3.*"; may be repeated.')
@click.option("--layer", type=click.IntRange(min=0), metavar="N", help="Layer of the picture; default: the last.")
@click.option("--head", type=click.IntRange(min=0), metavar="N", help="Head of the picture; default: the mean of all.")
@click.option("--save", type=new_file(), metavar="FILE", help="Write the arrays to a .safetensors file.")
@click.option(
    "--color",
    type=click.Choice(get_args(Color)),
    default="auto",
    show_default=True,
    help="Colours of the picture.",
)
def command(
    text: str,
    choice: ModelChoice,
    names: tuple[str, ...],
    layer: int | None,
    head: int | None,
    save: Path | None,
    color: str,
) -> None:
    """Print the tokens of a text, the steps to its vector, and which token attends to which.

    \b
    minembed trace "A cat sat on the mat." --layer 3
    """
    from minembed.study import trace
    from minembed.study.saving import check_ending

    if save is not None:
        check_place(save)
        check_ending(save)
    model = load_model(choice, keep_params=True)
    layers = model.config.num_hidden_layers
    if (layer is not None and layer >= layers) or (head is not None and head >= model.config.num_attention_heads):
        heads = model.config.num_attention_heads
        raise click.UsageError(f"the model has {layers} layers (0 to {layers - 1}) of {heads} heads (0 to {heads - 1})")
    t = trace(model, as_text(text), names=names or "*")
    if save is not None:
        t.save(save)
    lines = [*tokens_table(t), "", *steps_table(t, names), ""]
    if layers:
        layer = layers - 1 if layer is None else layer
        wanted = f"layer.{layer}.probabilities"
        seen = t if wanted in t else trace(model, as_text(text), names=wanted)
        lines += picture(seen, layer, head, color)
    for line in lines:
        click.echo(line, color=color != "never")
    if save is not None:
        click.echo(f"\n{len(t)} arrays are in {save}")


def tokens_table(t: "Trace") -> list[str]:
    """The tokens, one per line: place, piece, id."""
    rows = [["", "token", "id", ""]]
    for i, (piece, number, special) in enumerate(zip(t.pieces, t.tokens.ids.tolist(), t.special, strict=True)):
        rows.append([str(i), shown(piece), str(number), "special" if special else ""])
    return table(rows, right=frozenset({0, 2}))


def steps_table(t: "Trace", names: tuple[str, ...]) -> list[str]:
    """The steps, one per line; without patterns, layer 0 represents all layers with the same steps."""
    steps = [step for name, step in t.steps.items() if not names or any(fnmatchcase(name, n) for n in names)]
    alike: list[int] = []
    if not names:
        parts = {i: _parts(t, i) for i in range(sum(name.endswith(".qkv") for name in t.steps))}
        alike = [i for i in parts if i and parts[i] == parts.get(0)]
        steps = [step for step in steps if not any(_is_of(step, i) for i in alike)]
    rows = [[s.name, " ".join(s.axes), "x".join(map(str, s.shape)), s.formula, s.source] for s in steps]
    far = "" if not t.distance else f"; the vector of {t.backend} differs by {t.distance:.1e}"
    lines = [f"{len(t.steps)} steps in {t.dtype}, computed by NumPy{far}", *table(rows)]
    if alike:
        which = f"{alike[0]} to {alike[-1]}" if alike == list(range(1, alike[-1] + 1)) else ", ".join(map(str, alike))
        lines.append(f"(layers {which} have the same steps as layer 0; to list them: --names 'layer.{alike[-1]}*')")
    return lines


def _is_of(step: "Step", layer: int) -> bool:
    return step.name == f"layer.{layer}" or step.name.startswith(f"layer.{layer}.")


def _parts(t: "Trace", layer: int) -> list[tuple[str, str]]:
    """The steps of a layer without its number, which formulas of sums contain, too."""
    own = (step for step in t.steps.values() if _is_of(step, layer))
    return [
        (step.name.removeprefix(f"layer.{layer}"), "" if step.name.endswith(".sum") else step.formula) for step in own
    ]


def picture(t: "Trace", layer: int, head: int | None, color: str) -> list[str]:
    """The attention of a layer as percentages: rows are tokens that attend, columns tokens attended to."""
    from minembed.cli.heatmap import colour_depth, paint
    from minembed.study.attention_maps import attention_map

    p, depth = attention_map(t, layer, head), colour_depth(color, sys.stdout)
    N = min(len(p), MOST)
    of = f"mean of {len(t[f'layer.{layer}.probabilities'])} heads" if head is None else f"head {head}"
    lines = [f"attention of layer {layer}, {of}: percent of each token (row) that goes to each token (column)"]
    wide = max(len(shown(piece)) for piece in t.pieces[:N])
    margin = wide + len(str(N)) + 3
    lines.append(" " * margin + "".join(str(i).rjust(CELL) for i in range(N)))
    largest = float(p[:N, :N].max()) or 1.0
    for i in range(N):
        cells = [paint(f"{100 * x:.0f}".rjust(CELL), x / largest, depth) for x in p[i, :N].tolist()]
        lines.append(f"{i:>{len(str(N)) + 1}} {shown(t.pieces[i]):<{wide}} " + "".join(cells))
    if len(p) > N:
        lines.append(f"(the first {N} of {len(p)} tokens)")
    return lines


def shown(piece: str) -> str:
    """A piece as a terminal can show it: characters that are not printable are escaped.

    >>> shown("cat"), shown("\\x1b[2J")
    ('cat', '\\\\x1b[2J')
    """
    return piece if piece.isprintable() else ascii(piece)[1:-1]
