"""Examples from files, batches and settings; everything wrong is named with its file and line."""

import json
import os
import sys

import numpy as np
import pytest

from minembed.data.examples import Examples, read_examples, read_texts
from minembed.data.table import Reading
from minembed.errors import InputError, MissingExtraError
from minembed.train.batches import batches
from minembed.train.contrastive import check_examples, loss_of
from minembed.train.settings import Settings, change, read_settings

BARE = Reading(header="no")
GOOD = {
    "plain.csv": "a,b\nc,d\n",
    "header.csv": "Anchor,Positive\na,b\nc,d\n",
    "quoted.csv": '"a","b"\n"c","d"\n',
    "pairs.jsonl": '{"anchor": "a", "positive": "b"}\n\n{"query": 1, "anchor": "c", "positive": "d"}\n',
}


def file(tmp_path, name, text):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", GOOD)
def test_pairs(name, tmp_path):
    examples = read_examples(file(tmp_path, name, GOOD[name]), reading=None if name == "header.csv" else BARE)
    assert examples.columns == (("a", "c"), ("b", "d")) and examples.labels is None and len(examples) == 2


def test_triplets_and_scores(tmp_path):
    rows = "anchor,positive,negative_1,negative_2,id\na,b,n,o,1\n"
    assert read_examples(file(tmp_path, "t.csv", rows)).columns == (("a",), ("b",), ("n",), ("o",))
    scored = file(tmp_path, "s.csv", "sentence1,sentence2,score\na,b,0\na,c,2.5\n")
    assert read_examples(scored, labelled=True, score_range=(0, 5)).labels.tolist() == [0, 0.5]
    assert read_examples(scored, labelled=True).labels.tolist() == [0, 2.5]
    assert read_examples(scored, columns=["sentence1", "sentence2"]).labels is None
    named = read_examples(scored, columns=["sentence2", "sentence1"], label="score", labelled=True)
    assert named.columns == (("b", "c"), ("a", "a"))


def test_columns_that_the_user_names(tmp_path):
    """Whatever they are called: the first row is a header then, or a row of columns 1, 2, ..."""
    named = file(tmp_path, "n.csv", "q,a,points\nx,y,3\n")
    examples = read_examples(named, columns=["q", "a"], label="points", labelled=True, score_range=(1, 5))
    assert examples.columns == (("x",), ("y",)) and examples.labels.tolist() == [0.5]
    bare = file(tmp_path, "b.csv", "7,x,y,3\n8,z,w,4\n")
    examples = read_examples(bare, columns=["3", "2"], label="4", labelled=True, reading=BARE)
    assert examples.columns == (("y", "w"), ("x", "z")) and examples.labels.tolist() == [3, 4]
    objects = file(tmp_path, "o.jsonl", '{"q": "x", "a": "y", "n": "z"}\n')
    assert read_examples(objects, columns=["q", "a", "n"]).columns == (("x",), ("y",), ("z",))


@pytest.mark.parametrize("names", ["sentence1,sentence2,similarity_score", "Text 1,text_2,GOLD", "s1,s2,labels"])
def test_names_that_people_give(names, tmp_path):
    examples = read_examples(file(tmp_path, "n.csv", f"{names}\na,b,1\n"), labelled=True)
    assert examples.columns == (("a",), ("b",)) and examples.labels.tolist() == [1]


def test_a_column_about_negatives_is_none(tmp_path):
    path = file(tmp_path, "n.csv", "anchor,positive,negative,negative_score,is_negative\na,b,c,1,0\n")
    assert read_examples(path).columns == (("a",), ("b",), ("c",))


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "p.parquet"
    parquet.write_table(arrow.table({"anchor": ["a"], "positive": ["b"]}), path)
    assert read_examples(path).columns == (("a",), ("b",))


BAD = {
    "empty.csv": ("", {}, "holds no examples"),
    "only_header.csv": ("anchor,positive\n", {}, "holds no examples"),
    "empty.jsonl": ("\n", {}, "holds no examples"),
    "one.csv": ("anchor,other\na,b\n", {}, "no column is a positive"),
    "none.jsonl": ('{"x": "a", "y": "b"}\n', {}, "no column is an anchor"),
    "missing.jsonl": (
        '{"anchor": "a", "positive": "b"}\n{"anchor": "c"}\n',
        {},
        r"'positive' is missing in 1 of 2 rows \(line 2\)",
    ),
    "number.jsonl": ('{"anchor": "a", "positive": 7}\n', {}, r"line 1: 'positive' is 7 \(int\), not a text"),
    "blank.csv": ("a,b\nc, \n", {"reading": BARE}, r"'2' is missing in 1 of 2 rows \(line 2\)"),
    "cells.csv": ("a,b\nc,d,e\n", {"reading": BARE}, r"line 2: 3 cells where the first row has 2"),
    "list.jsonl": ("[1]\n", {}, "line 1: it must be an object or a text, not a JSON array"),
    "json.jsonl": ("{\n", {}, "line 1: not JSON"),
    "nan.csv": ("a,b,1\na,b,nan\n", {"labelled": True}, r"line 2: '3' is 'nan', not a finite number"),
    "text.csv": ("a,b,1\nc,d,x\n", {"labelled": True}, r"line 2: '3' is 'x', not a finite number"),
    "range.csv": ("a,b,1\nc,d,6\n", {"labelled": True, "score_range": (0, 5)}, r"line 2: '3' is 6, outside the range"),
    "no_score.csv": ("anchor,positive\na,b\n", {"labelled": True}, "needs a score or label"),
    "scores.csv": ("a,b,5.0\n", {}, "column '3' holds scores or labels, which this loss does not use"),
    "column.csv": (
        "anchor,positive\na,b\n",
        {"columns": ["anchor", "nope"]},
        r"no column 'nope'; name one with --columns:\n  anchor    'a'\n  positive  'b'",
    ),
    "range2.csv": ("a,b,1\n", {"score_range": (5, 0)}, "the lower first"),
    "pairs.txt": ("a b\n", {"reading": Reading(form="txt")}, "examples need columns: say --format"),
    "bounds.csv": (
        "a,b,1\nc,d,5\n",
        {"labelled": True, "bounds": (0, 1)},
        r"line 2: '3' is 5, outside .*score_range=\(0",
    ),
    "infinite.csv": ("a,b,1\nc,d,inf\n", {"labelled": True}, r"line 2: '3' is 'inf', not a finite number"),
    "true.jsonl": (
        '{"anchor": "a", "positive": "b", "score": true}\n',
        {"labelled": True},
        r"line 1: 'score' is True, not a finite number",
    ),
    "twice.csv": ("anchor,positive,anchor\na,b,c\n", {}, "two columns have the name 'anchor'"),
    "header2.csv": (
        "q,a\nx,y\n",
        {"columns": ["q", "answer"]},
        r"no column 'answer'; name one with --columns:\n  q  'x'\n  a  'y'",
    ),
    "label.csv": (
        "q,a\nx,y\n",
        {"columns": ["q", "a"], "label": "", "labelled": True},
        "no column ''; name one with --label",
    ),
    "no_columns.csv": ("q,a\nx,y\n", {"columns": []}, "at least one column"),
    "quotes.csv": ('a,b\n"c,d\n', {"reading": BARE}, "line 2: not sound CSV"),
    "null.jsonl": (
        '{"anchor": null, "positive": "b"}\n',
        {},
        r"'anchor' is missing in 1 of 1 rows \(line 1\); --missing skip",
    ),
    "no_parquet.parquet": ("a", {}, "parquet"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named(name, tmp_path):
    text, options, message = BAD[name]
    with pytest.raises((InputError, MissingExtraError), match=message) as caught:
        read_examples(file(tmp_path, name, text), **options)
    assert name in str(caught.value) or name in ("range2.csv", "no_columns.csv") or "pyarrow" in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "latin.csv"
    path.write_bytes("a,b\nc,\xe4\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.csv, line 2: not utf-8; .* say which with --encoding"):
        read_examples(path, reading=BARE)
    assert read_examples(path, reading=Reading(header="no", encoding="latin-1")).columns == (("a", "c"), ("b", "\xe4"))


def test_texts(tmp_path):
    assert read_texts(file(tmp_path, "t.txt", "a\n\nb\n")) == ("a", "b")
    assert read_texts(file(tmp_path, "t.jsonl", '{"text": "a"}\n')) == ("a",)
    with pytest.raises(InputError, match="holds no texts"):
        read_texts(file(tmp_path, "e.txt", "\n \n"))


@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("apart", [False, True])
def test_every_example_is_in_one_batch(grouped, apart):
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 100, 300) if grouped else None
    texts = [[f"t{i % 40}" for i in range(300)]] if apart else ()
    dealt = batches(300, 16, seed=3, epoch=1, lengths=lengths, texts=texts)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(300))
    assert max(map(len, dealt)) == 16
    if apart:
        assert all(len({texts[0][i] for i in batch}) == len(batch) for batch in dealt)
    if grouped and not apart:
        assert np.mean([np.ptp(lengths[batch]) for batch in dealt]) < 20
    again = batches(300, 16, seed=3, epoch=1, lengths=lengths, texts=texts)
    assert all((a == b).all() for a, b in zip(dealt, again, strict=True))
    other = batches(300, 16, seed=3, epoch=2, lengths=lengths, texts=texts)
    assert [b.tolist() for b in dealt] != [b.tolist() for b in other]


@pytest.mark.parametrize("many", [1, 7, 60])
def test_texts_that_come_often_are_kept_apart(many):
    """As few batches as the commonest text needs, or nearly; and in time that does not grow with their square."""
    n = 20_000
    rng = np.random.default_rng(many)
    texts = [[f"a{i}" for i in rng.integers(0, many, n)], [f"b{i}" for i in range(n)]]
    dealt = batches(n, 32, seed=1, epoch=0, texts=texts)
    assert sorted(np.concatenate(dealt).tolist()) == list(range(n)) and max(map(len, dealt)) <= 32
    assert all(len({texts[0][i] for i in batch}) == len(batch) for batch in dealt)
    commonest = max(np.unique(texts[0], return_counts=True)[1])
    assert len(dealt) <= 1.1 * max(commonest, n / 32)


FAULTS = [
    ({"epochs": 0}, "epochs"),
    ({"epochs": True}, "epochs"),
    ({"batch_size": 1.5}, "batch_size"),
    ({"learning_rate": 0.0}, "learning_rate"),
    ({"learning_rate": float("nan")}, "learning_rate"),
    ({"dropout": 1.0}, "dropout"),
    ({"warmup": -1.0}, "warmup"),
    ({"scale": 0.0}, "scale"),
    ({"loss": "none"}, "loss 'none' is unknown"),
    ({"schedule": "none"}, "schedule"),
    ({"recompute": 1}, "recompute must be true or false"),
    ({"nope": 1}, "'nope' is no setting"),
    ({"loss": []}, r"loss \[\] is unknown"),
    ({"backend": None}, "backend None is unknown"),
    ({"matryoshka_dims": [0]}, "matryoshka_dims must be whole numbers"),
    ({"matryoshka_dims": "384"}, "matryoshka_dims must be whole numbers"),
    ({"matryoshka_dims": [True]}, "matryoshka_dims must be whole numbers"),
    ({"threads": 0}, "threads"),
    ({"max_grad_norm": float("inf")}, "max_grad_norm"),
    ({"mask_probability": 0.0}, "mask_probability"),
    ({"seed": -1}, "seed"),
    ({"seed": 2**64}, r"seed must be a whole number from 0 to 2\^64 - 1, not 18446744073709551616"),
    ({"weight_decay": 10**400}, "weight_decay must be a number"),
]


@pytest.mark.parametrize(("values", "message"), FAULTS)
def test_bad_settings_are_named(values, message):
    with pytest.raises(InputError, match=message):
        change(Settings(), values)


def test_settings_files(tmp_path):
    values = {"epochs": 3, "matryoshka_dims": [128, 64], "recompute": True}
    found = read_settings(file(tmp_path, "s.json", json.dumps(values)))
    assert (found.epochs, found.matryoshka_dims, found.recompute) == (3, (128, 64), True)
    toml = file(tmp_path, "s.toml", "epochs = 3\nloss = 'cosent'\n")
    if sys.version_info >= (3, 11):
        assert read_settings(toml).loss == "cosent"
    for name, text in (
        ("b.json", "{"),
        ("b.toml", "=") if sys.version_info >= (3, 11) else ("c.json", "]"),
        ("d.json", "[]"),
        ("e.json", '{"nope": 0}'),
        ("f.json", "[" * 100_000),
    ):
        with pytest.raises(InputError, match=name):
            read_settings(file(tmp_path, name, text))


@pytest.mark.parametrize(
    ("examples", "settings", "message"),
    [
        (Examples((("a",), ("b",))), {}, "batch of one pair"),
        (Examples((("a", "c"), ("b", "d"))), {"batch_size": 1}, "batch of one pair"),
        (Examples((("a", "c"),)), {}, "two texts"),
        (Examples((("a", "c"), ("b", "d"))), {"loss": "triplet"}, "three texts"),
        (Examples((("a", "c"), ("b", "d"))), {"loss": "cosent"}, "needs a score"),
        (Examples((("a", "c"), ("b", "d")), np.array([0, 5.0])), {"loss": "cosine_similarity"}, "say score_range"),
    ],
)
def test_examples_that_do_not_go_with_the_loss(examples, settings, message):
    with pytest.raises(InputError, match=message):
        check_examples(examples, Settings(**settings))


def test_settings_files_that_cannot_be_read(tmp_path):
    (tmp_path / "s.json").write_bytes(b"\xff")
    for name in ("s.json", "none.json", "."):
        with pytest.raises(InputError, match=r"not sound|cannot be read"):
            read_settings(tmp_path / name)
    (tmp_path / "large.json").write_text(" " * (1 << 20) + "{}")
    with pytest.raises(InputError, match=r"large\.json cannot be read \(it has more than 1048576 bytes\)"):
        read_settings(tmp_path / "large.json")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.json")
        with pytest.raises(InputError, match=r"pipe\.json cannot be read \(it is no regular file\)"):
            read_settings(tmp_path / "pipe.json")


def test_options_that_a_loss_has():
    pairs = [np.eye(2), np.float64([[0, 1], [0, 1]])]
    assert loss_of(Settings(loss="online_contrastive", margin=0.25))(pairs, np.float64([1, 0]))[0] == 1.0625


def test_options_that_a_loss_does_not_have():
    with pytest.raises(InputError, match="has no margin"):
        loss_of(Settings(margin=1.0))
