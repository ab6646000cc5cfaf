"""`minembed evaluate`: how well vectors agree with human scores of pairs, or of answers to queries."""

import json
from pathlib import Path
from typing import get_args

import click

from minembed.cli.columns import missing_option, names_of
from minembed.cli.console import existing_file, table
from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.cli.passages import reading_options
from minembed.data.beir import read_documents, read_judgements
from minembed.data.sts import read_sts
from minembed.data.table import Reading
from minembed.errors import InputError
from minembed.types import Metric, Missing


@click.group("evaluate", short_help="Measure a model against human judgements.")
def command() -> None:
    """Measure a model against human judgements."""


@command.command("sts")
@click.argument("file", type=existing_file())
@click.option(
    "--columns", callback=names_of, metavar="A,B", help="Columns of the texts; default: by their usual names."
)
@click.option("--score", metavar="NAME", help="Column of the scores; default: by its usual names.")
@missing_option("a text or a score")
@reading_options
@model_options
@click.option("--prompt-name", metavar="NAME", help="Prepend this prompt of the model to every text.")
@click.option(
    "--truncate-dim", type=click.IntRange(min=1), metavar="N", help="Keep the first N numbers of each vector."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sts(
    file: Path,
    columns: tuple[str, ...] | None,
    score: str | None,
    missing: Missing | None,
    reading: Reading,
    choice: ModelChoice,
    prompt_name: str | None,
    truncate_dim: int | None,
    as_json: bool,
) -> None:
    """Semantic textual similarity: correlate cosines with human scores of pairs of sentences.

    FILE is a .csv, .tsv, .jsonl, .json, .parquet or .feather with the columns sentence1, sentence2 and score, other
    usual names (question1, question2, is_duplicate; sentence_A, sentence_B, relatedness_score; ...), or just these
    three columns without names. The scores may have any scale.

    \b
    minembed evaluate sts sts-test.csv
    minembed evaluate sts pairs.tsv --columns first,second --score grade
    """
    pairs = read_sts(file, reading=reading, columns=columns, score=score, missing=missing or "error")
    if len(pairs) < 2:
        raise InputError(f"{file} holds {len(pairs)} pairs; a correlation needs at least 2")
    from minembed.evaluation.pairs import pearson, spearman
    from minembed.search.similarity import pairwise

    loaded = load_model(choice)
    gold = [pair.score for pair in pairs]
    different = dict.fromkeys(text for pair in pairs for text in (pair.first, pair.second))  # many texts occur twice
    vectors = loaded.encode(list(different), prompt_name=prompt_name, truncate_dim=truncate_dim)
    row = {text: i for i, text in enumerate(different)}
    cosines = pairwise(
        vectors[[row[pair.first] for pair in pairs]], vectors[[row[pair.second] for pair in pairs]], "cosine"
    )
    found = {"spearman": spearman(cosines, gold), "pearson": pearson(cosines, gold)}
    if as_json:
        click.echo(json.dumps({"file": str(file), "model": choice.name, "pairs": len(pairs), **found}))
        return
    click.echo(f"{file}: {len(pairs):,} pairs, scores from {min(gold):g} to {max(gold):g}")
    click.echo(f"{choice.name} ({loaded.source})")
    for name, value in found.items():
        click.echo(f"  {name.capitalize():<9} {value:7.4f}  ({100 * value:.2f})")


@command.command("retrieval")
@click.argument("queries", type=existing_file())
@click.argument("corpus", type=existing_file())
@click.argument("qrels", type=existing_file())
@model_options
@click.option(
    "--metric", type=click.Choice(get_args(Metric)), help="How vectors are compared; default: as the model says."
)
@click.option("--graded", is_flag=True, help="Let nDCG use the scores of documents, not only whether they are above 0.")
@click.option("--query-prompt-name", metavar="NAME", help="The model's prompt for queries; default: its own.")
@click.option("--corpus-prompt-name", metavar="NAME", help="The model's prompt for documents; default: its own.")
@click.option(
    "--truncate-dim", type=click.IntRange(min=1), metavar="N", help="Keep the first N numbers of each vector."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retrieval(
    queries: Path,
    corpus: Path,
    qrels: Path,
    choice: ModelChoice,
    metric: Metric | None,
    graded: bool,
    query_prompt_name: str | None,
    corpus_prompt_name: str | None,
    truncate_dim: int | None,
    as_json: bool,
) -> None:
    """Information retrieval: search a corpus, and measure whether relevant documents come first.

    QUERIES and CORPUS are .jsonl with the fields _id, text and, in a corpus, title, or .tsv with the columns id and
    text (or id, title and text).  QRELS is .tsv with the columns query-id, corpus-id and score, above 0 where the
    document is relevant, or a TREC file of four columns.  These are the files of BEIR; the same columns are read from
    .csv, .json, .parquet and .feather.
    """
    from minembed.evaluation.retrieval import evaluate_retrieval

    judged, documents = read_judgements(qrels), read_documents(corpus)
    grades = {query: {name: grade for name, grade in found.items() if grade > 0} for query, found in judged.items()}
    asked = {query: text for query, text in read_documents(queries).items() if grades.get(query)}
    if not asked:
        raise InputError(f"{qrels} judges no document relevant to any query of {queries}")
    missing = sum(name not in documents for query in asked for name in grades[query])
    loaded = load_model(choice)
    metric = metric or loaded.checkpoint.similarity_fn_name
    found = evaluate_retrieval(
        loaded.encode_query(list(asked.values()), prompt_name=query_prompt_name, truncate_dim=truncate_dim),
        loaded.encode_document(list(documents.values()), prompt_name=corpus_prompt_name, truncate_dim=truncate_dim),
        list(asked),
        list(documents),
        grades if graded else {query: set(names) for query, names in grades.items()},
        metric=metric,
        backend=choice.backend,
        threads=choice.threads,
    )
    counts = {"queries": len(asked), "documents": len(documents), "relevant_not_in_corpus": missing}
    if as_json:
        click.echo(json.dumps({"corpus": str(corpus), "model": choice.name, **counts, **found}))
        return
    click.echo(f"{corpus}: {len(documents):,} documents, {len(asked):,} queries with relevant ones among them")
    if missing:
        click.echo(f"{missing:,} relevant documents of {qrels} are not in the corpus, and count as not found", err=True)
    click.echo(f"{choice.name} ({loaded.source}), by {metric}")
    rows = [[name.removeprefix(f"{metric}_"), f"{value:.4f}"] for name, value in found.items()]
    click.echo("\n".join(table(rows, right=frozenset({1}), indent="  ")))
