"""`minembed search`, `index` and `dedupe`: what they print, keep and write, and how they fail."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from command import ANSI, MODULE, leftovers, run
from tiny import write_tiny_checkpoint

from minembed import Embedder, Index
from minembed.cli import index as index_command
from minembed.cli import search
from minembed.cli.passages import check_not_terminal
from minembed.data.corpus import Corpus
from minembed.data.source import STDIN
from minembed.errors import InputError
from minembed.runtime.folders import cache_folder
from minembed.search import index_blocks
from minembed.search.index_cache import forget, index_of
from minembed.search.metrics import METRICS

pytestmark = pytest.mark.usefixtures("quiet_machine")
TEXTS = ["the cat", "a dog in the house", "", "rain on the river", "book train code", "Größe 中文 🙂", "the cat"]
NUMPY = ["--backend", "numpy"]  # the cache is empty: kernels would be compiled
NUMBERED = [(i, text) for i, text in enumerate(TEXTS, 1) if text]
CONTENT = {
    "txt": "\n".join(TEXTS) + "\n",
    "jsonl": "\n".join(json.dumps({"text": text, "n": i}) for i, text in enumerate(TEXTS)),
    "csv": "n,text\n" + "".join(f"{i},{text}\n" for i, text in enumerate(TEXTS)),
}


READ = {  # what is told of each, read with SKIP
    "txt": "7 lines, one text per line, 1 blank skipped (txt, utf-8)",
    "jsonl": '7 rows, column "text", 1 without a text skipped (jsonl, utf-8)',
    "csv": '7 rows, column "text", 1 without a text skipped (csv, ",", utf-8)',
}
SKIP = ["--missing", "skip"]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text(CONTENT["txt"], encoding="utf-8")
    return path


@pytest.fixture
def model(tiny_checkpoint):
    return [*NUMPY, "--model", tiny_checkpoint]


def cached():
    folder = cache_folder() / "indexes"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def hits_of(out):
    return [json.loads(line) for line in out.splitlines()]


def expected(checkpoint, query, k=10):
    loaded = Embedder.load(checkpoint, backend="numpy")
    index = Index.build(loaded, [text for _, text in NUMBERED], ids=[i for i, _ in NUMBERED])
    return [(hit.id, hit.text, round(hit.score, 6)) for hit in index.search(query, k=k)]


# --- search ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", CONTENT)
def test_search(form, tmp_path, model, tiny_checkpoint):
    path = tmp_path / f"corpus.{form}"
    path.write_text(CONTENT[form], encoding="utf-8")
    out, err = run("search", path, "a dog", *model, "--json", "-k", 4, *SKIP)
    assert [(hit["id"], hit["text"], hit["score"]) for hit in hits_of(out)] == expected(tiny_checkpoint, "a dog", 4)
    assert [hit["rank"] for hit in hits_of(out)] == [1, 2, 3, 4] and {hit["query"] for hit in hits_of(out)} == {"a dog"}
    assert err == f"{path}: {READ[form]}\n" and len(cached()) == 1
    again, told = run("search", path, "a dog", *model, "--json", "-k", 4, *SKIP)  # from the cache
    assert again == out and told.startswith(f"{err}using the index of {path}, made 20") and len(cached()) == 1


@pytest.mark.skipif(not find_spec("pyarrow"), reason="needs the extra arrow")
def test_parquet(tmp_path, model, tiny_checkpoint):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"body": TEXTS}), tmp_path / "corpus.parquet")
    out, _ = run("search", tmp_path / "corpus.parquet", "a dog", *model, "--json", "--field", "body", *SKIP)
    assert [(hit["id"], hit["text"], hit["score"]) for hit in hits_of(out)] == expected(tiny_checkpoint, "a dog")
    out, _ = run("dedupe", tmp_path / "corpus.parquet", *model, "--field", "body", "--threshold", "1", *SKIP)
    assert [json.loads(line) for line in out.splitlines()] == [{"body": text} for text in TEXTS[:-1]]


@pytest.mark.skipif(bool(find_spec("pyarrow")), reason="needs a machine without the extra arrow")
def test_parquet_needs_the_extra(tmp_path, model):
    (tmp_path / "corpus.parquet").write_bytes(b"PAR1")
    for args in (["search", tmp_path / "corpus.parquet", "x"], ["dedupe", tmp_path / "corpus.parquet"]):
        assert "minembed[arrow]" in run(*args, *model, code=1)[1]


@pytest.mark.parametrize("form", ["csv", "jsonl", "txt"])
def test_hits_carry_the_other_columns_of_their_row(form, tmp_path, model):
    path = tmp_path / f"corpus.{form}"
    path.write_text(CONTENT[form], encoding="utf-8")
    run("index", path, "-o", tmp_path / "index", *model, *SKIP)
    expected = {"csv": {"n": "3"}, "jsonl": {"n": 3}, "txt": None}[form]
    for corpus, more in ((path, SKIP), (path, SKIP), (tmp_path / "index", [])):  # made, from the cache, in a folder
        (hit,) = hits_of(run("search", corpus, "rain on the river", *model, *more, "-k", 1, "--json")[0])
        assert hit["id"] == 4 and hit.get("fields") == expected and ("fields" in hit) == (form != "txt")


def test_fields_are_what_json_can_say(tmp_path, model):
    (tmp_path / "a.jsonl").write_text(
        '{"id": "x", "doc": {"body": "the cat", "n": [1, null]}}\n{"id": "y", "doc": {"body": "rain"}}\n'
    )
    out, _ = run(
        "search", tmp_path / "a.jsonl", "the cat", *model, "--field", "doc.body", "--id", "id", "--json", "-k", 1
    )
    (hit,) = hits_of(out)
    assert hit["id"] == "x" and hit["fields"] == {"id": "x", "doc": {"body": "the cat", "n": [1, None]}}


def test_keep_says_which_columns_come_along(tmp_path, model):
    (tmp_path / "a.csv").write_text("sku,price,text\n007,1,the cat\n008,2,rain on the river\n")
    query = "the cat", *model, "-k", 1, "--json"
    cases = {
        "all": {"sku": "007", "price": "1"},
        "none": None,
        "price": {"price": "1"},
        "2,1": {"price": "1", "sku": "007"},
    }
    for keep, fields in cases.items():
        (hit,) = hits_of(run("search", tmp_path / "a.csv", *query, "--keep", keep)[0])
        assert hit.get("fields") == fields and ("fields" in hit) == (keep != "none")
        run("index", tmp_path / "a.csv", "-o", tmp_path / "index", *model, "--keep", keep)
        (hit,) = hits_of(run("search", tmp_path / "index", *query)[0])
        assert hit.get("fields") == fields
    (hit,) = hits_of(run("search", tmp_path / "index", *query, "--keep", "sku")[0])
    assert hit["fields"] == {"sku": "007"}
    assert "there is no column 'cost'" in run("search", tmp_path / "a.csv", *query, "--keep", "cost", code=1)[1]
    assert "add --json" in run("search", tmp_path / "a.csv", "x", *model, "--keep", "all", code=2)[1]


def test_columns_for_other_programs(corpus, model):
    lines = run("search", corpus, "the cat", *model, "-k", 2)[0].splitlines()
    assert lines == ["1.000000\t1\tthe cat", "1.000000\t7\tthe cat"]
    lines = run("search", corpus, "the cat", "rain on the river", *model, "-k", 1)[0].splitlines()
    assert lines == ["the cat\t1.000000\t1\tthe cat", "rain on the river\t1.000000\t4\train on the river"]


def test_queries_from_a_file(corpus, model, tmp_path):
    (tmp_path / "queries.jsonl").write_text('{"text": "the cat"}\n\n"a dog"\n')
    for more, stdin in (["--queries", tmp_path / "queries.jsonl"], None), (["--queries", "-"], "the cat\na dog\n"):
        out, _ = run("search", corpus, "rain", *more, *model, "-k", 1, "--json", stdin=stdin)
        assert [hit["query"] for hit in hits_of(out)] == ["rain", "the cat", "a dog"]


def test_standard_input(model, corpus):
    out = run("search", "-", "a dog", *model, stdin=CONTENT["txt"])[0]
    assert out == run("search", corpus, "a dog", *model)[0] and len(cached()) == 1  # known by its bytes
    rows = run("search", "-", "a dog", *model, "--format", "csv", "--json", *SKIP, stdin=CONTENT["csv"])[0]
    assert [hit["id"] for hit in hits_of(rows)] == [int(line.split("\t")[1]) for line in out.splitlines()]


def test_a_terminal(corpus, model, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    corpus.write_text("a cat\x1b[2J\nthe cat " + "and the dog " * 20 + "\n")
    out, _ = run("search", corpus, "the cat", *model, "--color", "truecolor")
    assert out.startswith("\x1b[48;2;") and "\x1b[2J" not in out
    plain = ANSI.sub("", out).splitlines()
    assert len(plain) == 2 and max(map(len, plain)) == 40 and any(line.endswith("...") for line in plain)
    out, _ = run("search", corpus, "cat", "dog", *model, "--color", "256", "-k", 1)
    assert [line for line in ANSI.sub("", out).splitlines() if line in ("cat", "dog", "")] == ["cat", "", "dog"]


def test_numbers_of_another_metric(corpus, tmp_path, model):
    run("index", corpus, "-o", tmp_path / "index", *model, "--metric", "euclidean")
    out = run("search", tmp_path / "index", "the cat", *NUMPY, "--color", "truecolor")[0]
    assert ANSI.sub("", out).splitlines()[0].split()[:2] in (["-0.0000", "1"], ["0.0000", "1"])


# --- the cache ------------------------------------------------------------------------------------------------------


def test_a_changed_corpus_model_or_setting_is_another_index(corpus, model, tmp_path, tiny_checkpoint):
    def search(*args):
        run("search", corpus, "x", *args)
        return len(cached())

    copy = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    assert search(*model) == search(*model) == 1
    assert search(*model, "--precision", "int8") == 2
    assert search(*model, "--dtype", "bfloat16") == 3
    assert search(*NUMPY, "--model", copy) == 4
    write_tiny_checkpoint(copy, seed=5)  # trained on, in place
    assert search(*NUMPY, "--model", copy) == 5
    corpus.write_text("another\n")
    assert search(*model) == 6
    assert search(*model, "--no-cache") == 6


def test_one_index_does_for_all_ids(tmp_path, model):
    path = tmp_path / "x.jsonl"
    rows = [{"n": 7, "at": {"key": "a"}, "text": "the cat"}, {"n": 9, "at": {"key": "b"}, "text": "a dog"}]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    found = {}
    for column in (None, "n", "at.key", "text"):
        more = [] if column is None else ["--id", column]
        (hit,) = hits_of(run("search", path, "the cat", *model, "-k", 1, "--json", *more)[0])
        found[column] = hit["id"]
        assert hit["fields"] == {"n": 7, "at": {"key": "a"}}
    assert found == {None: 1, "n": 7, "at.key": "a", "text": "the cat"} and len(cached()) == 1
    path.write_text("\n".join(map(json.dumps, [rows[0], rows[0]])), encoding="utf-8")
    assert "line 2: the id 7 came before, at " in run("search", path, "x", *model, "--id", "n", code=1)[1]


def test_the_model_is_asked_once(corpus, model, monkeypatch):
    run("search", corpus, "x", *model)
    monkeypatch.setattr(Corpus, "passages", lambda self: pytest.fail("read again"))
    run("search", corpus, "x", *model)


@pytest.mark.parametrize("name", ["index.json", "texts.jsonl", "index.safetensors"])
def test_a_damaged_index_is_made_again(name, corpus, model):
    out, _ = run("search", corpus, "x", *model)
    (path,) = (cache_folder() / "indexes").rglob(name)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert run("search", corpus, "x", *model) == (out, f"{corpus}: {READ['txt']}\n") and len(cached()) == 1
    assert Index.load(cache_folder() / "indexes" / cached()[0], verify=True).texts[0] == "the cat"
    shutil.rmtree(path.parent, ignore_errors=True)
    assert run("search", corpus, "x", *model)[0] == out


def test_a_cache_that_cannot_be_written(corpus, model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINEMBED_CACHE", str(tmp_path / "file"))
    out, err = run("search", corpus, "the cat", *model, "-k", 1)
    told, warned = err.splitlines()
    assert out == "1.000000\t1\tthe cat\n" and told == f"{corpus}: {READ['txt']}"
    assert warned.startswith("minembed: warning: the index is not kept: cannot save")


def test_what_was_not_used_for_longest_is_forgotten(tmp_path):
    for i in range(6):
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "file").write_bytes(bytes(100))
        os.utime(tmp_path / str(i), (time.time() - i,) * 2)
    forget(tmp_path, kept=4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3"]
    forget(tmp_path, kept_bytes=250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]
    forget(tmp_path, kept_bytes=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0"]


def test_use_counts(corpus, model, tiny_checkpoint, monkeypatch):
    run("search", corpus, "x", *model)
    place = cache_folder() / "indexes" / cached()[0]
    os.utime(place, (0, 0))
    run("search", corpus, "x", *model)
    assert place.stat().st_mtime > time.time() - 60
    monkeypatch.setattr("minembed.search.index_cache.cache_folder", lambda: pytest.fail("not asked for"))
    loaded = Embedder.load(tiny_checkpoint, backend="numpy")
    assert len(index_of(Corpus.of(corpus), loaded, "float32", use_cache=False)) == 6


# --- an index in a folder -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", index_blocks.PRECISIONS)
def test_index_and_search(precision, corpus, model, tmp_path, tiny_checkpoint):
    out, err = run("index", corpus, "-o", tmp_path / "index", *model, "--precision", precision)
    made = f"{tmp_path / 'index'}: 6 passages, 32 numbers each, {precision}, cosine\n"
    assert out == "" and err == f"{corpus}: {READ['txt']}\n{made}"
    for more in (NUMPY, model):  # the index says which model
        out, _ = run("search", tmp_path / "index", "the cat", *more, "--json", "-k", 6)
        assert [(hit["id"], hit["text"], hit["score"]) for hit in hits_of(out)] == expected(tiny_checkpoint, "the cat")
    assert cached() == [] and Index.load(tmp_path / "index").metadata == {"source": str(corpus)}
    run("index", "-", "-o", tmp_path / "index", *model, stdin="other\n")
    assert Index.load(tmp_path / "index").texts == ["other"] and leftovers(tmp_path / "index") == []


def test_an_index_of_another_model(corpus, model, tmp_path):
    run("index", corpus, "-o", tmp_path / "index", *model)
    write_tiny_checkpoint(tmp_path / "other", seed=3)
    err = run("search", tmp_path / "index", "x", *NUMPY, "--model", tmp_path / "other", code=1)[1]
    assert "whose vectors differ from this model's" in err and len(err.splitlines()) == 1
    Index.build(np.ones((1, 3))).save(tmp_path / "plain")
    assert "name their model with --model" in run("search", tmp_path / "plain", "x", code=1)[1]
    assert "holds no index" in run("search", tmp_path / "other", "x", code=1)[1]


def test_rows_without_texts_are_found_by_their_ids(tmp_path, tiny_checkpoint):
    loaded = Embedder.load(tiny_checkpoint, backend="numpy")
    Index.build(loaded.encode(["the cat", "a dog"]), ids=["c\t1", "d"], model=loaded).save(tmp_path / "index")
    assert run("search", tmp_path / "index", "the cat", *NUMPY, "-k", 1)[0] == "1.000000\tc 1\t\n"
    assert "c 1" in run("search", tmp_path / "index", "the cat", *NUMPY, "-k", 1, "--color", "256")[0]


def test_index_leaves_other_folders_alone(corpus, model, tmp_path, monkeypatch):
    monkeypatch.setattr("minembed.cli.index.load_model", lambda *args: pytest.fail("found too late"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    assert "holds other files" in run("index", corpus, "-o", tmp_path / "mine", *model, code=1)[1]


# --- dedupe ---------------------------------------------------------------------------------------------------------


def test_dedupe_keeps_lines_as_they_are(corpus, model, tmp_path):
    kept = [text for text in TEXTS[:-1] if text]
    out, err = run("dedupe", corpus, *model, "--threshold", 1)
    left = f"{corpus}: 6 texts, 5 kept, 1 near duplicates removed\n"
    assert out.splitlines() == kept and err == f"{corpus}: {READ['txt']}\n{left}"
    told = "7\t1\t1.0000\tthe cat\n"
    assert run("dedupe", corpus, *model, "--threshold", 1, "-o", tmp_path / "out.txt")[0] == told
    assert (tmp_path / "out.txt").read_text(encoding="utf-8").splitlines() == kept
    for form in ("jsonl", "csv"):
        (tmp_path / f"corpus.{form}").write_text(CONTENT[form], encoding="utf-8")
        lines = CONTENT[form].splitlines()
        heading = 1 if form == "csv" else 0
        wanted = [line for i, line in enumerate(lines) if i - heading != 6]  # what has no text is no duplicate
        assert run("dedupe", tmp_path / f"corpus.{form}", *model, "--threshold", 1, *SKIP)[0].splitlines() == wanted
        again = run("dedupe", "-", "--format", form, *model, "--threshold", 1, *SKIP, stdin=CONTENT[form])[0]
        assert again.splitlines() == wanted


def test_dedupe_of_csv_without_a_heading(tmp_path, model):
    (tmp_path / "x.csv").write_text('the cat,1\n"a, dog",2\nthe cat,3\n')
    assert "Say --header yes or --header no" in run("dedupe", tmp_path / "x.csv", *model, code=1)[1]
    out, err = run("dedupe", tmp_path / "x.csv", *model, "--header", "no", "--field", "1")
    assert out == 'the cat,1\n"a, dog",2\n'
    assert err.splitlines()[0] == f'{tmp_path / "x.csv"}: 3 rows, column "1" (csv, ",", utf-8, no heading)'


def test_groups(corpus, model, tmp_path, tiny_checkpoint):
    loaded = Embedder.load(tiny_checkpoint, backend="numpy")
    out, _ = run("dedupe", corpus, *model, "--json", "--threshold", 1)
    assert hits_of(out) == [
        {"kept": {"id": 1, "text": "the cat"}, "duplicates": [{"id": 7, "score": 1.0, "text": "the cat"}]}
    ]
    out, err = run("dedupe", corpus, *model, "--json", "--threshold", -1, "-o", tmp_path / "one.txt")
    (group,) = hits_of(out)
    assert [one["id"] for one in group["duplicates"]] == [2, 4, 5, 6, 7] and "6 texts, 1 kept, 5 near" in err
    assert (tmp_path / "one.txt").read_text() == "the cat\n"
    cosine = float(loaded.similarity(*loaded.encode(["the cat", "rain on the river"]))[0, 0])
    assert group["duplicates"][1]["score"] == pytest.approx(cosine, abs=1e-5)


def test_dedupe_fails_whole(corpus, model, tmp_path, monkeypatch):
    (tmp_path / "out.txt").write_text("old")
    monkeypatch.setattr("minembed.cli.dedupe.load_model", lambda *args: signal.raise_signal(signal.SIGTERM))
    run("dedupe", corpus, *model, "-o", tmp_path / "out.txt", code=128 + signal.SIGTERM)
    assert (tmp_path / "out.txt").read_text() == "old" and leftovers(tmp_path) == []


# --- wrong usage, other errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ["search"],
        ["search", "none.txt", "x"],
        ["search", "corpus.txt"],
        ["search", "corpus.txt", "x", "-k", "0"],
        ["search", "-", "--queries", "-"],
        ["search", "corpus.txt", "x", "--precision", "int4"],
        ["search", ".", "x", "--precision", "int8"],
        ["search", ".", "x", "--field", "a"],
        ["index", "corpus.txt"],
        ["index", ".", "-o", "x", "--field", "a"],
        ["index", "corpus.txt", "-o", "corpus.txt"],
        ["dedupe"],
        ["dedupe", "corpus.txt", "--threshold", "1.5"],
    ],
    ids=" ".join,
)
def test_wrong_usage(args, corpus, monkeypatch):
    monkeypatch.chdir(corpus.parent)
    out, err = run(*args, code=2)
    assert not out and "Usage: " in err and "Error: " in err


@pytest.mark.parametrize("args", [["search", "x.jsonl", "x"], ["index", "x.jsonl", "-o", "i"], ["dedupe", "x.jsonl"]])
def test_files_that_are_wrong(args, tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for content, words in (
        (b"", "holds no texts"),
        (b'" "\n', "the text in column 'text' is missing in 1 of 1 rows (line 1); --missing skip skips"),
        (b"{\n", "x.jsonl, line 1: not JSON"),
    ):
        Path("x.jsonl").write_bytes(content)
        out, err = run(*args, *model, code=1)
        assert out == "" and words in err and len(err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.jsonl"]


def test_no_terminal_is_waited_for(monkeypatch):
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO()))
    with pytest.raises(InputError, match="pipe them in"):
        Corpus.of(STDIN)
    with pytest.raises(search.click.UsageError, match="pipe them in"):
        check_not_terminal(STDIN)


def choices(command, option):
    """The values that an option of a command takes."""
    return next(tuple(parameter.type.choices) for parameter in command.params if parameter.name == option)


def test_tables_that_help_does_not_import():
    for command in (index_command.command, search.command):
        assert choices(command, "precision") == tuple(index_blocks.PRECISIONS)
    assert set(choices(index_command.command, "metric")) == set(METRICS)


def test_in_a_pipe(corpus, model):
    command = [*MODULE, "search", "-", "the cat", *model, "--json", "-k", "3"]
    first = subprocess.run(list(map(str, command)), input=CONTENT["txt"].encode(), capture_output=True, check=True)
    command = [*MODULE, "dedupe", "-", "--format", "jsonl", *model]
    second = subprocess.run(list(map(str, command)), input=first.stdout, capture_output=True, check=True)
    assert len(first.stdout.splitlines()) == 3 and len(second.stdout.splitlines()) == 2


@pytest.mark.weights
def test_the_real_model(tmp_path):
    lines = ["Knead the dough, then let it rise.", "Compile it with -O2.", "Whisk the eggs.", "The kernel panicked."]
    (tmp_path / "notes.txt").write_text("\n".join(lines))
    out, _ = run(
        "search", tmp_path / "notes.txt", "how do I bake bread?", "operating system crash", "-k", 1, "--no-cache"
    )
    assert [line.split("\t")[3] for line in out.splitlines()] == [lines[0], lines[3]]


def test_ids_are_looked_at_where_the_index_is_kept(tmp_path, model):
    path = tmp_path / "shop.csv"
    path.write_text("id,text\n1,the cat\n1,a dog\n")
    run("search", path, "a dog", *model)
    _, err = run("search", path, "a dog", "--id", "id", *model, code=1)
    assert "shop.csv, line 3: the id '1' came before, at " in err


def test_what_is_said_of_reading_holds_for_queries_where_they_need_it(tmp_path, model):
    (tmp_path / "corpus.csv").write_text("id;text\n1;the cat\n2;a dog\n")
    (tmp_path / "bare.csv").write_text("the cat\na dog\n")
    (tmp_path / "old.csv").write_bytes("id;query\n1;Größe\n2;\n".encode("cp1252"))
    options = ["-k", "1", *model]
    out, _ = run("search", tmp_path / "corpus.csv", "--queries", tmp_path / "bare.csv", *options, code=1)
    assert out == ""
    saved = tmp_path / "index"
    run("index", tmp_path / "corpus.csv", "-o", saved, *model)
    out, _ = run("search", saved, "--queries", tmp_path / "bare.csv", "--header", "no", *options)
    assert [line.split("\t")[0] for line in out.splitlines()] == ["the cat", "a dog"]
    said = ["--encoding", "cp1252", "--missing", "skip"]
    out, err = run("search", tmp_path / "corpus.csv", "--queries", tmp_path / "old.csv", *said, *options)
    assert len(out.splitlines()) == 1
    assert 'old.csv: 2 rows, column "query", 1 without a text skipped (csv, ";", cp1252)' in err
