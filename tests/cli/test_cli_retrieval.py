"""`minembed evaluate retrieval`: the files of BEIR, what is measured, and what is wrong with a file."""

import json
from functools import partial
from typing import get_args

import command
import numpy as np
import pytest

from minembed.data.beir import read_documents, read_judgements
from minembed.evaluation.retrieval import evaluate_retrieval
from minembed.search.similarity import SIMILARITY
from minembed.types import Metric

CORPUS = {"d1": "Cats the cat in the house", "d2": "rain on the river", "d10": "a book on code", "7": "a dog and a cat"}
QUERIES = {"q1": "the cat", "q2": "rain", "q3": "train", "q4": "never judged"}
GRADES = {"q1": {"d1": 2.0, "7": 1.0, "d2": 0.0}, "q2": {"d2": 1.0, "gone": 1.0}, "q3": {"d10": -1.0}}


run = partial(command.run, "evaluate", "retrieval")


@pytest.fixture
def files(tmp_path):
    """The three files, in the spelling of BEIR."""
    rows = [{"_id": "d1", "title": "Cats", "text": "the cat in the house", "metadata": {}}]
    rows += [{"_id": name, "title": "", "text": text} for name, text in list(CORPUS.items())[1:3]]
    rows += [{"_id": 7, "text": CORPUS["7"]}]
    lines = ["query-id\tcorpus-id\tscore"] + [
        f"{q}\t{d}\t{g:g}" for q, found in GRADES.items() for d, g in found.items()
    ]
    contents = {
        "queries.jsonl": "\n".join(json.dumps({"_id": name, "text": text}) for name, text in QUERIES.items()),
        "corpus.jsonl": "\n".join(map(json.dumps, rows)) + "\n\n",
        "qrels.tsv": "\n".join(lines) + "\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    return [tmp_path / name for name in contents]


def test_every_form_is_read(files, tmp_path):
    queries, corpus, qrels = files
    assert read_documents(corpus) == CORPUS and read_documents(queries) == QUERIES
    assert read_judgements(qrels) == GRADES
    (tmp_path / "corpus.tsv").write_text("d1\tCats\tthe cat in the house\r\nd2\train on the river\n", encoding="utf-8")
    assert read_documents(tmp_path / "corpus.tsv") == {"d1": CORPUS["d1"], "d2": CORPUS["d2"]}
    (tmp_path / "queries.tsv").write_text("\ufeffid\ttext\nq1\tthe cat\n\n", encoding="utf-8")
    assert read_documents(tmp_path / "queries.tsv") == {"q1": "the cat"}
    trec = "".join(f"{q} 0 {d} {g:g}\n" for q, found in GRADES.items() for d, g in found.items())
    (tmp_path / "qrels.trec").write_text(trec, encoding="utf-8")
    assert read_judgements(tmp_path / "qrels.trec") == GRADES


@pytest.mark.parametrize("graded", [False, True])
@pytest.mark.parametrize("metric", [None, "euclidean"])
def test_what_is_measured(files, tiny_checkpoint, tiny_model, metric, graded):
    options = ["--metric", metric] * bool(metric) + ["--graded"] * graded
    found = json.loads(run(*files, "-m", tiny_checkpoint, "--json", *options)[0])
    relevant = {q: {d: g for d, g in grades.items() if g > 0} for q, grades in GRADES.items()}
    relevant = relevant if graded else {q: set(grades) for q, grades in relevant.items()}
    vectors = tiny_model.encode(list(QUERIES.values())), tiny_model.encode(list(CORPUS.values()))
    expected = evaluate_retrieval(*vectors, list(QUERIES), list(CORPUS), relevant, metric=metric or "cosine")
    assert {key: found[key] for key in expected} == expected
    assert (found["queries"], found["documents"], found["relevant_not_in_corpus"]) == (2, 4, 1)


def test_a_table(files, tiny_checkpoint):
    out, err = run(*files, "-m", tiny_checkpoint)
    assert "4 documents, 2 queries with relevant ones among them\n" in out and "  ndcg@10       " in out
    assert err == f"1 relevant documents of {files[2]} are not in the corpus, and count as not found\n"
    assert np.isclose(float(out.split("recall@10")[1].split()[0]), 0.75)


def test_help_and_metrics():
    out, _ = run("--help")
    assert out.startswith("Usage: ") and max(map(len, out.splitlines())) <= 80
    assert tuple(SIMILARITY) == get_args(Metric)


@pytest.mark.parametrize(
    ("place", "name", "content", "message"),
    [
        (0, "q.jsonl", '{"text": "a"}', "line 1: needs an object with the fields _id and text"),
        (0, "q.jsonl", '["a"]', "line 1: it must be an object or a text, not a JSON array"),
        (0, "q.jsonl", '{"_id": true, "text": "a"}', "line 1: needs an object"),
        (0, "q.jsonl", '{"_id": "a", "text": 3}', "line 1: text is 3, not a text"),
        (0, "q.jsonl", "", "holds no texts"),
        (0, "q.jsonl", '{"_id": "other", "text": "a"}', "judges no document relevant to any query of"),
        (1, "c.jsonl", '{"_id": "a", "text": "x", "title": 1}', "line 1: title is 1, not a text"),
        (1, "c.jsonl", '{"_id": "a", "text": "x"}\n\n{"_id": "a", "text": "x"}', "line 3: the id 'a' came before"),
        (1, "c.tsv", "a\tb\nc\n", "line 2: 1 columns; needs id and text"),
        (2, "r.tsv", "q1\td1\t1\nq1\td2\thigh\n", "line 2: 'score' is 'high', not a finite number"),
        (2, "r.tsv", "q1\td1\t1\nq1\td2\tnan\n", "line 2: 'score' is 'nan', not a finite"),
        (2, "r.tsv", "q1\td1\n", "line 1: 2 columns; needs query-id, corpus-id and score"),
        (2, "r.tsv", "query-id\tcorpus-id\tscore\n", "holds no judgements"),
    ],
)
def test_bad_files_are_named(files, tiny_checkpoint, tmp_path, place, name, content, message):
    files[place] = tmp_path / name
    files[place].write_text(content, encoding="utf-8")
    _, err = run(*files, "-m", tiny_checkpoint, code=1)
    assert message in err and name in err and err.count("\n") == 1
