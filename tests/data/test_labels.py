"""Labels beside the texts of a file: of the same rows, and written as they are."""

import json

import pytest

from minembed.data.columns import Column
from minembed.data.labels import Labelled, labelled_texts
from minembed.data.source import Source
from minembed.data.texts import Selection, column_of, open_texts

VALUES = [("one", "x"), ("two", 1999), ("three", 2.5), ("four", None), ("five", True), ("six", ["a", 1])]
LABELS = ["x", "1999", "2.5", "", "true", '["a", 1]']


def labels(path, label, selection=None):
    texts = open_texts(Source.of(path), selection or Selection())
    return labelled_texts(texts, column_of(texts.table, label, "--label"))


def test_values_of_every_type(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "kind": kind}) for text, kind in VALUES))
    assert labels(path, "kind") == Labelled([1, 2, 3, 4, 5, 6], [text for text, _ in VALUES], LABELS)


def test_rows_keep_together(tmp_path):
    """What has no text has no label; a column may be named by its number, or as a field of what it holds."""
    path = tmp_path / "x.csv"
    path.write_text("kind;text;year\na;one;1\nb; ;2\nc;two;3\n")
    skip = Selection(missing="skip")
    assert labels(path, "kind", skip) == Labelled([1, 3], ["one", "two"], ["a", "c"])
    assert labels(path, "3", skip).labels == ["1", "3"]
    path = tmp_path / "y.jsonl"
    path.write_text('{"text": "one", "meta": {"kind": "a"}}\n{"text": "two", "meta": {}}\n{"text": "three"}\n')
    assert labels(path, "meta.kind").labels == ["a", "", ""]


def test_parquet(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(
        arrow.table({"text": ["one", "two"], "n": [1, None], "s": [{"a": 1}] * 2}), tmp_path / "x.parquet"
    )
    assert labels(tmp_path / "x.parquet", "n").labels == ["1", ""]
    assert labels(tmp_path / "x.parquet", "s").labels == ['{"a": 1}'] * 2
    texts = open_texts(Source.of(tmp_path / "x.parquet"), Selection())
    assert labelled_texts(texts, Column("s.a", ("s", "a"))).labels == ["1", "1"]
