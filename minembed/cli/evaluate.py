"""`minembed evaluate`: how well the vectors agree with people's judgements of pairs, and of answers to queries."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from minembed.cli.beir import read_documents, read_judgements
from minembed.cli.console import existing_file, load_model, model_options, table
from minembed.errors import InputError
from minembed.texts import csv_rows, json_rows

METRICS = ("cosine", "dot", "euclidean", "manhattan")  # minembed.similarity, which help need not import
COLUMNS = ("sentence1", "sentence2", "score")
NAMES = (  # what each column may be called, in small letters and without signs: "Sentence_1" is sentence1
    ("sentence1", "text1", "s1"),
    ("sentence2", "text2", "s2"),
    ("score", "label", "similarity", "similarityscore", "gold"),
)


class Pair(NamedTuple):
    """Two sentences, and how alike people found them."""

    first: str
    second: str
    score: float


def read_sts(path: Path) -> list[Pair]:
    """Read pairs from .csv (by header, or three columns without one) or .jsonl (by field), on any scale.

    Raises InputError, with file and line, for anything that is not two texts and a finite number.
    """
    with path.open("rb") as file:
        if path.suffix.lower() == ".jsonl":
            return [_from_json(value, place) for place, value in json_rows(file, str(path))]
        return list(_from_csv(csv_rows(file, str(path))))


def find_columns(header: Sequence[str]) -> list[int] | None:
    """Find sentence1, sentence2 and score among column names; None unless all three are there.

    >>> find_columns(["id", "Sentence 1", "Sentence 2", "label"]), find_columns(["a", "b", "5"])
    ([1, 2, 3], None)
    """
    plain = ["".join(filter(str.isalnum, name.lower())) for name in header]
    places = [next((plain.index(name) for name in names if name in plain), None) for names in NAMES]
    found = [place for place in places if place is not None]
    return found if len(found) == len(NAMES) else None


def _from_csv(rows: Iterator[tuple[str, list[str]]]) -> Iterator[Pair]:
    first = next(rows, None)
    if first is None:
        return
    place, header = first
    columns = find_columns(header)
    if columns is None:
        if len(header) != len(COLUMNS) or _number(header[2]) is None:
            raise InputError(
                f"{place}: neither a header with {', '.join(COLUMNS)} nor two sentences and a number; quote commas"
            )
        columns = [0, 1, 2]
        yield _pair([header[i] for i in columns], place)
    for place, row in rows:
        if len(row) != len(header):
            raise InputError(f"{place}: {len(row)} cells where the first row has {len(header)}; quote commas")
        yield _pair([row[i] for i in columns], place)


def _from_json(value: Any, place: str) -> Pair:
    keys = list(value) if isinstance(value, dict) else []
    columns = find_columns(keys)
    if columns is None:
        raise InputError(f"{place}: needs the fields {', '.join(COLUMNS)}, has {', '.join(keys) or 'none'}")
    return _pair([value[keys[i]] for i in columns], place)


def _pair(cells: Sequence[Any], place: str) -> Pair:
    first, second, score = cells
    for name, text in zip(COLUMNS, (first, second), strict=False):
        if not isinstance(text, str):
            raise InputError(f"{place}: {name} is {text!r}, not a text")
    number = _number(score)
    if number is None:
        raise InputError(f"{place}: score is {score!r}, not a finite number")
    return Pair(first, second, number)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


@click.group("evaluate", short_help="Measure a model against people's judgements.")
def command() -> None:
    """Measure a model against people's judgements."""


@command.command("sts")
@click.argument("file", type=existing_file())
@model_options
@click.option("--prompt-name", metavar="NAME", help="Put this prompt of the model in front of every text.")
@click.option("--truncate-dim", type=click.IntRange(min=1), metavar="N", help="Keep the first N numbers of a vector.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sts(
    file: Path,
    model: str,
    revision: str | None,
    offline: bool,
    threads: int | None,
    dtype: str | None,
    backend: str,
    prompt_name: str | None,
    truncate_dim: int | None,
    as_json: bool,
) -> None:
    """Semantic textual similarity: correlate cosines with scores that people gave to pairs of sentences.

    FILE is a .csv with the columns sentence1, sentence2 and score (or just these three, without a header), or a
    .jsonl with these fields.  The scores may be on any scale.
    """
    pairs = read_sts(file)
    if len(pairs) < 2:
        raise InputError(f"{file} holds {len(pairs)} pairs; a correlation needs at least 2")
    from minembed.evaluation import pearson, spearman
    from minembed.similarity import pairwise

    loaded = load_model(model, revision, offline, threads, dtype, backend)
    gold = [pair.score for pair in pairs]
    different = dict.fromkeys(text for pair in pairs for text in (pair.first, pair.second))  # many come twice
    vectors = loaded.encode(different, prompt_name=prompt_name, truncate_dim=truncate_dim)
    row = {text: i for i, text in enumerate(different)}
    cosines = pairwise(
        vectors[[row[pair.first] for pair in pairs]], vectors[[row[pair.second] for pair in pairs]], "cosine"
    )
    found = {"spearman": spearman(cosines, gold), "pearson": pearson(cosines, gold)}
    if as_json:
        click.echo(json.dumps({"file": str(file), "model": model, "pairs": len(pairs), **found}))
        return
    click.echo(f"{file}: {len(pairs):,} pairs, scores from {min(gold):g} to {max(gold):g}")
    click.echo(f"{model} ({loaded.source})")
    for name, value in found.items():
        click.echo(f"  {name.capitalize():<9} {value:7.4f}  ({100 * value:.2f})")


@command.command("retrieval")
@click.argument("queries", type=existing_file())
@click.argument("corpus", type=existing_file())
@click.argument("qrels", type=existing_file())
@model_options
@click.option("--metric", type=click.Choice(METRICS), help="How vectors are compared; default: as the model says.")
@click.option("--graded", is_flag=True, help="Let nDCG weigh documents by their scores, not only by above 0 or not.")
@click.option("--query-prompt-name", metavar="NAME", help="The model's prompt for queries; default: its own.")
@click.option("--corpus-prompt-name", metavar="NAME", help="The model's prompt for documents; default: its own.")
@click.option("--truncate-dim", type=click.IntRange(min=1), metavar="N", help="Keep the first N numbers of a vector.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def retrieval(
    queries: Path,
    corpus: Path,
    qrels: Path,
    model: str,
    revision: str | None,
    offline: bool,
    threads: int | None,
    dtype: str | None,
    backend: str,
    metric: str | None,
    graded: bool,
    query_prompt_name: str | None,
    corpus_prompt_name: str | None,
    truncate_dim: int | None,
    as_json: bool,
) -> None:
    """Information retrieval: search a corpus and measure whether what people judged relevant comes first.

    QUERIES and CORPUS are .jsonl with the fields _id, text and, in a corpus, title, or .tsv with the columns id and
    text (or id, title and text).  QRELS is .tsv with the columns query-id, corpus-id and score, above 0 where the
    document is relevant, or a TREC file of four columns.  These are the files of BEIR.
    """
    from minembed.retrieval import evaluate_retrieval

    judged, documents = read_judgements(qrels), read_documents(corpus)
    grades = {query: {name: grade for name, grade in found.items() if grade > 0} for query, found in judged.items()}
    asked = {query: text for query, text in read_documents(queries).items() if grades.get(query)}
    if not asked:
        raise InputError(f"{qrels} judges no document relevant to any query of {queries}")
    missing = sum(name not in documents for query in asked for name in grades[query])
    loaded = load_model(model, revision, offline, threads, dtype, backend)
    metric = metric or loaded.checkpoint.similarity_fn_name
    found = evaluate_retrieval(
        loaded.encode_query(list(asked.values()), prompt_name=query_prompt_name, truncate_dim=truncate_dim),
        loaded.encode_document(list(documents.values()), prompt_name=corpus_prompt_name, truncate_dim=truncate_dim),
        list(asked),
        list(documents),
        grades if graded else {query: set(names) for query, names in grades.items()},
        metric=metric,
        backend=backend,
        threads=threads,
    )
    counts = {"queries": len(asked), "documents": len(documents), "relevant_not_in_corpus": missing}
    if as_json:
        click.echo(json.dumps({"corpus": str(corpus), "model": model, **counts, **found}))
        return
    click.echo(f"{corpus}: {len(documents):,} documents, {len(asked):,} queries with relevant ones among them")
    if missing:
        click.echo(f"{missing:,} relevant documents of {qrels} are not in the corpus, and count as not found", err=True)
    click.echo(f"{model} ({loaded.source}), by {metric}")
    rows = [[name.removeprefix(f"{metric}_"), f"{value:.4f}"] for name, value in found.items()]
    click.echo("\n".join(table(rows, right=frozenset({1}), indent="  ")))
