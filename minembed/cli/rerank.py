"""`minembed rerank`: documents in the order of how well they answer a query."""

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


@click.command("rerank", short_help="Order documents by a query.")
@click.argument("query")
@click.argument("documents", nargs=-1)
@click.option(
    "-i",
    "--input",
    "source",
    type=file_or_stdin(),
    metavar="FILE",
    help="A document a line, or a table of any form; - is standard input.",
)
@selection_options
@click.option("-k", "--top-k", type=click.IntRange(min=1), metavar="N", help="Print only the best N.")
@partial(model_options, default=DEFAULT_RERANKER)
@click.option("--max-seq-length", type=click.IntRange(min=1), metavar="N", help="Read at most N tokens of a pair.")
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
    """Print documents, best first, with the score that a cross-encoder gives each beside QUERY.

    Of a document of more than 10,000 characters the first are printed; --json prints it whole.

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
