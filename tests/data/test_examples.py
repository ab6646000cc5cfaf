"""Training examples from files as people have them: what is read, what is told, and what is never taken for another."""

import gzip
import json
import logging
import os
import threading
from pathlib import Path

import pytest

from minembed.data.examples import read_examples, read_texts
from minembed.data.table import Reading
from minembed.errors import InputError

CASES = Path(__file__).parent / "cases"
LOSSES = "--loss contrastive, online_contrastive, cosine_similarity or cosent does"
FLAG = [
    {"query": "q1", "pos": ["p1", "p2"], "neg": ["n1", "n2", "n3"], "pos_scores": [1, 2], "prompt": "find"},
    {"query": "q2", "pos": ["p3"], "neg": ["n4", "n5", "n6"]},
]
PAIRS = (("wo ist es", "wie, bitte"), ("hier", 'so "gut"'))


def file(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(values):
    return "\n".join(map(json.dumps, values)) + "\n"


FORMS = {
    "a.csv": 'anchor,positive\nwo ist es,hier\n"wie, bitte","so ""gut"""\n',
    "b.csv": 'anchor;positive\r\nwo ist es;hier\r\nwie, bitte;"so ""gut"""\r\n',
    "c.tsv": 'query\tanswer\nwo ist es\thier\nwie, bitte\tso "gut"\n',
    "d.jsonl": lines([{"anchor": a, "positive": b} for a, b in zip(*PAIRS, strict=True)]),
    "e.json": json.dumps([{"question": a, "answer": b, "id": 1} for a, b in zip(*PAIRS, strict=True)]),
    "f.ndjson.gz": gzip.compress(lines([{"query": a, "pos": b} for a, b in zip(*PAIRS, strict=True)]).encode()),
    "g.csv": 'id,Sentence_1,Sentence_2\n1,wo ist es,hier\n2,"wie, bitte","so ""gut"""\n'.encode("utf-16"),
    "h.jsonl": lines([{"query": a, "pos": [b]} for a, b in zip(*PAIRS, strict=True)]),
    "i.jsonl": lines([{"query": a, "pos": [b], "neg": []} for a, b in zip(*PAIRS, strict=True)]),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_pairs(name, tmp_path):
    assert read_examples(file(tmp_path, name, FORMS[name])).columns == PAIRS


def test_forms_of_arrow(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    parquet.write_table(arrow.table({"anchor": PAIRS[0], "positive": PAIRS[1], "id": [1, 2]}), tmp_path / "x.parquet")
    assert read_examples(tmp_path / "x.parquet").columns == PAIRS
    feather.write_feather(arrow.Table.from_pylist(FLAG), str(tmp_path / "x.feather"))
    assert read_examples(tmp_path / "x.feather").columns[1] == ("p1", "p2", "p3")


def test_queries_with_lists(tmp_path):
    """Each positive makes an example; all negatives of its row go with it."""
    path = file(tmp_path, "flag.jsonl", lines(FLAG))
    assert read_examples(path).columns == (
        ("q1", "q1", "q2"),
        ("p1", "p2", "p3"),
        ("n1", "n1", "n4"),
        ("n2", "n2", "n5"),
        ("n3", "n3", "n6"),
    )
    assert read_examples(path, negatives=1).columns == (("q1", "q1", "q2"), ("p1", "p2", "p3"), ("n1", "n1", "n4"))
    assert read_examples(path, columns=["query", "pos"]).columns == (("q1", "q1", "q2"), ("p1", "p2", "p3"))
    apart = read_examples(path, negatives=2, apart=True).columns
    assert list(zip(*apart, strict=True)) == [
        ("q1", "p1", "n1"),
        ("q1", "p1", "n2"),
        ("q1", "p2", "n1"),
        ("q1", "p2", "n2"),
        ("q2", "p3", "n4"),
        ("q2", "p3", "n5"),
    ]


def test_fewer_negatives_come_again(tmp_path, caplog):
    caplog.set_level(logging.INFO, "minembed")
    path = file(tmp_path, "x.jsonl", lines([FLAG[0], {"query": "q2", "pos": "p3", "neg": ["n4", "n5"]}]))
    assert [column[2] for column in read_examples(path).columns] == ["q2", "p3", "n4", "n5", "n4"]
    path = file(tmp_path, "y.jsonl", lines([FLAG[0], {"query": "q2", "pos": "p3", "neg": "n4"}]))
    assert [column[2] for column in read_examples(path).columns] == ["q2", "p3", "n4", "n4", "n4"]
    assert [message.partition("jsonl: ")[2] for message in caplog.messages] == [
        '2 rows, columns "query", "pos", "neg", 3 examples, 2 to 3 negatives, of which fewer come again (jsonl, utf-8)',
        '2 rows, columns "query", "pos", "neg", 3 examples, 1 to 3 negatives, of which fewer come again (jsonl, utf-8)',
    ]


def test_rows_without_negatives(tmp_path, caplog):
    """Where others have some, they lack something; where none has, the rows are pairs."""
    caplog.set_level(logging.INFO, "minembed")
    path = file(tmp_path, "x.jsonl", lines([*FLAG, {"query": "q3", "pos": ["p4"], "neg": []}]))
    with pytest.raises(InputError, match=r"x\.jsonl: 'neg' is missing in 1 of 3 rows \(line 3\); --missing skip"):
        read_examples(path)
    assert read_examples(path, missing="skip").columns[0] == ("q1", "q1", "q2")
    path = file(tmp_path, "y.jsonl", lines([{"query": "q3", "pos": ["p4"], "neg": []}]))
    assert read_examples(path).columns == (("q3",), ("p4",))
    assert [message.partition("jsonl: ")[2] for message in caplog.messages] == [
        '3 rows, columns "query", "pos", "neg", 3 examples, 1 with something missing left out (jsonl, utf-8)',
        '1 row, columns "query", "pos", no negatives (jsonl, utf-8)',
    ]


def test_triplets_by_name(tmp_path):
    path = file(tmp_path, "t.csv", "negative_1,anchor,Negative 2,positive\nn,a,m,p\n")
    assert read_examples(path).columns == (("a",), ("p",), ("n",), ("m",))
    path = file(tmp_path, "h.csv", "query,positive,hard_negative,id\na,p,n,1\n")
    assert read_examples(path).columns == (("a",), ("p",), ("n",))
    assert read_examples(
        file(tmp_path, "a.csv", "anchor,positive,negative_1,negative_2\na,p,n,m\n"), apart=True
    ).columns == (
        ("a", "a"),
        ("p", "p"),
        ("n", "m"),
    )


UNKNOWN = {
    "id,text,cat": (
        "no column is an anchor (query, sentence1); say which with --columns A,B:\n"
        "  id    'wo ist es'\n  text  'hier'\n  cat   'x'"
    ),
    "kundenfrage,antwort,thema": (
        "does its first row name the columns? Say --header yes or --header no, or name them with --columns:\n"
        "  ['kundenfrage', 'antwort', 'thema']\n  ['wo ist es', 'hier', 'x']\n  ['wie', 'so', 'y']"
    ),
}


@pytest.mark.parametrize("heading", UNKNOWN)
def test_an_unknown_heading_is_no_example(heading, tmp_path):
    path = file(tmp_path, "x.csv", f"{heading}\nwo ist es,hier,x\nwie,so,y\n")
    with pytest.raises(InputError) as caught:
        read_examples(path)
    assert str(caught.value) == f"{path}: {UNKNOWN[heading]}"
    names = heading.split(",")
    expected = (("wo ist es", "wie"), ("hier", "so"))
    assert read_examples(path, columns=names[:2]).columns == expected
    assert read_examples(path, columns=["1", "2"], reading=Reading(header="yes")).columns == expected
    with pytest.raises(InputError, match="no column is an anchor"):
        read_examples(path, reading=Reading(header="yes"))


def test_tables_without_a_heading(tmp_path):
    bare = Reading(header="no")
    triplets = file(tmp_path, "t.csv", "a,b,n\nc,d,m\n")
    assert read_examples(triplets, reading=bare).columns == (("a", "c"), ("b", "d"), ("n", "m"))
    assert read_examples(triplets, reading=bare, columns=["3", "1"]).columns == (("n", "m"), ("a", "c"))
    scored = file(tmp_path, "s.csv", "a,b,1\nc,d,0\n")
    assert read_examples(scored, labelled=True).labels.tolist() == [1, 0]
    assert read_examples(scored, labelled=None).labels.tolist() == [1, 0]
    with pytest.raises(InputError, match=rf"column '3' holds scores or labels, which this loss does not use; {LOSSES}"):
        read_examples(scored)
    assert read_examples(scored, columns=["1", "2"], reading=bare).labels is None


def test_a_label_that_the_loss_does_not_use():
    path = CASES / "08_label_ignored.csv"
    with pytest.raises(InputError) as caught:
        read_examples(path)
    assert str(caught.value) == (
        f"{path}: column 'label' holds scores or labels, which this loss does not use; {LOSSES}, and --columns "
        "sentence1,sentence2 ignores it"
    )
    texts = tuple(f"s {i}" for i in range(8)), tuple(f"t {i}" for i in range(8))
    scored = read_examples(path, labelled=True)
    assert scored.columns == texts and scored.labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert read_examples(path, columns=["sentence1", "sentence2"]).columns == texts
    with pytest.raises(InputError, match="'label' is named as the label, but this loss uses none"):
        read_examples(path, label="label")


def test_missing_texts(tmp_path, caplog):
    caplog.set_level(logging.INFO, "minembed")
    rows = "".join(f"a{i},{'' if i % 2 else f'b{i}'}\n" for i in range(14))
    path = file(tmp_path, "x.csv", "anchor,positive\n" + rows)
    with pytest.raises(InputError) as caught:
        read_examples(path)
    assert str(caught.value) == (
        f"{path}: 'positive' is missing in 7 of 14 rows (line 3, line 5, line 7, line 9, line 11, ...); --missing skip "
        "skips them"
    )
    assert caplog.messages == []
    assert read_examples(path, missing="skip").columns[0] == tuple(f"a{i}" for i in range(0, 14, 2))
    assert read_examples(path, missing="empty").columns[1][:3] == ("b0", "", "b2")
    assert caplog.messages == [
        f'{path}: 14 rows, columns "anchor", "positive", 7 with something missing left out (csv, ",", utf-8)',
        f'{path}: 14 rows, columns "anchor", "positive" (csv, ",", utf-8)',
    ]
    nothing = file(tmp_path, "n.jsonl", lines([{"anchor": None, "positive": "b"}]))
    with pytest.raises(InputError, match=r"n\.jsonl holds no examples: every row lacks something"):
        read_examples(nothing, missing="skip")


def test_missing_labels(tmp_path):
    values = [{"text1": "a", "text2": "b", "label": None}, {"text1": "c", "text2": ["d", None], "label": 1}]
    path = file(tmp_path, "x.jsonl", lines([*values, {"text1": "e", "text2": "f", "label": "0"}]))
    with pytest.raises(
        InputError, match=r"'label' or 'text2' is missing in 2 of 3 rows \(line 1: 'label', line 2: 'te"
    ):
        read_examples(path, labelled=True)
    found = read_examples(path, labelled=True, missing="skip")
    assert found.columns == (("e",), ("f",)) and found.labels.tolist() == [0]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        ("x.csv", "query,pos\nq,\"['a', 'b']\"\n", {}, "column 'pos' holds lists as text, as in \"['a', 'b']\""),
        (
            "x.csv",
            "anchor,query,pos,positive\na,b,c,d\n",
            {},
            "2 columns may be a positive (answer, sentence2) ('pos',",
        ),
        (
            "x.jsonl",
            lines([{"query": "q", "pos": "p"}] * 120 + FLAG),
            {},
            "line 121: the first rows have no field 'neg'",
        ),
        ("x.jsonl", lines([{"query": "q", "pos": {"a": "b"}}]), {}, "line 1: 'pos' is {'a': 'b'} (dict), not a text"),
        ("x.jsonl", lines(["one", "two"]), {}, "no column is an anchor (query, sentence1)"),
        ("x.jsonl", lines(FLAG), {"negatives": 0}, "negatives must be at least 1"),
        ("x.xlsx", b"PK\3\4", {}, ".xlsx files are not read: save the sheet as CSV (UTF-8)"),
        ("x.csv", b"anchor;positive\na;\xe4\n", {}, "x.csv, line 2: not utf-8"),
    ],
)
def test_what_is_refused(name, content, options, message, tmp_path):
    with pytest.raises(InputError) as caught:
        read_examples(file(tmp_path, name, content), **options)
    assert message in str(caught.value)


def test_the_anchor_wins_over_other_names(tmp_path):
    path = file(tmp_path, "x.csv", "query,anchor,document,positive\nq,a,d,p\n")
    assert read_examples(path).columns == (("a",), ("p",))


def test_what_is_read_is_told(tmp_path, caplog):
    caplog.set_level(logging.INFO, "minembed")
    path = file(tmp_path, "pairs.csv", "anchor,positive\n" + "a,b\n" * 1500)
    assert len(read_examples(path)) == 1500
    scored = file(tmp_path, "s.tsv", "id\ttext1\ttext2\tscore\n1\ta\tb\t1\n")
    read_examples(scored, labelled=True)
    assert caplog.messages == [
        f'{path}: 1,500 rows, columns "anchor", "positive" (csv, ",", utf-8)',
        f'{scored}: 1 row, columns "text1", "text2", label "score" (tsv, "\\t", utf-8)',
    ]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_read_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("anchor,positive\na,b\nc,d\n"))
    writer.start()
    assert read_examples(tmp_path / "pipe").columns == (("a", "c"), ("b", "d"))
    writer.join()


def test_texts_of_every_form(tmp_path, caplog):
    caplog.set_level(logging.INFO, "minembed")
    assert read_texts(file(tmp_path, "x.csv", "id;description\n1;one two\n2;three four\n")) == ("one two", "three four")
    assert read_texts(file(tmp_path, "y.json", '["one", "two"]')) == ("one", "two")
    assert read_texts(file(tmp_path, "z.jsonl", '{"doc": {"body": "one"}, "id": 1}\n'), "doc.body") == ("one",)
    missing = file(tmp_path, "m.csv", "id,text\n1,one\n2,\n")
    with pytest.raises(InputError, match=r"the text in column 'text' is missing in 1 of 2 rows \(line 3\)"):
        read_texts(missing)
    assert read_texts(missing, missing="skip") == ("one",)
    assert [message.partition(": ")[2] for message in caplog.messages] == [
        '2 rows, column "description" (csv, ";", utf-8)',
        '2 rows, column "text" (json, utf-8)',
        '1 row, column "doc.body" (jsonl, utf-8)',
        '2 rows, column "text", 1 without a text skipped (csv, ",", utf-8)',
    ]
    with pytest.raises(InputError, match=r"e\.txt holds no texts"):
        read_texts(file(tmp_path, "e.txt", "\n \n"))
