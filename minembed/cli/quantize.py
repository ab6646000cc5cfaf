"""`minembed quantize`: a copy of a model's folder with int8 weights, a quarter of the size."""

from pathlib import Path

import click

from minembed.cli.model_choice import DEFAULT_MODEL


@click.command("quantize", short_help="Store a model in int8.")
@click.argument("model", default=DEFAULT_MODEL)
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--dtype", type=click.Choice(["int8"]), default="int8", show_default=True, help="Type of the stored weights."
)
@click.option("--revision", metavar="REV", help="Branch, tag or commit on the Hub.")
@click.option("--offline", is_flag=True, help="Use only what is on this machine.")
def command(model: str, out: Path, dtype: str, revision: str | None, offline: bool) -> None:
    """Write MODEL to the new folder OUT with weights in int8.

    The folder can be loaded without the original (Embedder.load(OUT), or --model OUT), and gives exactly the same bits
    as the original with dtype "int8". There is no way back to float32.
    """
    from minembed.models.loading import finder
    from minembed.models.static import check_dtype
    from minembed.transformer.quantization import quantize
    from minembed.weights.directory import read_checkpoint
    from minembed.weights.families import read_params
    from minembed.weights.quantized import save

    find = finder(offline)
    found = find(model, revision=revision)
    checkpoint = read_checkpoint(found.folder, find)
    if checkpoint.is_static:
        check_dtype("int8")
    save(quantize(read_params(checkpoint)), checkpoint, out)
    sizes = [sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) for folder in (found.folder, out)]
    click.echo(f"{out}: {sizes[1] / 1e6:.1f} MB, from {sizes[0] / 1e6:.1f} MB")
