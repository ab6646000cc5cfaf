"""A folder of typical untidy files, and what the commands print for them: the transcript of docs/files.md.

python docs/messy_folder.py      makes the folder in a temporary place, runs the commands, and rewrites the page
"""

import csv
import gzip
import json
import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from click.testing import CliRunner

from minembed.cli import main
from minembed.runtime.folders import cache_folder

PAGE = Path(__file__).with_name("files.md")
BEGIN, END = "<!-- transcript -->\n", "<!-- end of the transcript -->\n"
WIDTH = 160  # characters of a line
STEPS = (  # the sentence before each command, and the command
    (
        "A table from a French Excel: semicolons, a Windows encoding, ids in the first column.",
        "search products.csv 'fromage' -k 2",
    ),
    ("Its encoding cannot be known for sure, so the error shows two readings. Choose one:", ""),
    ("", "search products.csv 'fromage' -k 2 --encoding cp1252"),
    (
        "Remove near duplicates. The other rows are written as they are, with the same delimiter and encoding.",
        "dedupe products.csv --encoding cp1252 -o unique.csv",
    ),
    ("Compressed JSON lines, with the text inside another object.", "search tickets.jsonl.gz 'I cannot log in' -k 2"),
    ("", "search tickets.jsonl.gz 'I cannot log in' -k 2 --field ticket.body --id ticket.id"),
    ("A wide parquet file with nulls.", "search reviews.parquet 'bad weather' -k 2"),
    ("", "search reviews.parquet 'bad weather' -k 2 --missing skip --id review_id"),
    ("A JSON array.", "search faq.json 'my bread does not rise' -k 1 --field question"),
    (
        "A table that Excel saved as Unicode text: tabs, UTF-16, line breaks inside cells.",
        "search excel.csv 'too much sugar' -k 1",
    ),
    (
        "Groups, and a map, from the index that the search made.",
        "cluster tickets.jsonl.gz --field ticket.body -k 3 -o groups.csv",
    ),
    ("", "map tickets.jsonl.gz --field ticket.body --method pca -o map.html"),
    (
        "Vectors together with the columns of the file; rows without a text have a null.",
        "embed -i reviews.parquet --missing skip -o vectors.parquet",
    ),
    (
        "If the loss would not use the labels, training does not begin.",
        "train contrastive pairs.csv tuned",
    ),
    ("", "train contrastive pairs.csv tuned --loss cosent --max-steps 2"),
    ("The same scored pairs evaluate a model.", "evaluate sts pairs.csv"),
)
PRODUCTS = (
    ("1001", "Baguette", "Une baguette croustillante à la farine de blé"),
    ("1002", "Pain de campagne", "Un pain rustique au levain, idéal avec du fromage"),
    ("1003", "Marteau", "Un marteau solide pour le bricolage à la maison"),
    ("1004", "Tournevis", "Un tournevis cruciforme au manche renforcé"),
    ("1005", "Baguette", "Une baguette croustillante à la farine de blé "),
)
TICKETS = (
    "The app crashes when I open the camera",
    "I cannot log in with my password",
    "The login fails since the update",
    "The camera crashes the application",
    "Please refund my last order",
    "I want my money back",
    "Where is my parcel?",
    "My parcel has not arrived",
    "The parcel is late again",
)
REVIEWS = ("good bread", None, "bad cake", "the dog barks", "a cat sleeps", None, "it rains all day", "the sun shines")
PAIRS = (("a cat sleeps", "a kitten naps", "4.6"), ("a cat sleeps", "stocks fell", "0.2"), ("rain", "it is wet", "3.1"))


def make_folder(folder: Path) -> None:
    """Write the files."""
    with (folder / "products.csv").open("w", encoding="cp1252", newline="") as file:
        csv.writer(file, delimiter=";").writerows([("id", "nom", "description"), *PRODUCTS])
    with gzip.open(folder / "tickets.jsonl.gz", "wt", encoding="utf-8") as file:
        for number, body in enumerate(TICKETS, 1):
            file.write(json.dumps({"ticket": {"id": f"T{number}", "body": body}, "status": "open"}) + "\n")
    from pyarrow import parquet, table

    columns = {"review_id": range(len(REVIEWS)), "stars": [5, 1] * 4, "review_body": REVIEWS}
    parquet.write_table(table({**columns, **{f"metric_{i}": [0.5] * 8 for i in range(9)}}), folder / "reviews.parquet")
    questions = ("Why does my dough not rise?", "How do I oil a chain?")
    faq = [{"question": question, "answer": "..."} for question in questions]
    (folder / "faq.json").write_text(json.dumps(faq, indent=1), encoding="utf-8")
    with (folder / "excel.csv").open("w", encoding="utf-16", newline="") as file:
        rows = [("Nr", "Comment"), ("1", 'I liked the "rye" bread\nand the cake'), ("2", "Far too sweet for me")]
        csv.writer(file, delimiter="\t").writerows(rows)
    with (folder / "pairs.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("sentence1", "sentence2", "score"), *PAIRS])


def transcript() -> str:
    """Run the commands in a folder of their own, with an empty cache of indexes; what they say."""
    parts = []
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as cache, inside(Path(name), Path(cache)):
        make_folder(Path(name))
        for words, command in STEPS:
            if words:
                parts.append(words + "\n")
            if command:
                parts.append(f"```console\n$ minembed {command}\n{run(command)}```\n")
    return "\n".join(parts)


@contextmanager
def inside(folder: Path, cache: Path) -> Iterator[None]:
    """Work in a folder, with the models of the cache, but without its indexes."""
    before, variable = Path.cwd(), os.environ.get("MINEMBED_CACHE")
    (cache / "models").symlink_to(cache_folder() / "models")
    os.environ["MINEMBED_CACHE"] = str(cache)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.pop("MINEMBED_CACHE")
        if variable is not None:
            os.environ["MINEMBED_CACHE"] = variable


def run(command: str) -> str:
    """The output of a command, without parts that differ between runs; lines are cut at the width of the page."""
    output = CliRunner().invoke(main, shlex.split(command)).output
    output = re.sub(r"made \d{4}-\d\d-\d\d \d\d:\d\d", "made just now", output)
    return "".join(line[:WIDTH].rstrip() + "\n" for line in output.splitlines())


def written(page: str, middle: str) -> str:
    """The page, with another transcript in it."""
    before, rest = page.split(BEGIN)
    return before + BEGIN + "\n" + middle + "\n" + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), transcript()), encoding="utf-8")
