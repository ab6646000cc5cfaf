"""Scored pairs from files as people have them: forms, names of columns, quotes, and what is refused."""

import bz2
import gzip
import json
import logging
from pathlib import Path

import pytest

from minembed.data.sts import Pair, read_sts
from minembed.data.table import Reading
from minembed.errors import InputError

CASES = Path(__file__).parent / "cases"
ROWS = [("A cat", "A dog; or two", 2.5), ("Ein Käse", 'A "kitten"', 4.0), ("rain, snow", "the\nsea", 0.0)]
PAIRS = [Pair(*row) for row in ROWS]
NAMES = ("sentence1", "sentence2", "score")


def csv_of(rows, delimiter=",", names=NAMES, end="\n"):
    def cell(value):
        return '"' + str(value).replace('"', '""') + '"'

    return end.join(delimiter.join(map(cell, row)) for row in ([names] if names else []) + list(rows)) + end


def objects(names=NAMES):
    return [dict(zip(names, row, strict=True)) for row in ROWS]


FORMS = {
    "a.csv": csv_of(ROWS).encode(),
    "b.csv": csv_of(ROWS, ";", end="\r\n").encode("utf-8-sig"),
    "c.csv": csv_of(ROWS, "|").encode("utf-16"),
    "excel.csv": ("sep=;\n" + csv_of(ROWS, ";")).encode(),
    "d.tsv": csv_of(ROWS, "\t").encode(),
    "e.tab": csv_of(ROWS, "\t").encode(),
    "f.jsonl": "\n".join(map(json.dumps, objects())).encode(),
    "g.ndjson": "\n".join(map(json.dumps, objects())).encode(),
    "h.json": json.dumps(objects(), indent=1).encode(),
    "i.csv.gz": gzip.compress(csv_of(ROWS).encode()),
    "j.jsonl.bz2": bz2.compress("\n".join(map(json.dumps, objects())).encode()),
    "excel.txt": csv_of(ROWS, "\t").encode("utf-16"),
    "no_ending.csv.copy": csv_of(ROWS, ";").encode(),
    "no_ending": "\n".join(map(json.dumps, objects())).encode(),
    "bare.csv": csv_of(ROWS, names=None).encode(),
    "bare.tsv": csv_of(ROWS, "\t", names=None).encode(),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms(name, tmp_path):
    (tmp_path / name).write_bytes(FORMS[name])
    assert read_sts(tmp_path / name) == PAIRS


@pytest.mark.parametrize("name", ["x.parquet", "x.pq", "x.feather", "x.arrow"])
def test_forms_of_arrow(name, tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    table = arrow.table({name: [row[i] for row in ROWS] for i, name in enumerate(NAMES)})
    (parquet.write_table if name in ("x.parquet", "x.pq") else feather.write_feather)(table, str(tmp_path / name))
    assert read_sts(tmp_path / name) == PAIRS


@pytest.mark.parametrize(
    "heading",
    [
        "text1,text2,score",
        "question1,question2,is_duplicate",
        "sent1,sent2,gold",
        "sent_a,sent_b,similarity",
        "sentence_A,sentence_B,relatedness_score",
        "Sentence 1,Sentence 2,similarity_score",
        "premise,hypothesis,label",
        "S1,S2,labels",
        "anchor,positive,Scores",
        "Text-A,Text-B,label",
    ],
)
def test_names_of_columns(heading, tmp_path):
    names = heading.split(",")
    (tmp_path / "x.csv").write_text(csv_of(ROWS, names=names))
    assert read_sts(tmp_path / "x.csv") == PAIRS
    (tmp_path / "x.jsonl").write_text("\n".join(json.dumps({"id": 7, **value}) for value in objects(names)))
    assert read_sts(tmp_path / "x.jsonl") == PAIRS


DATA_SETS = {
    "quora.csv": (
        'id,qid1,qid2,question1,question2,is_duplicate\n"0","1","2","How, then?","How?","1"\n'
        '"1","3","4","What is ""it""?","Why?","0"\n',
        [Pair("How, then?", "How?", 1.0), Pair('What is "it"?', "Why?", 0.0)],
    ),
    "quora_of_the_hub.jsonl": (
        '{"question1": "a", "question2": "b", "is_duplicate": true}\n'
        '{"question1": "c", "question2": "d", "is_duplicate": false}\n',
        [Pair("a", "b", 1.0), Pair("c", "d", 0.0)],
    ),
    "quora_of_pandas.csv": (
        "question1,question2,is_duplicate\na,b,True\nc,d,False\n",
        [Pair("a", "b", 1.0), Pair("c", "d", 0.0)],
    ),
    "sick.tsv": (
        "pair_ID\tsentence_A\tsentence_B\tentailment_label\trelatedness_score\n1\tA man.\tA boy.\tNEUTRAL\t4.5\n",
        [Pair("A man.", "A boy.", 4.5)],
    ),
    "sick_of_the_hub.jsonl": (
        '{"id": "1", "sentence_A": "A", "sentence_B": "B", "label": 1, "relatedness_score": 4.5}',
        [Pair("A", "B", 4.5)],
    ),
    "mteb.jsonl": (
        '{"split": "dev", "genre": "news", "score": 5.0, "sentence1": "A", "sentence2": "B"}',
        [Pair("A", "B", 5.0)],
    ),
    "sts-dev.tsv": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        '0\tmain-news\theadlines\t2015\t1\tnone\tnone\t"I can\'t say," he said.\tHe said "no.\t4.200\n'
        '1\tmain-news\theadlines\t2015\t2\tnone\tnone\t"Unbalanced, at the start\tAnd at the end"\t1.500\n',
        [
            Pair('"I can\'t say," he said.', 'He said "no.', 4.2),
            Pair('"Unbalanced, at the start', 'And at the end"', 1.5),
        ],
    ),
}


@pytest.mark.parametrize("name", DATA_SETS)
def test_data_sets(name, tmp_path):
    content, pairs = DATA_SETS[name]
    (tmp_path / name).write_text(content)
    assert read_sts(tmp_path / name) == pairs


def test_a_case():
    assert read_sts(CASES / "11_sts.tsv") == [Pair("A cat", "A dog", 2.5), Pair("A cat", "A kitten", 4.5)]


def test_columns_that_are_named(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('"#1 String","#2 String",Quality,split\na,b,1,x\nc,d,0,y\n')
    expected = [Pair("a", "b", 1.0), Pair("c", "d", 0.0)]
    assert read_sts(path, columns=("#1 String", "#2 String"), score="Quality") == expected
    assert read_sts(path, reading=Reading(header="yes"), columns=("1", "2"), score="3") == expected
    (tmp_path / "old.csv").write_text("main\tnews\t2012\t5.0\ta\tb\nmain\tnews\t2012\t1.0\tc\td\n")
    found = read_sts(tmp_path / "old.csv", reading=Reading(header="no"), columns=("5", "6"), score="4")
    assert found == [Pair("a", "b", 5.0), Pair("c", "d", 1.0)]
    (tmp_path / "x.jsonl").write_text('{"pair": {"a": "one", "b": "two"}, "by": {"hand": "3"}}')
    assert read_sts(tmp_path / "x.jsonl", columns=("pair.a", "pair.b"), score="by.hand") == [Pair("one", "two", 3.0)]


def test_missing_texts_and_scores(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("sentence1,sentence2,score\na,b,1\n,d,2\ne,f,\n" + " ,h,3\n" * 5)
    with pytest.raises(InputError) as caught:
        read_sts(path)
    assert str(caught.value) == (
        f"{path}: 'sentence1' or 'score' is missing in 7 of 8 rows (line 3: 'sentence1', line 4: 'score', "
        "line 5: 'sentence1', line 6: 'sentence1', line 7: 'sentence1', ...); --missing skip skips them"
    )
    assert read_sts(path, missing="skip") == [Pair("a", "b", 1.0)]
    with pytest.raises(InputError, match=r"'score' is missing in 1 of 8 rows \(line 4\)"):
        read_sts(path, missing="empty")  # a score cannot be
    path.write_text("sentence1,sentence2,score\na,b,1\n,d,2\n")
    assert read_sts(path, missing="empty") == [Pair("a", "b", 1.0), Pair("", "d", 2.0)]


def test_what_is_read_is_told(tmp_path, caplog):
    caplog.set_level(logging.INFO, "minembed")
    path = tmp_path / "x.csv"
    path.write_text("id;sentence1;sentence2;score\n7;a;b;1\n8;;d;2\n")
    read_sts(path, missing="skip")
    assert caplog.messages == [
        f'{path}: 2 rows, columns "sentence1", "sentence2", "score", 1 with something missing left out '
        '(csv, ";", utf-8)'
    ]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        (
            "x.csv",
            "first,second,score\na,b,1\n",
            {},
            "no column is the first text (sentence1); say which with --columns A,B:\n"
            "  first   'a'\n  second  'b'\n  score   '1'",
        ),
        ("x.csv", "sentence1,sentence2,grade\na,b,1\n", {}, "no column is the score; say which with --score NAME:\n"),
        (
            "x.csv",
            "text1,sentence1,sentence2,score\na,b,c,1\n",
            {},
            "2 columns may be the first text (sentence1) ('text1', 'sentence1'); say which with --columns A,B:",
        ),
        ("x.csv", "sentence1,sentence2,score,gold\na,b,1,2\n", {}, "2 columns may be the score ('score', 'gold')"),
        ("x.csv", "sentence1,sentence2,score,score\na,b,1,2\n", {}, "two columns have the name 'score'; rename one"),
        (
            "x.csv",
            "a,b,c,1\nd,e,f,2\n",
            {"reading": Reading(header="no")},
            "it has 4 columns without names, and a pair is two texts and their score; say which with --columns A,B and "
            "--score N:\n  1  'a'\n",
        ),
        ("x.csv", "a,b,1\nc,d\n", {}, "x.csv, line 2: 2 cells where the first row has 3"),
        ("x.csv", "erste,zweite,wert\na,b,c\n", {}, "does its first row name the columns? Say --header yes or"),
        ("x.csv", "sentence1,sentence2,score\na,b,1\nc,d,4;5\n", {}, "x.csv, line 3: 'score' is '4;5', not a finite"),
        ("x.jsonl", '{"sentence1": ["a"], "sentence2": "b", "score": "inf"}', {}, "'score' is 'inf', not a finite"),
        ("x.jsonl", '{"sentence1": 1, "sentence2": "b", "score": 1}', {}, "line 1: 'sentence1' is 1 (int), not a text"),
        ("x.jsonl", '{"sentence1": "a", "sentence2": "b", "score": true}', {}, "line 1: 'score' is True, not a finite"),
        ("x.csv", "a,b,1\n", {"columns": ("1",)}, "a pair has two columns of texts, not 1"),
        ("x.txt", "a\tb\n", {}, "x.txt: does its first row name the columns?"),
        (
            "x.txt",
            "a\tb\n",
            {"reading": Reading(form="txt")},
            "x.txt is a text a line; pairs need columns: say --format",
        ),
    ],
)
def test_what_is_refused(name, content, options, message, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as caught:
        read_sts(tmp_path / name, **options)
    assert message in str(caught.value) and (name in str(caught.value) or "columns" in options)


def test_encodings_are_said(tmp_path):
    (tmp_path / "x.csv").write_bytes(csv_of(ROWS, ";").encode("latin-1"))
    with pytest.raises(InputError, match=r"x\.csv, line 3: not utf-8; .* say which with --encoding"):
        read_sts(tmp_path / "x.csv")
    assert read_sts(tmp_path / "x.csv", reading=Reading(encoding="latin-1")) == PAIRS


def test_nothing_is_no_pair(tmp_path):
    (tmp_path / "x.csv").write_text("")
    (tmp_path / "y.csv").write_text("sentence1,sentence2,score\n")
    assert read_sts(tmp_path / "x.csv") == read_sts(tmp_path / "y.csv") == []
