"""`minembed embed -o`: vectors with their rows, in every form, and what becomes of rows without a text."""

import csv
import io
import json
import os
import re
import signal
import struct
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from command import MODULE, leftovers, run
from embed_memory import grown
from examples import heavy

from minembed import Embedder
from minembed.cli import embed_file

needs_arrow = pytest.mark.skipif(find_spec("pyarrow") is None, reason="needs the extra arrow")
ROWS = 'sku;text;price\n007;the cat;"1,5"\n8;;2\n009;a dog in the house;3\n'
TEXTS = ["the cat", "a dog in the house"]
SKIP = "--missing", "skip"


def lines_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def arrays_of(path):
    with np.load(path, allow_pickle=False) as archive:
        return dict(archive)


@pytest.fixture
def model(tiny_checkpoint):
    return "-m", tiny_checkpoint, "--backend", "numpy"


@pytest.fixture
def vectors(tiny_checkpoint):
    return Embedder.load(tiny_checkpoint, backend="numpy").encode(TEXTS)


@pytest.fixture
def shop(tmp_path):
    (tmp_path / "shop.csv").write_text(ROWS)
    return tmp_path / "shop.csv"


def test_rows_stay_with_their_columns(shop, model, vectors, tmp_path):
    own = [
        {"sku": "007", "text": "the cat", "price": "1,5"},
        {"sku": "8", "text": "", "price": "2"},
        {"sku": "009", "text": "a dog in the house", "price": "3"},
    ]
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.json"):
        _, err = run("embed", "-i", shop, "-o", tmp_path / name, *model, *SKIP)
        assert err.splitlines() == [
            f'{shop}: 3 rows, column "text", 1 without a text get no vector (csv, ";", utf-8)',
            f"{tmp_path / name}: 2 vectors of 32 float32 numbers, 1 rows without a vector",
        ]
    for name, delimiter in ("a.csv", ","), ("a.tsv", "\t"):
        with (tmp_path / name).open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter=delimiter))
        found = [row.pop("embedding") for row in rows]
        assert rows == own and found[1] == ""
        np.testing.assert_array_equal(np.float32([json.loads(found[0]), json.loads(found[2])]), vectors, strict=True)
    for rows in json.loads((tmp_path / "a.json").read_text()), lines_of(tmp_path / "a.jsonl"):
        found = [row.pop("embedding") for row in rows]
        assert rows == own and found[1] is None
        np.testing.assert_array_equal(np.float32([found[0], found[2]]), vectors, strict=True)


@needs_arrow
@pytest.mark.parametrize("name", ["a.parquet", "a.pq", "a.feather", "a.arrow"])
def test_rows_in_arrow(shop, model, vectors, tmp_path, name):
    import pyarrow as pa
    import pyarrow.feather
    import pyarrow.parquet

    run("embed", "-i", shop, "-o", tmp_path / name, *model, *SKIP)
    reader = pyarrow.parquet.read_table if name[2] == "p" else pyarrow.feather.read_table
    found = reader(tmp_path / name)
    assert found.column_names == ["sku", "text", "price", "embedding"]
    assert found.schema.types[:3] == [pa.string()] * 3 and found["sku"].to_pylist() == ["007", "8", "009"]
    kind = found.schema.field("embedding").type
    assert pa.types.is_fixed_size_list(kind) and kind.list_size == 32 and kind.value_type == pa.float32()
    first, second, third = found["embedding"].to_pylist()
    assert second is None
    np.testing.assert_array_equal(np.float32([first, third]), vectors, strict=True)


@needs_arrow
def test_types_of_parquet_survive(model, tmp_path):
    import datetime

    import pyarrow as pa
    import pyarrow.parquet

    table = pa.table(
        {
            "day": pa.array([datetime.date(2024, 2, 29), None]),
            "text": TEXTS,
            "kind": pa.array(["x", "y"]).dictionary_encode(),
            "tags": pa.array([["a"], None]),
        }
    )
    pyarrow.parquet.write_table(table, tmp_path / "in.parquet")
    run("embed", "-i", tmp_path / "in.parquet", "-o", tmp_path / "out.parquet", *model)
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").drop(["embedding"]).equals(table)
    run("embed", "-i", tmp_path / "in.parquet", "-o", tmp_path / "out.jsonl", *model, "--keep", "tags,day")
    rows = lines_of(tmp_path / "out.jsonl")
    assert [list(row) for row in rows] == [["tags", "day", "embedding"]] * 2
    assert (rows[0]["day"], rows[0]["tags"], rows[1]["day"]) == ("2024-02-29", ["a"], None)


def test_vectors_alone_leave_rows_without_a_text_out(shop, model, vectors, tmp_path):
    from safetensors.numpy import load_file

    for name in ("a.npy", "a.npz", "a.safetensors"):
        _, err = run("embed", "-i", shop, "-o", tmp_path / name, *model, *SKIP)
        assert err.splitlines() == [
            f'{shop}: 3 rows, column "text", 1 without a text skipped (csv, ";", utf-8)',
            f"{tmp_path / name}: 2 vectors of 32 float32 numbers",
        ]
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), vectors, strict=True)
    np.testing.assert_array_equal(load_file(tmp_path / "a.safetensors")["embeddings"], vectors, strict=True)
    found = arrays_of(tmp_path / "a.npz")
    assert sorted(found) == ["embeddings", "ids"] and found["ids"].tolist() == [1, 3]
    np.testing.assert_array_equal(found["embeddings"], vectors, strict=True)
    run("embed", "-i", shop, "-o", tmp_path / "a.npz", *model, *SKIP, "--id", "sku")
    assert arrays_of(tmp_path / "a.npz")["ids"].tolist() == ["007", "009"]
    run("embed", "-i", shop, "-o", tmp_path / "a.npz", *model, "--missing", "empty")
    assert arrays_of(tmp_path / "a.npz")["embeddings"].shape == (3, 32) and leftovers(tmp_path) == []


def test_keep_and_id(shop, model, tmp_path):
    for options, names in {
        ("--keep", "none"): ["embedding"],
        ("--keep", "all"): ["sku", "text", "price", "embedding"],
        ("--keep", "price,1"): ["price", "sku", "embedding"],
        ("--keep", "none", "--id", "sku"): ["sku", "embedding"],
    }.items():
        run("embed", "-i", shop, "-o", tmp_path / "a.csv", *model, *SKIP, *options)
        assert (tmp_path / "a.csv").read_text().splitlines()[0].split(",") == names
    shown = {
        (): [["text", "embedding"]] * 2,
        ("--id", "sku"): [["sku", "text", "embedding"]] * 2,
        ("--keep", "price"): [["price", "embedding"]] * 3,
    }
    for options, names in shown.items():
        out, _ = run("embed", "-i", shop, *model, *SKIP, *options)
        assert [list(json.loads(line)) for line in out.splitlines()] == names


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["a.npy", "--keep", "all"], "a.npy holds only vectors, so --keep has no effect"),
        (["a.npy", "--id", "sku"], "a.npy holds no ids: --id needs .npz, or a table"),
        (["a.xlsx"], "its ending must be .npy, .npz, .safetensors, .csv, .tsv, .jsonl, .json, .parquet or .feather"),
        (["a.csv.gz"], "or .feather; pack the file afterwards"),
        (["a"], "its ending must be"),
    ],
)
def test_wrong_usage(shop, model, tmp_path, args, told):
    name, *options = args
    _, err = run("embed", "-i", shop, "-o", tmp_path / name, *model, *options, code=2)
    assert told in err and not (tmp_path / name).exists()


def test_arguments_have_no_columns(model, tmp_path):
    assert "--keep and --id need a file" in run("embed", "a", *model, "--keep", "all", code=2)[1]
    run("embed", *TEXTS, "-o", tmp_path / "a.csv", *model)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text())))
    assert [row["text"] for row in rows] == TEXTS and len(json.loads(rows[0]["embedding"])) == 32


def test_names_that_clash(model, tmp_path, monkeypatch):
    monkeypatch.setattr(embed_file, "load_model", lambda *args: pytest.fail("the clash is found before the work"))
    (tmp_path / "a.csv").write_text("text,embedding\nthe cat,x\n")
    _, err = run("embed", "-i", tmp_path / "a.csv", "-o", tmp_path / "b.jsonl", *model, code=1)
    assert "a.csv has a column 'embedding' itself" in err and "--keep" in err and leftovers(tmp_path) == []


def test_a_late_name_that_clashes(model, tmp_path):
    late = json.dumps({"text": "the cat", "embedding": 1})
    (tmp_path / "a.jsonl").write_text('{"text": "a dog"}\n' * 200 + late)
    _, err = run("embed", "-i", tmp_path / "a.jsonl", "-o", tmp_path / "b.jsonl", *model, code=1)
    assert "a.jsonl, line 201 has 'embedding' itself" in err and not (tmp_path / "b.jsonl").exists()


@needs_arrow
def test_types_of_json_are_found_in_a_pipe_too(model, tmp_path):
    import pyarrow.parquet

    lines = [{"n": i, "text": "the cat"} for i in range(300)] + [{"n": "x", "text": "a dog", "late": 0.5}]
    content = "".join(json.dumps(line) + "\n" for line in lines)
    _, err = run("embed", "-", "-o", tmp_path / "a.parquet", *model, stdin=content)
    assert "standard input: values of several types are written as JSON text: 'n'\n" in err
    rows = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [rows[i]["n"] for i in (0, 299, 300)] == ["0", "299", '"x"'] and rows[300]["late"] == 0.5
    assert rows[0]["late"] is None and leftovers(tmp_path) == []
    run("embed", "-", "-o", tmp_path / "a.csv", *model, stdin=content)
    assert (tmp_path / "a.csv").read_text().splitlines()[0] == "n,text,late,embedding"


def test_a_pipe_of_csv_streams(model, vectors, tmp_path):
    _, err = run("embed", "-", "--format", "csv", "-o", tmp_path / "a.jsonl", *model, *SKIP, stdin=ROWS)
    assert err.splitlines()[1] == f"{tmp_path / 'a.jsonl'}: 2 vectors of 32 float32 numbers, 1 rows without a vector"
    rows = lines_of(tmp_path / "a.jsonl")
    assert [row["sku"] for row in rows] == ["007", "8", "009"] and rows[1]["embedding"] is None


def test_ids_that_are_none(model, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "a"}\n{"text": "b"}\n')
    _, err = run("embed", "-i", tmp_path / "a.jsonl", "-o", tmp_path / "a.npz", *model, "--id", "id", code=1)
    assert "a.jsonl, line 2: the id in column 'id' is missing" in err and not (tmp_path / "a.npz").exists()


@pytest.fixture
def ctrl_c():
    """Ctrl-C means what it does on a terminal: what a shell starts in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(os.name == "nt", reason="no signals")
def test_ctrl_c_says_what_is_kept(ctrl_c, model, tmp_path, monkeypatch):
    monkeypatch.setattr(embed_file, "load_model", lambda *args: signal.raise_signal(signal.SIGINT))
    (tmp_path / "a.npy").write_text("old")
    _, err = run("embed", "a", "-o", tmp_path / "a.npy", *model, code=130)
    where = re.escape(str(tmp_path / "a.npy"))
    told = f"minembed: interrupted: nothing is kept, and {where} is as it was; the same command begins again\n"
    assert re.fullmatch(told, err) and (tmp_path / "a.npy").read_text() == "old" and leftovers(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="no terminals of this kind")
def test_a_bar_has_a_total(model, tmp_path):
    """On a terminal, for a file whose rows were counted; nowhere else."""
    import fcntl
    import pty
    import termios

    (tmp_path / "a.csv").write_text("id,text\n" + "".join(f"{i},the cat {i}\n" for i in range(5000)))
    command = [*MODULE, "embed", *map(str, model), "-i", "a.csv", "-o", "a.npy"]
    code = "import minembed.runtime.progress as p; p.PATIENCE = 0; import minembed.__main__"
    command[1:3] = ["-c", code]
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    done = subprocess.Popen(command, cwd=tmp_path, stderr=follower, stdout=follower)
    os.close(follower)
    shown = b""
    while True:
        try:
            block = os.read(leader, 4096)
        except OSError:
            break
        if not block:
            break
        shown += block
    os.close(leader)
    assert done.wait() == 0 and b"/5000 [" in shown and re.search(rb"[\d.]+text/s", shown)
    piped = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True)
    assert b"text/s" not in piped.stderr


def test_a_preview_on_a_terminal(shop, model, monkeypatch):
    monkeypatch.setattr(embed_file, "prints_to_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    out, _ = run("embed", "-i", shop, *model, *SKIP, "--keep", "all")
    assert re.fullmatch(r"\[.* 32 numbers\]  the cat\n\[.* 32 numbers\]  a dog in the house\n", out)


@needs_arrow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
@pytest.mark.parametrize("how", heavy(["csv", "jsonl", "parquet", "pipe-csv", "pipe-jsonl", "pipe-parquet"]))
def test_rows_stream(tmp_path, how):
    """200,000 rows with all their columns, in at most 150 MB more than the process had with pyarrow and a model."""
    assert grown(how, tmp_path) <= 150


@needs_arrow
def test_vectors_are_plain_in_parquet(model, tmp_path):
    """No dictionary is made of numbers that hardly ever come twice; the user's nested columns have theirs."""
    import pyarrow.parquet

    (tmp_path / "a.jsonl").write_text('{"text": "the cat", "tags": ["x"]}\n' * 3)
    run("embed", "-i", tmp_path / "a.jsonl", "-o", tmp_path / "a.parquet", *model)
    group = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").metadata.row_group(0)
    columns = [group.column(i) for i in range(group.num_columns)]
    coded = {column.path_in_schema.split(".")[0]: "RLE_DICTIONARY" in column.encodings for column in columns}
    assert coded == {"text": True, "tags": True, "embedding": False}
