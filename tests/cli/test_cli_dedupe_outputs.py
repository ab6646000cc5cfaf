"""`minembed dedupe -o`: whole rows in another form than the one that was read."""

import json
from importlib.util import find_spec

import pytest
from command import leftovers, run

ROWS = 'id;text;when\n007;the cat;"a;b"\n8;a dog;\n9;the cat;x\n'


@pytest.fixture
def model(tiny_checkpoint):
    return "-m", tiny_checkpoint, "--backend", "numpy", "--threshold", 1


def test_rows_go_to_other_forms(tmp_path, model):
    (tmp_path / "a.csv").write_text(ROWS)
    for name in ("b.csv", "b.tsv", "b.jsonl", "b.json"):
        run("dedupe", tmp_path / "a.csv", *model, "-o", tmp_path / name)
    assert (tmp_path / "b.csv").read_text() == 'id;text;when\n007;the cat;"a;b"\n8;a dog;\n'  # as it stands
    assert (tmp_path / "b.tsv").read_text() == "id\ttext\twhen\n007\tthe cat\ta;b\n8\ta dog\t\n"
    kept = [{"id": "007", "text": "the cat", "when": "a;b"}, {"id": "8", "text": "a dog", "when": ""}]
    assert [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()] == kept
    assert json.loads((tmp_path / "b.json").read_text()) == kept
    run("dedupe", tmp_path / "b.jsonl", *model, "-o", tmp_path / "c.csv")
    assert (tmp_path / "c.csv").read_text() == "id,text,when\n007,the cat,a;b\n8,a dog,\n"
    (tmp_path / "t.txt").write_text("the cat\n\na, b\nthe cat\n")
    run("dedupe", tmp_path / "t.txt", *model, "-o", tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == 'text\nthe cat\n"a, b"\n'


@pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra arrow")
def test_types_survive(tmp_path, model):
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    (tmp_path / "a.jsonl").write_text(
        '{"n": 1, "text": "the cat", "tags": ["x"]}\n{"text": "the cat"}\n{"text": "b"}\n'
    )
    run("dedupe", tmp_path / "a.jsonl", *model, "-o", tmp_path / "b.parquet")
    found = pyarrow.parquet.read_table(tmp_path / "b.parquet")
    assert found.to_pylist() == [{"n": 1, "text": "the cat", "tags": ["x"]}, {"n": None, "text": "b", "tags": None}]
    assert found.schema.types[0] == pa.int64()
    run("dedupe", tmp_path / "b.parquet", *model, "-o", tmp_path / "c.feather")
    assert pyarrow.feather.read_table(tmp_path / "c.feather").equals(found)


@pytest.mark.parametrize("name", ["out", "out.txt", "out.csv.gz", "out.xlsx", "out.npy"])
def test_other_endings_are_refused_before_the_work(tmp_path, model, name):
    (tmp_path / "a.csv").write_text(ROWS)
    _, err = run("dedupe", tmp_path / "a.csv", *model, "-o", tmp_path / name, code=1)
    assert err.startswith(f"minembed: {name}: its ending must be .csv, .tsv, .jsonl, .json, .parquet or .feather")
    assert leftovers(tmp_path) == [] and not (tmp_path / name).exists()


def test_equal_texts_alone(tmp_path):
    """Without a model: nothing is embedded."""
    (tmp_path / "a.csv").write_text(ROWS)
    out, err = run("dedupe", tmp_path / "a.csv", "--exact")
    assert out == 'id;text;when\n007;the cat;"a;b"\n8;a dog;\n' and "3 texts, 2 kept, 1 equal ones removed" in err
    run("dedupe", tmp_path / "a.csv", "--exact", "-o", tmp_path / "b.jsonl")
    assert [json.loads(line)["id"] for line in (tmp_path / "b.jsonl").read_text().splitlines()] == ["007", "8"]
    (tmp_path / "t.txt").write_text("the cat\n\nThe cat\nthe cat\n\n")
    out, err = run("dedupe", tmp_path / "t.txt", "--exact")
    assert out == "the cat\nThe cat\n" and "3 texts, 2 kept, 1 equal ones removed" in err
    gaps = "text,n\na,1\n,2\n,3\na,4\n"
    (tmp_path / "g.csv").write_text(gaps)
    out, err = run("dedupe", tmp_path / "g.csv", "--exact", "--missing", "skip")
    assert out == "text,n\na,1\n,2\n,3\n" and "2 texts, 1 kept, 1 equal" in err  # as without --exact
    assert run("dedupe", tmp_path / "g.csv", "--exact", "--missing", "empty")[0] == "text,n\na,1\n,2\n"
    for option in (["--threshold", "1"], ["--json"], ["-m", "x"]):
        assert "says nothing with --exact" in run("dedupe", tmp_path / "a.csv", "--exact", *option, code=2)[1]
