"""How a user's files are read: every form, what is told of it, and the errors that say what to do."""

import bz2
import gzip
import io
import json
import logging
import lzma
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from minembed.data.corpus import Corpus
from minembed.data.source import STDIN, Source
from minembed.data.table import Reading
from minembed.data.texts import Selection, open_texts
from minembed.errors import InputError, MissingExtraError

CASES = Path(__file__).with_name("cases")


def read(path, reading=None, field=None, missing=None):
    """What is told of a file, and its texts."""
    found = open_texts(Source.of(Path(path)), Selection(reading or Reading(), field, missing))
    told = found.told(found.survey())
    return told.removeprefix(f"{path}: "), [row.text for row in found.rows()]


def error_of(path, *args):
    with pytest.raises(InputError) as caught:
        read(path, *args)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    """Write a file; its path."""

    def write(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.mark.parametrize(
    ("name", "told", "texts"),
    [
        (
            "01_no_text_column.csv",
            '3 rows, column "description" (csv, ",", utf-8)',
            ["Rye bread, 1 kg", "Sweet cake", "Hammer"],
        ),
        ("01b_pandas_index.csv", '2 rows, column "description" (csv, ",", utf-8)', ["Rye bread", "Sweet cake"]),
        ("02_semicolon_bom_crlf.csv", '2 rows, column "text" (csv, ";", utf-8)', ["Hallo Welt", "Grüße aus Köln"]),
        ("02b_tab.csv", '2 rows, column "text" (csv, "\\t", utf-8)', ["one", "two"]),
        ("03_table.tsv", '2 rows, column "text" (tsv, "\\t", utf-8)', ["one", "two"]),
        ("03c_lines.ndjson", '2 rows, column "text" (jsonl, utf-8)', ["one", "two"]),
        ("04_queries.csv", '2 rows, column "query" (csv, ",", utf-8)', ["bread", "hammer"]),
    ],
)
def test_cases(name, told, texts):
    assert read(CASES / name) == (told, texts)


def test_cases_with_missing_texts():
    path = CASES / "06_null.jsonl"
    assert error_of(path) == (
        f"{path}: the text in column 'text' is missing in 2 of 3 rows (line 2, line 3); "
        "--missing skip skips such rows, --missing empty reads them as empty texts"
    )
    told = '3 rows, column "text", 2 without a text skipped (jsonl, utf-8)'
    assert read(path, None, None, "skip") == (told, ["bread", None, None])
    told = '3 rows, column "text", 2 without a text read as "" (jsonl, utf-8)'
    assert read(path, None, None, "empty") == (told, ["bread", "", ""])
    path = CASES / "06b_null.parquet"
    assert "is missing in 1 of 3 rows (row 1)" in error_of(path)
    told = '3 rows, column "text", 1 without a text skipped (parquet)'
    assert read(path, None, None, "skip") == (told, ["one", None, "three"])


TABLE = "id;text\n1;one\n2;two, too\n"
FOUND = ["one", "two, too"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", TABLE, 'csv, ";", utf-8'),
        ("a.CSV.GZ", gzip.compress(TABLE.encode(), mtime=0), 'csv, gz, ";", utf-8'),
        ("a.csv.bz2", bz2.compress(TABLE.encode()), 'csv, bz2, ";", utf-8'),
        ("a.csv.xz", lzma.compress(TABLE.encode()), 'csv, xz, ";", utf-8'),
        ("packed.csv", gzip.compress(TABLE.encode(), mtime=0), 'csv, gz, ";", utf-8'),
        ("a.csv", TABLE.replace("\n", "\r\n"), 'csv, ";", utf-8'),
        ("mac.csv", TABLE.replace("\n", "\r"), 'csv, ";", utf-8'),
        ("excel.csv", "sep=;\r\n" + TABLE, 'csv, ";", utf-8'),
        ("bar.csv", TABLE.replace(";", "|"), 'csv, "|", utf-8'),
        ("utf16.csv", TABLE.encode("utf-16"), 'csv, ";", utf-16'),
        ("bare.csv", TABLE.encode("utf-16-le"), 'csv, ";", utf-16-le'),
        ("a.ndjson", '{"text": "one"}\n{"text": "two, too"}', "jsonl, utf-8"),
        ("lines.json", '{"text": "one"}\n{"text": "two, too"}', "jsonl, utf-8"),
        ("a.json", '[\n  {"text": "one"},\n  {"text": "two, too"}\n]\n', "json, utf-8"),
        ("strings.json", '["one", "two, too"]', "json, utf-8"),
        ("lines", '{"text": "one"}\n{"text": "two, too"}', "jsonl, utf-8"),
        ("array", ' [{"text": "one"}, {"text": "two, too"}]', "json, utf-8"),
    ],
)
def test_forms(name, content, told, file):
    assert read(file(name, content)) == (f'2 rows, column "text" ({told})', FOUND)


def test_zstd(file):
    arrow = pytest.importorskip("pyarrow")
    packed = arrow.Codec("zstd").compress(TABLE.encode(), asbytes=True)
    assert read(file("a.csv.zst", packed)) == ('2 rows, column "text" (csv, zst, ";", utf-8)', FOUND)


def test_lines_of_text(file):
    told = "3 lines, one text per line (txt, utf-8)"
    assert read(file("a.txt", "id,text\n1,one\n2,two\n")) == (told, ["id,text", "1,one", "2,two"])  # as its name says
    assert read(file("notes.md", "# a\nb\nc")) == (told, ["# a", "b", "c"])
    assert read(file("a.txt", "one\rtwo\rthree\r")) == (told, ["one", "two", "three"])
    assert read(file("a.txt", "\ufeffone\r\ntwo\r\nthree")) == (told, ["one", "two", "three"])
    assert read(file("README", "Hello, you.\nWell, no.\nNever, ever.\n"))[0] == told
    assert "is missing in 1 of 3 rows (line 2)" in error_of(file("a.txt", "one\n \nthree\n"))


@pytest.mark.parametrize(
    "content", ["id,text\n1,one\n", "a\tb\n1\t2\n", "text\none\ntwo\n", '"one"\n"two"\n', "sep=;\na;b\n"]
)
def test_content_that_may_be_a_table(content, file):
    first = content.splitlines()[0]
    assert (
        error_of(file("data", content))
        .splitlines()[0]
        .endswith("is it a table or a text a line? Say --format csv, tsv, jsonl or txt:")
    )
    assert read(file("data", content), Reading("txt"))[1][0] == first


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.xlsx", b"PK\x03\x04", ".xlsx files are not read: save the sheet as CSV (UTF-8)"),
        ("a.ods", b"PK\x03\x04", ".ods files are not read: save the sheet as CSV (UTF-8)"),
        ("a.pdf", b"%PDF-1.7", ".pdf files are not read: save it as plain text, a text a line"),
        ("a.docx", b"PK\x03\x04", ".docx files are not read: save it as plain text, a text a line"),
        ("a.npy", b"\x93NUMPY", ".npy files are not read: it holds numbers; the texts are wanted"),
        ("a.csv", b"PK\x03\x04", "is a .zip, .xlsx or .docx, by its content: unpack it, or save the sheet as CSV"),
        ("a.csv", b'{"text": "one"}\n', "is JSON, by its content: say --format jsonl"),
        ("a.parquet", b"text\none\n", "not a parquet file, by its content"),
        (
            "a.json",
            b'{"rows": [{"text": "one"}]}',
            "holds a JSON object, not an array of objects or of texts, with arr",
        ),
        ("a.jsonl", b'[\n{"text": "one"}\n]\n', "line 1: not JSON"),
        ("a.jsonl", b"[1]\n", "line 1: it must be an object or a text, not a JSON array"),
        ("a.json", b'[{"text": "one"} {"text": "two"}]', "item 0: '{' stands behind it, not ',' or ']'"),
        ("a.csv.gz", gzip.compress(TABLE.encode() * 9, mtime=0)[:-9], "the compressed data is damaged or cut off"),
        ("a.csv", b"", "is empty: it has no rows, and no names of columns"),
        ("a.csv", "id,Größe\n1,2\n".encode("cp1252"), "line 1: not utf-8; b'Gr\\xf6\\xdfe' is 'Größe' in cp1252 and"),
        (
            "a.csv",
            "id,text\n1,Łódź\n".encode("cp1250"),
            "is 'Łódź' in cp1250 and 'Јуdџ' in cp1251: say which with --encoding, or save the file as UTF-8",
        ),
        ("a.csv", "id,text\n1,Привет\n".encode("cp1251"), "is 'Привет' in cp1251 and"),
        ("a.csv", b"kunde,antwort\nWo?,Hier\n", "does its first row name the columns? Say --header yes or --header no"),
        ("a.csv", b"Rye bread\nSweet cake\n", "does its first row name the columns?"),
        ("a.csv", b"text\nsame\ntext\n", "does its first row name the columns?"),
        ("a.csv", b"1|a;b\n2|c;d\n", "its delimiter is in doubt; say it with --delimiter:"),
        ("a.csv", b"id,text\n1,one\n2,two,three\n", "line 3: 3 cells where the first row has 2, split by ','"),
        ("a.csv", b'id,text\n1,"one\n', "line 2: not sound CSV"),
        ("a.tsv", b'id\ttext\n1\t"one\n2\ttwo"\n', "quotes"),
        (
            "a.csv",
            b"sentence1,sentence2,n\na b,c d,1\n",
            "cannot tell which column holds the texts; name one with --field:\n",
        ),
        ("a.csv", b"content,body\na b,c d\n", "2 columns may hold the texts; name one with --field:\n  content  'a b'"),
    ],
)
def test_what_cannot_be_read_says_what_to_do(name, content, told, file):
    assert told in error_of(file(name, content))


def test_encodings_that_are_said(file):
    path = file("a.csv", "id,text\n1,Größe\n2,Łódź\n".encode("cp1250"))
    assert read(path, Reading(encoding="CP1250")) == ('2 rows, column "text" (csv, ",", cp1250)', ["Größe", "Łódź"])
    for name in ("cp12", "rot13"):  # the second is no encoding of text
        with pytest.raises(InputError, match=f"there is no encoding '{name}'"):
            read(path, Reading(encoding=name))
    assert "line 2: not shift_jis" in error_of(path, Reading(encoding="shift_jis"))


def test_headings_that_are_said(file):
    path = file("a.csv", "Rye bread\nSweet cake\n")
    told = '2 rows, column "1" (csv, ",", utf-8, no heading)'
    assert read(path, Reading(header="no")) == (told, ["Rye bread", "Sweet cake"])
    assert read(path, Reading(header="yes")) == ('1 row, column "Rye bread" (csv, ",", utf-8)', ["Sweet cake"])
    path = file("b.csv", "kunde,antwort\nWo?,Hier\n")
    assert read(path, None, "antwort") == ('1 row, column "antwort" (csv, ",", utf-8)', ["Hier"])  # named: a heading


def test_columns(file):
    lines = [{"id": 1, "doc": {"body": "one", "tags": ["a", "b"]}}, {"id": 2, "doc": {"body": "two", "tags": []}}]
    path = file("a.jsonl", "\n".join(map(json.dumps, lines)))
    assert read(path, None, "doc.body")[1] == ["one", "two"]
    assert read(path, None, "doc.tags", "skip")[1] == ["a\nb", None]
    assert read(path, None, "doc.tags.0", "skip")[1] == ["a", None]
    assert "'id' is 1 (int), not a text" in error_of(path, None, "id")
    assert error_of(path, None, "doc.bdy") == (
        f"{path}: there is no column 'doc.bdy' (did you mean 'doc'?); name one with --field:\n"
        f"  id   '1'\n  doc  \"{str(lines[0]['doc'])[:40]}\""
    )
    path = file("a.csv", "id,text\n1,one\n")
    assert read(path, None, "2") == read(path, None, "text") == ('1 row, column "text" (csv, ",", utf-8)', ["one"])
    assert "(did you mean 'text'?)" in error_of(path, None, "txt")
    assert "is a text a line, without columns" in error_of(file("a.txt", "one\n"), None, "text")
    path = file("empty.csv", "id,,text,text\n1,2,one,two\n")
    assert read(path, None, "text_2")[1] == ["two"] and read(path, None, "2")[0].startswith('1 row, column "column_2"')


def test_text_columns_without_a_known_name(file):
    path = file("a.csv", "id,Beschreibung,Preis\n1,Ein gutes Brot,2.5\n2,Noch ein Kuchen,3\n")
    assert read(path)[0] == '2 rows, column "Beschreibung" (csv, ",", utf-8)'


def test_long_cells_have_no_limit(file):
    long = "two\nwords " * 50_000  # beyond the 131,072 characters of the csv module, and the first sample
    path = file("a.csv", f'id,text\n1,"{long}"\n2,short\n')
    assert read(path)[1] == [long, "short"]
    path = file("a.jsonl", json.dumps({"text": long}) + "\n" + json.dumps({"text": "short"}))
    assert read(path)[1] == [long, "short"]


def arrow_file(folder, form, table):
    from pyarrow import ipc, parquet

    path = folder / f"a.{form}"
    if form == "parquet":
        parquet.write_table(table, path, row_group_size=2)
    else:
        with (ipc.new_file if form == "feather" else ipc.new_stream)(path, table.schema) as writer:
            writer.write_table(table)
    return path


@pytest.mark.parametrize("form", ["parquet", "feather", "arrow"])
def test_arrow(form, tmp_path):
    arrow = pytest.importorskip("pyarrow")
    columns = {
        "id": [1, 2, 3],
        "text": arrow.array(["one", None, "three"], arrow.large_string()),
        "kind": arrow.array(["a", "b", "a"]).dictionary_encode(),
        "doc": [{"body": "x"}, {"body": None}, None],
        "parts": [["p", "q"], [], None],
    }
    path = arrow_file(tmp_path, form, arrow.table(columns))
    for field, texts in {
        "text": ["one", None, "three"],
        "kind": ["a", "b", "a"],
        "doc.body": ["x", None, None],
        "parts": ["p\nq", None, None],
    }.items():
        assert read(path, None, field, "skip")[1] == texts
    assert read(path, None, None, "skip")[0].startswith('3 rows, column "text", 1 without a text skipped (')
    assert "row 0: 'id' is 1 (int), not a text" in error_of(path, None, "id")
    packed = tmp_path / f"{path.name}.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read(packed, None, "kind")[1] == ["a", "b", "a"]


def test_arrow_that_is_damaged(file, tmp_path):
    arrow = pytest.importorskip("pyarrow")
    assert "not a parquet file (" in error_of(file("a.parquet", b"PAR1 and no more"))
    whole = arrow_file(tmp_path, "parquet", arrow.table({"text": ["one"] * 9})).read_bytes()
    for cut in (5, len(whole) // 2, len(whole) - 1):
        assert "a.parquet" in error_of(file("a.parquet", whole[:cut]))


def test_arrow_names_its_extra(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'minembed\[arrow\]'"):
        read(file("a.feather", b"ARROW1"))


# --- pipes ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pipe():
    """A pipe that gets blocks of bytes, each when the one before was read; its path."""
    writers = []

    def open_pipe(*blocks):
        out, into = os.pipe()
        go = threading.Semaphore(1)

        def write():
            with os.fdopen(into, "wb", 0) as file:
                for block in blocks:
                    go.acquire()
                    file.write(block)

        thread = threading.Thread(target=write)
        thread.start()
        writers.append((thread, out))
        return Path(f"/dev/fd/{out}"), go.release

    yield open_pipe
    for thread, out in writers:
        thread.join()
        os.close(out)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="pipes have no path there")
def test_lines_come_out_of_a_pipe_as_they_come_in(pipe):
    path, go_on = pipe(b"one\n", b"two\n", b"three\n")
    found = open_texts(Source.of(path), Selection())
    texts = []
    for row in found.rows():  # each is read before the next is written
        texts.append(row.text)
        go_on()
    assert texts == ["one", "two", "three"]


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="pipes have no path there")
def test_a_pipe_is_read_once(pipe):
    path, go_on = pipe(TABLE.encode()[:9], TABLE.encode()[9:])
    go_on()
    corpus = Corpus.of(path, Selection(Reading("csv")))
    assert corpus.survey() == (2, 0) and corpus.passages() == ([1, 2], FOUND)
    assert corpus.passages().texts == [row.text for row in corpus.rows()] == FOUND
    assert len(corpus.digest() if hasattr(corpus, "digest") else corpus.facts()[0]) == 64


def test_arrow_from_a_pipe(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    path = arrow_file(tmp_path, "parquet", arrow.table({"text": FOUND}))
    script = "from pathlib import Path; from minembed.data.corpus import Corpus; print(Corpus.of(Path('-')).passages())"
    with path.open("rb") as file:
        done = subprocess.run([sys.executable, "-c", script], stdin=file, capture_output=True, text=True, check=True)
    assert done.stdout == f"Passages(ids=[1, 2], texts={FOUND})\n"


def test_a_missing_text_in_a_pipe_is_named_by_its_place(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "one"}\n{"text": null}\n{"text": ""}\n')))
    found = open_texts(Source.of(STDIN), Selection(Reading("jsonl")))
    with pytest.raises(
        InputError, match=r"^standard input, line 2: the text in column 'text' is missing; --missing skip"
    ):
        list(found.rows())


# --- corpora --------------------------------------------------------------------------------------------------------


def test_ids_of_a_corpus(file, caplog):
    path = file("a.csv", "nr,text\nA1,one\nA2,\nA3,three\n")
    with caplog.at_level(logging.INFO, "minembed"):
        corpus = Corpus.of(path, Selection(missing="skip", identity="nr"))
        corpus.survey()
    assert corpus.passages() == (["A1", "A3"], ["one", "three"])
    assert caplog.messages == [f'{path}: 3 rows, column "text", 1 without a text skipped (csv, ",", utf-8)']
    path = file("b.csv", "nr,text\nA1,one\nA2,two\nA1,three\n")
    with pytest.raises(InputError, match=r"b\.csv, line 4: the id 'A1' came before, at .*b\.csv, line 2"):
        Corpus.of(path, Selection(identity="nr")).passages()
    path = file("c.jsonl", '{"nr": 1, "text": "one"}\n{"nr": 2.5, "text": "two"}\n')
    with pytest.raises(
        InputError, match=r"line 2: the id in column 'nr' is 2\.5 \(float\); it must be a string or a wh"
    ):
        Corpus.of(path, Selection(identity="nr")).passages()
    with pytest.raises(InputError, match="there is no column 'no'; name one with --id:"):
        Corpus.of(path, Selection(identity="no"))


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress], ids=["plain", "packed"])
def test_a_survey_that_takes_long_shows_bytes_of_bytes(pack, file, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    content = pack(b"id,text\n" + b"1,some words of a text\n" * 20_000)  # 460,008 bytes
    path = file("a.csv.gz" if pack is gzip.compress else "a.csv", content)
    monkeypatch.setattr("minembed.runtime.progress.PATIENCE", 0)
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    monkeypatch.setattr(sys, "stderr", Terminal())
    Corpus.of(path).survey()
    total = "/1.18k [" if pack is gzip.compress else "/460k ["
    assert total in sys.stderr.getvalue() and "B/s]" in sys.stderr.getvalue()
