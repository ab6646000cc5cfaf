"""Queries, corpora and judgements in the files of BEIR, packed or not, and the same columns in tables."""

import gzip
import json

import pytest

from minembed.data.beir import read_documents, read_judgements
from minembed.data.table import Reading
from minembed.errors import InputError

DOCUMENTS = {"d1": "Bread Knead it", "2": 'He said "no'}
ROWS = [{"_id": "d1", "title": "Bread", "text": "Knead it"}, {"_id": 2, "text": 'He said "no', "metadata": {}}]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS)
GRADES = {"q1": {"d1": 2.0, "2": 0.0}, "q2": {"2": 1.0}}
TSV = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\t2\t0\nq2\t2\t1\n"

CORPORA = {
    "corpus.jsonl": JSONL,
    "corpus.jsonl.gz": gzip.compress(JSONL.encode()),
    "corpus.json": json.dumps(ROWS),
    "corpus": JSONL,
    "corpus.tsv": 'd1\tBread\tKnead it\n2\tHe said "no\n',
    "heading.tsv": '\ufeff_id\ttitle\ttext\nd1\tBread\tKnead it\n2\t\tHe said "no\n',
    "packed.tsv.gz": gzip.compress(b'id\ttext\nd1\tBread Knead it\n2\tHe said "no\n'),
    "old.txt": 'd1\tBread Knead it\r\n2\tHe said "no\r\n',
    "corpus.csv": '_id,title,text\nd1,Bread,Knead it\n2,,"He said ""no"\n',
    "semicolon.csv": 'id;text\nd1;Bread Knead it\n2;"He said ""no"\n',
    "utf16.tsv": 'd1\tBread Knead it\n2\tHe said "no\n'.encode("utf-16"),
}


@pytest.mark.parametrize("name", CORPORA)
def test_documents(name, tmp_path):
    content = CORPORA[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read_documents(tmp_path / name) == DOCUMENTS


JUDGEMENTS = {
    "test.tsv": TSV,
    "test.tsv.gz": gzip.compress(TSV.encode()),
    "bare.tsv": TSV.partition("\n")[2],
    "qrels.trec": "q1 0 d1 2\nq1 0 2 0\nq2 0 2 1\n",
    "qrels": "q1 0 d1 2\nq1 0 2 0\nq2 0 2 1\n",
    "test.csv": TSV.replace("\t", ","),
    "bare.csv": TSV.replace("\t", ",").partition("\n")[2],
    "test.jsonl": "".join(
        json.dumps({"query-id": query, "corpus-id": document, "score": grade}) + "\n"
        for query, grades in GRADES.items()
        for document, grade in grades.items()
    ),
}


@pytest.mark.parametrize("name", JUDGEMENTS)
def test_judgements(name, tmp_path):
    content = JUDGEMENTS[name]
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read_judgements(tmp_path / name) == GRADES


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    texts = {"_id": ["d1", "2"], "title": ["Bread", None], "text": ["Knead it", 'He said "no']}
    parquet.write_table(arrow.table(texts), tmp_path / "corpus.parquet")
    assert read_documents(tmp_path / "corpus.parquet") == DOCUMENTS
    rows = [(query, document, grade) for query, grades in GRADES.items() for document, grade in grades.items()]
    columns = dict(zip(("query-id", "corpus-id", "score"), zip(*rows, strict=True), strict=True))
    parquet.write_table(arrow.table(columns), tmp_path / "qrels.parquet")
    assert read_judgements(tmp_path / "qrels.parquet") == GRADES


def test_encodings_are_said(tmp_path):
    (tmp_path / "c.tsv").write_bytes("d1\tKäse\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"c\.tsv, line 1: not utf-8"):
        read_documents(tmp_path / "c.tsv")
    assert read_documents(tmp_path / "c.tsv", Reading(encoding="latin-1")) == {"d1": "Käse"}


@pytest.mark.parametrize(
    ("read", "name", "content", "message"),
    [
        (read_documents, "c.csv", "docno,contents\n1,a\n", "c.csv: needs the columns _id and text (and title"),
        (
            read_documents,
            "c.jsonl",
            '{"_id": 1.5, "text": "a"}',
            "line 1: needs an object with the fields _id and text",
        ),
        (read_documents, "c.jsonl", '{"_id": "a", "text": null}', "line 1: text is None, not a text"),
        (read_documents, "c.tsv", "a\tb\tc\td\n", "c.tsv, line 1: 4 columns; needs id and text"),
        (read_documents, "c.csv", "_id,text\n1,a\n1,b\n", "c.csv, line 3: the id '1' came before"),
        (read_documents, "c.tsv", "", "holds no texts"),
        (
            read_judgements,
            "q.csv",
            "query-id,score\nq1,1\n",
            "q.csv: needs the columns query-id, corpus-id, score, has",
        ),
        (read_judgements, "q.jsonl", '{"query-id": "q", "corpus-id": null, "score": 1}', "line 1: needs query-id,"),
        (read_judgements, "q.tsv", "q1\td1\t1\nq1\td2\t \n", "q.tsv, line 2: 'score' is missing"),
        (read_judgements, "q.tsv", "q1\td1\thigh\nq1\td2\thigh\n", "q.tsv, line 2: 'score' is 'high'"),
        (read_judgements, "q.csv", "", "holds no judgements"),
    ],
)
def test_what_is_refused(read, name, content, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    assert message in str(caught.value) and name in str(caught.value)
