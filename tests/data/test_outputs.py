"""Rows written in every form, with columns beside them, and read back by csv, json, pyarrow and the reader itself."""

import csv
import datetime
import io
import json
from decimal import Decimal
from importlib.util import find_spec

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from minembed.data import arrow_output
from minembed.data.layout import Extra, Layout, form_of_output, kept_columns, kept_on_disk, layout_of
from minembed.data.outputs import write_rows, write_table
from minembed.data.source import Source
from minembed.data.table import Reading, Row, open_table
from minembed.errors import InputError

needs_arrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra arrow")
ROW_FORMS = ("csv", "tsv", "jsonl", "json")
ARROW_FORMS = ("parquet", "feather")


def opened(path, content, **reading):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return open_table(Source.of(path), Reading(**reading))


def written(form, table, **options):
    file = io.BytesIO()
    write_table(file, form, table, **options)
    return file.getvalue()


def read_arrow(content, form):
    import pyarrow.feather
    import pyarrow.parquet

    file = io.BytesIO(content)
    return pyarrow.parquet.read_table(file) if form == "parquet" else pyarrow.feather.read_table(file)


EXTRA = {Extra("n", int): [7, None], Extra("v", np.dtype("float32"), 2): [np.float32([0.1, -1]), None]}
MORE = [Extra("n", int), Extra("x", float), Extra("ok", bool), Extra("word")]


def test_csv_with_columns_beside_it(tmp_path):
    table = opened(tmp_path / "a.csv", 'id;text\n007;"one; ""two"""\n8;Gr\u00fc\u00dfe\n')
    assert written("csv", table, extra=EXTRA).decode() == (
        'id,text,n,v\n007,"one; ""two""",7,"[0.100000001, -1]"\n8,Gr\u00fc\u00dfe,,\n'
    )
    assert written("tsv", table, columns=["text"]).decode() == 'text\n"one; ""two"""\nGr\u00fc\u00dfe\n'
    assert written("jsonl", table, extra=EXTRA).decode() == (
        '{"id": "007", "text": "one; \\"two\\"", "n": 7, "v": [0.100000001, -1]}\n'
        '{"id": "8", "text": "Gr\u00fc\u00dfe", "n": null, "v": null}\n'
    )
    assert json.loads(written("json", table, columns=["id"], keep=lambda number: number == 2)) == [{"id": "8"}]


def test_json_becomes_a_table(tmp_path):
    table = opened(
        tmp_path / "a.jsonl",
        '{"a": 1, "tags": ["x"], "text": null}\n{"text": "two", "ok": true, "f": 0.5, "o": {"k": "\u00e9"}}\n',
    )
    rows = list(csv.reader(io.StringIO(written("csv", table).decode())))
    assert rows == [
        ["a", "tags", "text", "ok", "f", "o"],
        ["1", '["x"]', "", "", "", ""],
        ["", "", "two", "true", "0.5", '{"k": "\u00e9"}'],
    ]
    assert written("jsonl", table).decode().splitlines() == [
        '{"a": 1, "tags": ["x"], "text": null}',
        '{"text": "two", "ok": true, "f": 0.5, "o": {"k": "\u00e9"}}',
    ]


def test_no_rows(tmp_path):
    table = opened(tmp_path / "a.csv", "id,text\n")
    assert [written(form, table) for form in ROW_FORMS] == [b"id,text\n", b"id\ttext\n", b"", b"[]\n"]


def test_texts_alone(tmp_path):
    table = opened(tmp_path / "a.txt", "one\ntwo, three\n")
    assert written("csv", table, extra={Extra("n", int): [1, 2]}) == b'text,n\none,1\n"two, three",2\n'


def test_numbers_of_vectors_come_back_to_the_bit(tmp_path):
    vectors = np.random.default_rng(3).standard_normal((2, 5)).astype(np.float32)
    table, extra = opened(tmp_path / "a.csv", "text\none\ntwo\n"), {Extra("v", vectors.dtype, 5): vectors}
    in_csv = [json.loads(row["v"]) for row in csv.DictReader(io.StringIO(written("csv", table, extra=extra).decode()))]
    in_json = [json.loads(line)["v"] for line in written("jsonl", table, extra=extra).splitlines()]
    np.testing.assert_array_equal(np.float32(in_csv), vectors, strict=True)
    np.testing.assert_array_equal(np.float32(in_json), vectors, strict=True)
    whole = {Extra("v", np.dtype("int8"), 5): np.int8([[1, -2, 3, 4, 5]] * 2)}
    assert json.loads(written("jsonl", table, extra=whole).splitlines()[0])["v"] == [1, -2, 3, 4, 5]


@needs_arrow
@pytest.mark.parametrize("form", ARROW_FORMS)
def test_types_of_json(tmp_path, form):
    lines = [
        {"i": 1, "f": 1, "mixed": 1, "tags": [], "o": {"a": 1}, "b": None, "none": None, "big": 2**70, "e": {}},
        {"i": 2**60, "f": 0.5, "mixed": "1", "tags": ["x", None], "o": {"b": [0.5]}, "b": True, "late": "x"},
        {"l": 2**60},
        {"l": 0.5, "many": {str(i): i for i in range(101)}},
    ]
    table = opened(tmp_path / "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    found = read_arrow(written(form, table, extra={MORE[0]: [1, None, 3, 4]}), form)
    kinds = {
        name: str(kind).replace("element", "item")
        for name, kind in zip(found.schema.names, found.schema.types, strict=True)
    }
    assert kinds == {
        "i": "int64",
        "f": "double",
        "mixed": "string",
        "tags": "list<item: string>",
        "o": "struct<a: int64, b: list<item: double>>",
        "b": "bool",
        "none": "null",
        "big": "string",
        "e": "string",
        "late": "string",
        "l": "string",
        "many": "string",
        "n": "int64",
    }
    first, second, third, fourth = found.to_pylist()
    assert (first["mixed"], second["mixed"]) == ("1", '"1"')
    assert (first["f"], second["i"], first["big"], first["e"]) == (1.0, 2**60, str(2**70), "{}")
    assert (first["o"], second["o"]) == ({"a": 1, "b": None}, {"a": None, "b": [0.5]})
    assert (first["tags"], second["tags"], second["late"], second["n"]) == ([], ["x", None], "x", None)
    assert (third["l"], fourth["l"], json.loads(fourth["many"])["100"]) == (str(2**60), "0.5", 100)
    assert layout_of(table, form).as_json_text == ("mixed", "big", "e", "l", "many")


@needs_arrow
@pytest.mark.parametrize("form", ARROW_FORMS)
def test_cells_of_csv_stay_texts(tmp_path, form):
    table = opened(tmp_path / "a.csv", "id,text\n007,one\n,two\n")
    found = read_arrow(written(form, table, extra=EXTRA), form)
    assert [str(kind).replace("element", "item") for kind in found.schema.types] == [
        *("string", "string", "int64", "fixed_size_list<item: float>[2]"),
    ]
    assert found.to_pylist() == [
        {"id": "007", "text": "one", "n": 7, "v": np.float32([0.1, -1]).tolist()},
        {"id": "", "text": "two", "n": None, "v": None},
    ]


def typed_table():
    import pyarrow as pa

    columns = {
        "text": pa.array(["one", None, "three"]),
        "kind": pa.array(["a", "b", "a"]).dictionary_encode(),
        "time": pa.array([1, 2000, None], pa.timestamp("ns", "UTC")),
        "price": pa.array([Decimal("1.50"), None, Decimal("2.25")]),
        "day": pa.array([datetime.date(2024, 2, 29)] * 3),
        "o": pa.array([{"a": 1, "b": ["x", None]}, None, {"a": None, "b": []}]),
        "m": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int32())),
        "half": pa.array(np.float16([0.5, 1, 2])),
        "raw": pa.array([b"ab", None, b""]),
        "u": pa.array([2**63, None, 0], pa.uint64()),
        "none": pa.nulls(3),
        "took": pa.array([90_000_001, None, -1_000_000], pa.duration("us")),
        "nan": pa.array([float("nan"), float("inf"), None]),
    }
    return pa.table(columns).replace_schema_metadata({"made": "by hand"})


def typed_file(tmp_path, form):
    import pyarrow.feather
    import pyarrow.parquet

    path = tmp_path / f"a.{form}"
    (pyarrow.parquet.write_table if form == "parquet" else pyarrow.feather.write_feather)(typed_table(), str(path))
    return open_table(Source.of(path), Reading())


@needs_arrow
@pytest.mark.parametrize("source", ARROW_FORMS)
@pytest.mark.parametrize("form", ARROW_FORMS)
def test_types_of_arrow_survive(tmp_path, source, form):
    import pyarrow as pa

    table = typed_file(tmp_path, source)
    found = read_arrow(written(form, table, extra={Extra("n", int): [1, 2, 3]}, keep=lambda i: i != 2), form)
    expected = typed_table().append_column("n", pa.array([1, 2, 3])).take(pa.array([0, 2]))
    for name in expected.column_names:
        column = found[name].cast(expected[name].type) if name == "kind" else found[name]
        assert column.type == expected[name].type, name
        assert name == "nan" or column.equals(expected[name]), name
    assert pa.types.is_dictionary(found["kind"].type) and found.schema.metadata[b"made"] == b"by hand"
    assert read_arrow(written(form, table, columns=["u", "text"]), form).column_names == ["u", "text"]


@needs_arrow
@pytest.mark.parametrize("source", ARROW_FORMS)
def test_arrow_as_json_and_csv(tmp_path, source):
    table = typed_file(tmp_path, source)
    first, second, third = map(json.loads, written("jsonl", table).splitlines())
    assert first == {
        "text": "one",
        "kind": "a",
        "time": "1970-01-01T00:00:00.000000001+00:00",
        "price": "1.50",
        "day": "2024-02-29",
        "o": {"a": 1, "b": ["x", None]},
        "m": [["k", 1]],
        "half": 0.5,
        "raw": "YWI=",
        "u": 2**63,
        "none": None,
        "took": "PT90.000001S",
        "nan": None,
    }
    assert (second["time"], second["nan"], third["took"]) == ("1970-01-01T00:00:00.000002+00:00", "inf", "-PT1S")
    rows = list(csv.DictReader(io.StringIO(written("csv", table).decode())))
    assert rows[0] == {name: v if isinstance(v, str) else json.dumps(v) for name, v in first.items()} | {
        "nan": "",
        "none": "",
    }
    assert rows[1]["text"] == rows[1]["o"] == ""


@needs_arrow
@pytest.mark.parametrize("form", ARROW_FORMS)
def test_dictionaries_that_grow(tmp_path, form, monkeypatch):
    import pyarrow as pa
    import pyarrow.parquet

    monkeypatch.setattr(arrow_output, "GROUP", 1)  # a batch of its own for every block
    words = [f"w{i // 700}" for i in range(3000)]
    table = pa.table(
        {"text": pa.chunked_array([pa.array(words[i : i + 500]).dictionary_encode() for i in range(0, 3000, 500)])}
    )
    path = tmp_path / "a.parquet"
    pyarrow.parquet.write_table(table, path, row_group_size=500)
    found = read_arrow(written(form, open_table(Source.of(path), Reading())), form)
    assert found["text"].to_pylist() == words and pa.types.is_dictionary(found["text"].type)


def test_surrogates(tmp_path):
    table = opened(tmp_path / "a.jsonl", '{"text": "a \\ud800 b"}\n')
    assert written("jsonl", table) == b'{"text": "a \\ud800 b"}\n'
    assert written("csv", table).decode() == "text\na \ufffd b\n"
    if find_spec("pyarrow"):
        assert read_arrow(written("parquet", table), "parquet")["text"].to_pylist() == ["a \ufffd b"]


def test_names_that_clash(tmp_path):
    table = opened(tmp_path / "a.csv", "id,text\n1,one\n")
    with pytest.raises(
        InputError, match=r"a\.csv has a column 'id' itself, .*: rename it, or leave it out with --keep"
    ):
        layout_of(table, "csv", None, [Extra("id", int)])
    assert layout_of(table, "csv", ["text"], [Extra("id", int)]).columns == ("text",)


def test_kept_columns(tmp_path):
    table = opened(tmp_path / "a.csv", 'id,"a,b",text\n1,2,one\n')
    assert kept_columns(table, "a,b") == ("a,b",) and kept_columns(table, "text, id") == ("text", "id")
    assert kept_columns(table, "none") == () and kept_columns(table, "3", "id") == ("id", "text")
    assert kept_columns(table, None) is kept_columns(table, "all") is None
    with pytest.raises(InputError, match=r"there is no column 'txt' \(did you mean 'text'\?\); name one with --keep"):
        kept_columns(table, "id,txt")
    nested = opened(tmp_path / "a.jsonl", '{"doc": {"body": "x"}}\n')
    with pytest.raises(InputError, match=r"--keep takes whole columns: 'doc', not 'doc\.body'"):
        kept_columns(nested, "doc.body")


@pytest.mark.parametrize("name", ["rows", "rows.txt", "rows.csv.gz", "rows.xlsx", "rows.npy", ".csv.zst"])
def test_endings_that_are_refused(name):
    with pytest.raises(
        InputError, match=r"its ending must be \.npz, \.csv, \.tsv, \.jsonl, \.json, \.parquet or \.feat"
    ):
        form_of_output(name, [".npz"])


def test_a_pipe_is_kept_on_disk(tmp_path):
    table = open_table(Source("pipe", pipe=io.BytesIO(b'{"a": 1}\n{"b": "x"}\n')), Reading())
    with (tmp_path / "work").open("wb+") as file:
        kept = kept_on_disk(table, file)
        assert written("csv", kept) == b"a,b\n1,\n,x\n" == written("csv", kept)


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | CELLS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(CELLS, inner, max_size=3),
    max_leaves=6,
)


@examples(200)
@given(rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=5))
def test_cells_come_back(rows):
    blocks = [([Row("x", {"id": a, "text": b}, "") for a, b in rows], [])]
    for form in (*ROW_FORMS, *(ARROW_FORMS if find_spec("pyarrow") else ())):
        file = io.BytesIO()
        assert write_rows(file, form, Layout(("id", "text")), blocks) == len(rows)
        source = Source(f"x.{form}", pipe=io.BytesIO(file.getvalue()), kept=True)
        said = {"header": "yes", "quotes": "yes", "delimiter": "," if form == "csv" else "\t"}
        table = open_table(source, Reading(form=form, **(said if form in ("csv", "tsv") else {})))
        assert [dict(row.values) for row in table.rows()] == [{"id": a, "text": b} for a, b in rows], form


@needs_arrow
@examples(200)
@given(
    rows=st.lists(st.dictionaries(st.sampled_from(["a", "b", "\u00e9"]), VALUES, min_size=1), min_size=1, max_size=5)
)
def test_values_come_back(rows):
    """What is written as JSON text is that JSON; a missing column is null, as is a missing field of an object."""
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    table = open_table(Source("x.jsonl", pipe=io.BytesIO(content), kept=True), Reading(form="jsonl"))
    layout = layout_of(table, "parquet")
    for form in ARROW_FORMS:
        found = read_arrow(written(form, table), form).to_pylist()
        for row, back in zip(rows, found, strict=True):
            for name, value in back.items():
                whole = name in layout.as_json_text and layout.kinds[name].name == "json"
                assert same(json.loads(value) if whole and value is not None else value, row.get(name)), (row, back)


def same(back, value):
    if isinstance(value, dict) and isinstance(back, dict):
        return value.keys() <= back.keys() and all(same(one, value.get(name)) for name, one in back.items())
    if isinstance(value, list) and isinstance(back, list):
        return len(back) == len(value) and all(map(same, back, value))
    return back == value or (isinstance(back, str) and json.loads(back) == value)
