"""`minembed rerank`: documents in the order of how well they answer a query."""

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import get_args

import click

from minembed.cli.console import as_text, model_options
from minembed.cli.embed import open_texts
from minembed.types import Backend, Dtype, TextFormat

DEFAULT_RERANKER = "cross-encoder/ms-marco-MiniLM-L6-v2"


@click.command("rerank", short_help="Order documents by a query.")
@click.argument("query")
@click.argument("documents", nargs=-1)
@click.option(
    "-i",
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help=".txt (a document a line), .jsonl, .csv or .parquet; - is standard input.",
)
@click.option(
    "--format",
    "file_format",
    type=click.Choice(get_args(TextFormat)),
    help="Format of the input; default: by its name.",
)
@click.option("--field", metavar="NAME", help='Field or column of the documents; default: "text".')
@click.option("-k", "--top-k", type=click.IntRange(min=1), metavar="N", help="Print the best N alone.")
@partial(model_options, default=DEFAULT_RERANKER)
@click.option("--max-seq-length", type=click.IntRange(min=1), metavar="N", help="Read at most N tokens of a pair.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: corpus_id, score, text.")
def command(
    query: str,
    documents: tuple[str, ...],
    source: Path | None,
    file_format: str | None,
    field: str | None,
    top_k: int | None,
    model: str,
    revision: str | None,
    offline: bool,
    threads: int | None,
    dtype: Dtype | None,
    backend: Backend,
    max_seq_length: int | None,
    as_json: bool,
) -> None:
    """Print documents, best first, with the score that a cross-encoder gives each beside QUERY.

    \b
    minembed rerank "how to bake bread" "Knead the dough." "Compile the kernel."
    minembed rerank "how to bake bread" -i passages.txt -k 10
    """
    from minembed.models.reranker import Reranker

    with ExitStack() as stack:
        texts = list(open_texts(documents, source, file_format, field, stack))
    loaded = Reranker.load(
        model,
        revision=revision,
        local_files_only=offline,
        threads=threads,
        dtype=dtype,
        backend=backend,
        max_seq_length=max_seq_length,
    )
    for found in loaded.rank(as_text(query), texts, top_k=top_k, return_documents=True):
        if as_json:
            click.echo(json.dumps(found, ensure_ascii=False))
        else:
            click.echo(f"{found['score']:8.4f}  {found['corpus_id'] + 1:>5}  {' '.join(found['text'].split())}")
