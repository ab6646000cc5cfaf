"""A job: its shards, and how it goes on."""

import hashlib
import json
import os
import random
import shutil
import sys

import job_cases
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from safetensors.numpy import load_file

from minembed import Embedder, jobs
from minembed.errors import ConfigError, InputError, InputTypeError, MissingExtraError, TruncationWarning
from minembed.jobs.folder import begun_plan
from minembed.jobs.inputs import find_files
from minembed.jobs.shards import is_whole


def embed(inputs, folder, model, **options):
    """As jobs.embed; the tiny model reads few tokens."""
    return jobs.embed(inputs, folder, model, **{"truncation": "silent", **options})


@pytest.fixture
def corpus(tmp_path):
    return job_cases.write_corpus(tmp_path)


def test_rows_are_there_once_in_order_with_the_bits_of_encode(model, corpus, tmp_path):
    report = embed(corpus, tmp_path / "out", model, shard_rows=20)
    assert (report.rows, report.texts, report.shards, report.made) == (65, 65, 4, 4)
    rows = job_cases.rows_of(tmp_path / "out")
    assert [row["id"] for row in rows] == [f"k{i}" for i in range(65)]
    assert [row["price"] for row in rows] == [str(i) for i in range(65)]  # cells of CSV are texts
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    np.testing.assert_array_equal(
        vectors, model.encode([row["text"] for row in rows], truncation="silent"), strict=True
    )
    job_cases.assert_whole(tmp_path / "out", 4)


def test_without_pyarrow_the_other_form_is_named(model, corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"minembed\[arrow\].*--shard-form safetensors"):
        embed(corpus, tmp_path / "out", model)
    assert not (tmp_path / "out").exists()


def test_the_manifest_says_what_is_there(model, corpus, tmp_path):
    embed(corpus, tmp_path / "out", model, shard_rows=30)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert [shard["rows"] for shard in manifest["shards"]] == [30, 30, 5]
    for shard in manifest["shards"]:
        content = (tmp_path / "out" / shard["name"]).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (shard["bytes"], shard["sha256"])
        assert shard["backend"] == "numpy" and shard["cpu"]
    assert [(one["rows"], one["texts"]) for one in manifest["inputs"]] == [(40, 40), (25, 25)]
    assert [one["sha256"] for one in manifest["inputs"]] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in corpus
    ]


@pytest.mark.parametrize("form", ["parquet", "safetensors"])
@pytest.mark.parametrize("lost", [[0], [1, 3], [2], [0, 1, 2, 3]])
def test_lost_shards_are_made_again_with_the_same_bytes(model, corpus, tmp_path, form, lost):
    embed(corpus, tmp_path / "out", model, shard_rows=20, form=form)
    before = job_cases.contents(tmp_path / "out")
    for number in lost:
        (tmp_path / "out" / f"part-{number:06}.{form}").unlink()
    assert embed(corpus, tmp_path / "out", model, shard_rows=20, form=form).made == len(lost)
    assert job_cases.contents(tmp_path / "out") == before


def test_a_finished_job_is_left_as_it_is(model, corpus, tmp_path):
    embed(corpus, tmp_path / "out", model)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir() if path.name != ".lock"}
    assert embed(corpus, tmp_path / "out", model).made == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.mark.parametrize("form", ["parquet", "safetensors"])
def test_a_shard_that_is_cut_off_is_told_and_made_anew(model, corpus, tmp_path, form, caplog):
    embed(corpus, tmp_path / "out", model, shard_rows=20, form=form)
    before = job_cases.contents(tmp_path / "out")
    path = tmp_path / "out" / f"part-000001.{form}"
    for size in (0, 3, 7, 100, len(before[path.name]) - 1):
        path.write_bytes(before[path.name][:size])
        with caplog.at_level("INFO", "minembed"):
            caplog.clear()
            assert embed(corpus, tmp_path / "out", model, shard_rows=20, form=form).made == 1
        assert f"{path} is damaged" in caplog.text
        assert job_cases.contents(tmp_path / "out") == before


@pytest.mark.parametrize("form", ["parquet", "safetensors"])
def test_shards_that_are_damaged_somewhere(model, corpus, tmp_path, form):
    """What a shard says of itself is read from its head or its end: it is right, or the shard is made anew."""
    embed(corpus, tmp_path / "out", model, shard_rows=20, form=form)
    plan, path = begun_plan(tmp_path / "out"), tmp_path / "out" / f"part-000001.{form}"
    content, dice, damaged = path.read_bytes(), random.Random(7), 0
    for _ in range(400):
        data = bytearray(content)
        for _ in range(dice.choice([1, 1, 3])):
            at = dice.randrange(1200) if form == "safetensors" else -dice.randrange(1, 3000)
            data[at] ^= 1 << dice.randrange(8)
        path.write_bytes(data)
        damaged += not is_whole(path, plan, 1)
    assert damaged > 50


def test_a_shard_of_another_job_is_not_taken_for_its_own(model, corpus, tmp_path):
    embed(corpus, tmp_path / "out", model, shard_rows=20)
    embed(corpus, tmp_path / "other", model, shard_rows=20, normalize_embeddings=True, prompt="to find: ")
    before = job_cases.contents(tmp_path / "out")
    shutil.copy(tmp_path / "other" / "part-000001.parquet", tmp_path / "out")
    shutil.copy(tmp_path / "out" / "part-000000.parquet", tmp_path / "out" / "part-000002.parquet")
    assert embed(corpus, tmp_path / "out", model, shard_rows=20).made == 2
    assert job_cases.contents(tmp_path / "out") == before


def test_safetensors_hold_vectors_and_ids(model, corpus, tmp_path):
    embed(corpus, tmp_path / "numbers", model, shard_rows=50, form="safetensors")
    embed(corpus, tmp_path / "names", model, shard_rows=50, form="safetensors", identity="id")
    first = load_file(tmp_path / "numbers" / "part-000001.safetensors")
    assert first["ids"].tolist() == list(range(51, 66)) and first["embeddings"].dtype == np.float32
    named = load_file(tmp_path / "names" / "part-000001.safetensors")
    ends, text = named["ids.ends"].tolist(), named["ids.bytes"].tobytes().decode()
    ids = [text[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    assert ids == [f"k{i}" for i in range(50, 65)]
    np.testing.assert_array_equal(first["embeddings"], named["embeddings"])


def test_rows_without_a_text(model, tmp_path):
    corpus = job_cases.write_corpus(tmp_path, gap=3)
    with pytest.raises(InputError, match=r"0\.csv: the text in column 'text' is missing in 1 of 40 rows \(line 5\)"):
        embed(corpus, tmp_path / "out", model)
    report = embed(corpus, tmp_path / "out", model, missing="skip", shard_rows=10)
    assert (report.rows, report.texts) == (65, 63)
    rows = job_cases.rows_of(tmp_path / "out")
    assert [i for i, row in enumerate(rows) if row["embedding"] is None] == [3, 43]
    embed(corpus, tmp_path / "tensors", model, missing="skip", shard_rows=10, form="safetensors")
    found = [load_file(path) for path in sorted((tmp_path / "tensors").glob("*.safetensors"))]
    assert [i for one in found for i in one["ids"].tolist()] == [i + 1 for i in range(65) if i not in (3, 43)]


def test_types_of_json_are_those_of_all_inputs(model, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one", "n": 1}\n{"text": "two", "n": 2}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "three", "n": 0.5, "tags": ["x"]}\n')
    embed(tmp_path / "*.jsonl", tmp_path / "out", model, shard_rows=1)
    (tmp_path / "out" / "part-000001.parquet").unlink()
    embed(tmp_path / "*.jsonl", tmp_path / "out", model, shard_rows=1)
    tables = [pa.parquet.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert len({str(table.schema.field("n").type) for table in tables}) == 1
    assert [(row["n"], row["tags"]) for row in job_cases.rows_of(tmp_path / "out")] == [
        (1, None),
        (2, None),
        (0.5, ["x"]),
    ]


CHANGES = {
    "setting": ({"truncate_dim": 4}, r"another setting \(truncate_dim: null then, 4 now\)"),
    "prompt": ({"prompt": "q: "}, r"another setting \(prompt: null then, \"q: \" now\)"),
    "column": ({"field": "id"}, r"another way of reading \(field: null then, \"id\" now\)"),
    "rows": ({"shard_rows": 7}, r"another way of reading \(shard_rows: 20 then, 7 now\)"),
    "form": ({"form": "safetensors"}, "holds shards in parquet"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changed_is_refused_by_name(model, corpus, tmp_path, change):
    embed(corpus, tmp_path / "out", model, shard_rows=20)
    before = job_cases.contents(tmp_path / "out")
    options, message = CHANGES[change]
    with pytest.raises(InputError, match=message):
        embed(corpus, tmp_path / "out", model, **({"shard_rows": 20} | options))
    assert job_cases.contents(tmp_path / "out") == before


def test_another_model_is_refused(model, corpus, tmp_path, tiny_checkpoint):
    embed(corpus, tmp_path / "out", model)
    copy = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, copy)
    assert embed(corpus, tmp_path / "out", Embedder.load(copy, backend="numpy")).made == 0  # the same bytes
    with pytest.raises(InputError, match=r"another model .dtype"):
        embed(corpus, tmp_path / "out", Embedder.load(copy, backend="numpy", dtype="bfloat16"))
    weights = bytearray((copy / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (copy / "model.safetensors").write_bytes(weights)
    with pytest.raises(InputError, match=r"another model .sha256"):
        embed(corpus, tmp_path / "out", Embedder.load(copy, backend="numpy"))


def test_changed_inputs_are_refused(model, corpus, tmp_path):
    embed(corpus, tmp_path / "out", model)
    os.utime(corpus[0])  # the same bytes at another time
    assert embed(corpus, tmp_path / "out", model).made == 0
    with pytest.raises(InputError, match=r"1\.csv is input 1, which was 0\.csv"):
        embed(corpus[::-1], tmp_path / "out", model)
    with pytest.raises(InputError, match=r"a job of 2 input files \(1 now\)"):
        embed(corpus[:1], tmp_path / "out", model)
    shutil.copy(corpus[0], tmp_path / "new.csv")
    with pytest.raises(InputError, match=r"a job of 2 input files \(.*new.csv is new\)"):
        embed([*corpus, tmp_path / "new.csv"], tmp_path / "out", model)
    content = corpus[0].read_bytes()
    corpus[0].write_bytes(content.replace(b"bread", b"toast"))
    with pytest.raises(InputError, match=r"0\.csv changed since the job began"):
        embed(corpus, tmp_path / "out", model)


def test_folders_that_are_not_a_jobs(model, corpus, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"mine has files that no job made \(notes\.txt\)"):
        embed(corpus, tmp_path / "mine", model)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="is a file"):
        embed(corpus, corpus[0], model)
    embed(corpus, tmp_path / "out", model)
    plan = tmp_path / "out" / "job.json"
    for content, message in (
        (plan.read_bytes().replace(b"40", b"41", 1), "was changed after it was written"),
        (b"{", "is damaged"),
        (b"[]", "is damaged"),
        (b"\xff", "is damaged"),
        (b"{}", "is not of minembed job, version 1"),
    ):
        plan.write_bytes(content)
        with pytest.raises(ConfigError, match=message):
            embed(corpus, tmp_path / "out", model)
        with pytest.raises(ConfigError, match=message):
            jobs.status(tmp_path / "out")


def test_inputs_that_do_not_fit(model, corpus, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "a"}\n')
    with pytest.raises(InputError, match=r"is a table of texts and .* is JSON"):
        embed([corpus[0], other], tmp_path / "out", model)
    wide = tmp_path / "wide.csv"
    wide.write_text("id,text,price,more\n1,a,2,3\n")
    with pytest.raises(InputError, match=r"have other columns .'more' is in one of them only"):
        embed([corpus[0], wide], tmp_path / "out", model)
    embed([corpus[0], wide], tmp_path / "out", model, keep="id")
    assert set(job_cases.rows_of(tmp_path / "out")[0]) == {"id", "embedding"}
    for name, kind in (("a", pa.int64()), ("b", pa.string())):
        table = pa.table({"text": ["x"], "n": pa.array([1]).cast(kind)})
        pa.parquet.write_table(table, tmp_path / f"{name}.parquet")
    with pytest.raises(
        InputError, match=r"column 'n' is of type int64 in .*a.parquet and of type string in .*b.parquet"
    ):
        embed(tmp_path / "?.parquet", tmp_path / "typed", model)
    assert not (tmp_path / "typed" / "job.json").exists()


def test_files_of_a_folder(tmp_path, caplog):
    for name in ("b.csv", "a.csv", "deep/c.csv.gz", "_SUCCESS", ".hidden.csv", "README.md", "x.png", "y.xlsx"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with caplog.at_level("INFO", "minembed"):
        found = find_files([tmp_path])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["a.csv", "b.csv", "deep/c.csv.gz"]
    assert "3 files are read, 5 others are left out (.hidden.csv, README.md, _SUCCESS, ...)" in caplog.text
    with pytest.raises(InputError, match=r"a\.csv is meant twice"):
        find_files([tmp_path, tmp_path / "a.csv"])
    with pytest.raises(InputError, match="no file has a name like that"):
        find_files([tmp_path / "*.parquet"])
    with pytest.raises(InputError, match="standard input cannot"):
        find_files(["-"])
    with pytest.raises(InputError, match="no inputs"):
        find_files([])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no file in it has an ending"):
        find_files([tmp_path / "empty"])


def test_the_shards_of_another_job_are_inputs(model, corpus, tmp_path):
    embed(corpus, tmp_path / "out", model, shard_rows=20)
    assert [path.name for path in find_files([tmp_path / "out"])] == [f"part-{i:06}.parquet" for i in range(4)]
    embed(tmp_path / "out", tmp_path / "again", model, keep="id", field="text")
    first, again = job_cases.rows_of(tmp_path / "out"), job_cases.rows_of(tmp_path / "again")
    assert [row["embedding"] for row in first] == [row["embedding"] for row in again]


def test_an_input_in_the_folder_of_the_job(model, corpus, tmp_path):
    embed(corpus, tmp_path / "out", model)
    with pytest.raises(InputError, match="is in the folder of the job itself"):
        embed(tmp_path / "out" / "part-000000.parquet", tmp_path / "out", model)


def test_options_are_checked(model, corpus, tmp_path):
    with pytest.raises(InputTypeError, match="did you mean 'precision'"):
        embed(corpus, tmp_path / "out", model, precison="int8")
    with pytest.raises(InputError, match="form must be one of parquet, safetensors"):
        embed(corpus, tmp_path / "out", model, form="csv")
    with pytest.raises(InputError, match="shard_rows must be a whole number"):
        embed(corpus, tmp_path / "out", model, shard_rows=0)
    with pytest.raises(InputError, match="vectors and ids alone"):
        embed(corpus, tmp_path / "out", model, form="safetensors", keep="id")
    assert not (tmp_path / "out").exists()


def test_long_texts_make_small_shards(model, tmp_path, monkeypatch):
    monkeypatch.setattr("minembed.jobs.survey.SHARD_BYTES", 1000)
    (tmp_path / "long.txt").write_text("\n".join(["a " * 200] * 5) + "\n")
    assert embed(tmp_path / "long.txt", tmp_path / "out", model, truncation="silent").shards == 3


def test_texts_that_are_cut_are_told_once(model, corpus, tmp_path):
    with pytest.warns(TruncationWarning, match=r"^\d+ texts longer than \d+ tokens were cut$") as caught:
        embed(corpus, tmp_path / "out", model, shard_rows=20, truncation="warn")
    assert len(caught) == 1


def test_status(model, corpus, tmp_path):
    embed(corpus, tmp_path / "out", model, shard_rows=20)
    assert jobs.status(tmp_path / "out").lines()[1] == "finished"
    (tmp_path / "out" / "part-000000.parquet").unlink()
    state = jobs.status(tmp_path / "out")
    assert (state.rows_done, state.rows, state.shards_done, state.finished, state.working) == (45, 65, 3, False, False)
    assert "stopped" in state.lines()[1]
    with pytest.raises(InputError, match="holds no job"):
        jobs.status(tmp_path)


def test_precisions_and_settings(model, corpus, tmp_path):
    calibration = model.encode(["rye bread", "green tea", "soup"], truncate_dim=4, truncation="silent")
    options = {"precision": "int8", "calibration_embeddings": calibration, "truncate_dim": 4, "truncation": "silent"}
    embed(corpus, tmp_path / "out", model, shard_rows=30, **options)
    rows = job_cases.rows_of(tmp_path / "out")
    expected = model.encode([row["text"] for row in rows], **options)
    np.testing.assert_array_equal(np.array([row["embedding"] for row in rows], np.int8), expected, strict=True)
    with pytest.raises(InputError, match=r"another setting .calibration_embeddings"):
        embed(corpus, tmp_path / "out", model, shard_rows=30, **options | {"calibration_embeddings": calibration[:2]})


@pytest.mark.parametrize("reuse", [False, True])
@pytest.mark.parametrize("form", ["parquet", "safetensors"])
def test_a_text_too_long_is_named_by_its_file_and_row(tiny_checkpoint, tmp_path, form, reuse):
    """Whatever shard it is in, and though rows before it have no text."""
    model = Embedder.load(tiny_checkpoint, backend="numpy")
    corpus = [tmp_path / "0.csv", tmp_path / "1.csv"]
    for path in corpus:
        path.write_text("id,text\n" + "".join(f"{path.stem}-{i},{'cat' if i % 9 else ''}\n" for i in range(2500)))
    options = {"missing": "skip", "shard_rows": 900, "form": form, "truncation": "error"}
    if reuse:
        jobs.embed(corpus[0], tmp_path / "old", model, **{**options, "form": "parquet"})
        options["reuse"] = tmp_path / "old"
    lines = corpus[1].read_text().splitlines()
    lines[2222] = "1-2221," + "the cat " * 100
    corpus[1].write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"1\.csv, (row 2222|line 2223): the text has more than 32 tokens; shorten it"):
        jobs.embed(corpus, tmp_path / "out", model, **options)
