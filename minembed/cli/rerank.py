"""`minembed rerank`: order documents by how well they answer a query."""

import json
from functools import partial
from pathlib import Path

import click

from minembed.cli.console import as_text, file_or_stdin
from minembed.cli.model_choice import ModelChoice, model_options
from minembed.cli.passages import passages_of, selection_options
from minembed.data.excerpt import excerpt
from minembed.data.texts import Selection

DEFAULT_RERANKER = "cross-encoder/ms-marco-MiniLM-L6-v2"


@click.command("rerank", short_help="Sort documents by how well they answer a query.")
@click.argument("query")
@click.argument("documents", nargs=-1)
@click.option(
    "-i",
    "--input",
    "source",
    type=file_or_stdin(),
    metavar="FILE",
    help="One document per line, or a table in any format; - is standard input.",
)
@selection_options
@click.option("-k", "--top-k", type=click.IntRange(min=1), metavar="N", help="Print only the best N.")
@partial(model_options, default=DEFAULT_RERANKER)
@click.option("--max-seq-length", type=click.IntRange(min=1), metavar="N", help="Read at most N tokens of each pair.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: corpus_id, score, text.")
def command(
    query: str,
    documents: tuple[str, ...],
    source: Path | None,
    selection: Selection,
    top_k: int | None,
    choice: ModelChoice,
    max_seq_length: int | None,
    as_json: bool,
) -> None:
    """Print documents, best first, with the scores that a cross-encoder gives them for QUERY.

    Only the first 10,000 characters of a document are printed; --json prints all.

    \b
    minembed rerank "how to bake bread" "Knead the dough." "Compile the kernel."
    minembed rerank "how to bake bread" -i passages.txt -k 10
    """
    from minembed.models.reranker import Reranker

    numbers, texts = passages_of(documents, source, selection)
    loaded = choice.load(Reranker.load, max_seq_length)
    for hit in loaded.rank(as_text(query), texts, top_k=top_k, return_documents=True):
        if as_json:
            click.echo(json.dumps({**hit, "corpus_id": numbers[hit["corpus_id"]] - 1}, ensure_ascii=False))
        else:
            click.echo(f"{hit['score']:8.4f}  {numbers[hit['corpus_id']]:>5}  {excerpt(hit['text'])}")
