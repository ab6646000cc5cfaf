r"""Files that were once read as other than their owners meant: as what they are meant now, or the error that says what
to do."""

import gzip
import json
import time

import pytest

from minembed.data.beir import read_documents, read_judgements
from minembed.data.copying import as_written
from minembed.data.layout import kept_columns
from minembed.data.outputs import write_table
from minembed.data.source import Source
from minembed.data.table import Reading, open_table
from minembed.data.texts import Selection, column_of, open_texts
from minembed.data.vectors import as_array
from minembed.errors import InputError

NICE = "Nice hotel it is"
MARK = "\ufeff"


def read(path, content, field=None, missing=None, **reading):
    """What is told of a file with a content, without its name, and its texts."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    texts = open_texts(Source.of(path), Selection(Reading(**reading), field, missing))
    told = texts.told(texts.survey())
    return told.removeprefix(f"{path}: "), [row.text for row in texts.rows()]


@pytest.mark.parametrize(
    ("name", "content", "options", "message"),
    [
        (
            "a.csv",
            f",review,review\n,text,lang\n0,{NICE},en\n",
            {},
            "two columns have the name 'review'; rename one, or",
        ),
        (
            "a.csv",
            f"text,text\n{NICE},b c\n",
            {"field": "text"},
            "two columns have the name 'text'; rename one, or say",
        ),
        (
            "a.csv",
            f'id, text\n1, "{NICE}"\n',
            {},
            "line 2: a space stands before the quotes of a cell, which enclose it",
        ),
        ("a.csv", 'id, text\n1, "Rye bread, fine"\n', {}, "no space may stand before quotes"),
        (
            "a.csv",
            "# of 2024\nid,text\n1,b\n",
            {},
            "line 2: 2 cells where the first row has 1, split by ','; quote cells",
        ),
        ("a.csv", "# of 2024\nid,text\n1,b\n", {}, "remove lines above the heading"),
        ("a.tsv", "id\ttext\n1\tRye bread\n2\t\\N\n", {}, "'text' is missing in 1 of 2 rows (line 3)"),
        ("a.csv", "question,How do I bake bread\nanswer,Knead the dough\n", {}, "does its first row name the columns?"),
        ("a.csv", "comment;I like it\nreview;It is bad\n", {}, "does its first row name the columns?"),
        ("a.csv", "title;It is good.\nfoo;It is bad\n", {}, "does its first row name the columns?"),
        (
            "a.csv",
            f"document,review_text\nD001,{NICE}\n",
            {},
            "column 'document' holds no texts, and another does; name",
        ),
        ("a.csv", f"content,opinion\n5,{NICE}\n6,Bad food\n", {}, "column 'content' holds no texts, and another does"),
        (
            "a.csv",
            f"{MARK}id,text\n1,b\n",
            {"encoding": "latin-1"},
            "begins with the mark of utf-8: leave out --encoding",
        ),
        (
            "a.csv",
            "id,text\n1,b\n".encode("utf-16"),
            {"encoding": "cp1252"},
            "begins with the mark of utf-16: leave out",
        ),
        ("a.csv", "id,text\n", {"encoding": "utf-16"}, "not utf-16 (UTF-16 stream does not start with BOM): say which"),
        ("a.csv", "id,text\n", {"encoding": "punycode"}, "not punycode (Invalid extended code point ','): say which"),
        ("a.csv", "id,text\n", {"encoding": ""}, "there is no encoding ''"),
        ("a.csv", "id,text\n", {"delimiter": ""}, "a delimiter is one character, or comma"),
        (
            "a.txt",
            "id\ttext\n1\tRye bread\n",
            {},
            "is it a table or a text a line? Say --format csv, tsv, jsonl or txt:",
        ),
        ("a.txt", "id;text\n1;Rye bread\n", {}, "is it a table or a text a line?"),
        ("a.txt", '{"text": "a"}\n{"text": "b"}\n', {}, "is it a table or a text a line?"),
        ("a.txt", '[{"text": "a"}]', {}, "is it a table or a text a line?"),
        (
            "a.txt",
            "text\nRye bread\n",
            {"header": "yes"},
            "is read as a text a line; --header says how a table is read",
        ),
        ("a.txt", "a^b\n", {"delimiter": "^", "form": "txt"}, "is read as a text a line; --delimiter says how a table"),
        (
            "a.txt",
            b"one\r" * 40_000 + b"two\nthree\n",
            {},
            "line 40001: lines end in \\r, and some in \\n; use one for all",
        ),
        (
            "a.txt",
            "version https://git-lfs.github.com/spec/v1\n",
            {},
            "is a pointer of Git LFS, by its content: fetch the",
        ),
        ("a", "question;foo;date\nbread; a;b\n", {}, "is it a table or a text a line?"),
        ("a", 'id|foo|text\r"a|b"|c\rd|e|f\r', {}, "is it a table or a text a line?"),
        ("a", "id,foo,text\n1,cr\rx,b\n", {}, "is it a table or a text a line?"),
        ("a.csv", "text\none\ncr\rx\n", {}, "line 3: some lines end in \\n, and some in \\r; use one for all"),
        ("a.csv", "<!DOCTYPE html>\n<html>\n", {}, "is a page of HTML, by its content: extract its texts first"),
        ("a", b"\x7fELF" + bytes(400), {}, "not a text, by its content (it has NUL characters); --format txt reads it"),
        (
            "a.csv.gz",
            gzip.compress(gzip.compress(b"id,text\n1,b\n", mtime=0), mtime=0),
            {},
            "is packed twice: unpack it once",
        ),
        ("a.jsonl", '{"text": "a", "text": "b"}\n', {}, "the field 'text' comes twice in an object"),
        ("a.json", '[{"id": {"a": 1, "a": 2}, "text": "b"}]', {}, "the field 'a' comes twice in an object"),
        (
            "a.csv",
            "id,text\n" + "1,one two three\n" * 9_000,
            {"field": "txt", "missing": "empty"},
            "there is no column",
        ),
        (
            "a.jsonl",
            '{"text": "one two"}\n' * 9_000,
            {"field": "txt", "missing": "empty"},
            "there is no column 'txt' (did you mean",
        ),
    ],
)
def test_what_is_an_error_now(name, content, options, message, tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, content, **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "options", "told", "texts"),
    [
        ("a.csv", f"text,text\n{NICE},b c\n", {"field": "2"}, '1 row, column "text_2" (csv, ",", utf-8)', ["b c"]),
        (
            "a.csv",
            f'id, text\n1, "{NICE}"\n',
            {"quotes": "no"},
            '1 row, column "text" (csv, ",", utf-8, quotes are text)',
            [f' "{NICE}"'],
        ),
        (
            "a.csv",
            f'Timestamp,"How was your last stay?"\n2024/01/02 10:00,{NICE}\n',
            {},
            '1 row, column "How was your last stay?" (csv, ",", utf-8)',
            [NICE],
        ),
        (
            "a.csv",
            f'{MARK}"id","text"\n1,{NICE}\n',
            {"field": "text"},
            '1 row, column "text" (csv, ",", utf-8)',
            [NICE],
        ),
        ("a.csv", f'"{MARK}id","text"\n1,{NICE}\n', {"field": "id"}, '1 row, column "id" (csv, ",", utf-8)', ["1"]),
        ("a.txt", f"one\n{MARK}two\n", {}, "2 lines, one text per line (txt, utf-8)", ["one", "two"]),
        (
            "a.jsonl",
            f'{{"text": "one"}}\n{MARK}{{"text": "two"}}\n',
            {},
            '2 rows, column "text" (jsonl, utf-8)',
            ["one", "two"],
        ),
        ("a.txt", "id\ttext\n1\tb\n", {"form": "txt"}, "2 lines, one text per line (txt, utf-8)", ["id\ttext", "1\tb"]),
        (
            "a.txt",
            "Well, no\nTea, please\n",
            {},
            "2 lines, one text per line (txt, utf-8)",
            ["Well, no", "Tea, please"],
        ),
        (
            "a.txt",
            b"a" * 65_535 + b"\r\nb\r\n",
            {"form": "txt"},
            "2 lines, one text per line (txt, utf-8)",
            ["a" * 65_535, "b"],
        ),
        (
            "a.jsonl",
            '{"doc": null}\n' * 9_000 + '{"doc": {"body": "one"}}\n',
            {"field": "doc.body", "missing": "empty"},
            '9,001 rows, column "doc.body", 9,000 without a text read as "" (jsonl, utf-8)',
            [""] * 9_000 + ["one"],
        ),
    ],
)
def test_what_is_read_now(name, content, options, told, texts, tmp_path):
    assert read(tmp_path / name, content, **options) == (told, texts)


@pytest.mark.parametrize("heading", ["c," * 5_000, "," * 5_000], ids=["of one name", "without names"])
def test_thousands_of_columns_of_one_name(heading, tmp_path):
    begin = time.perf_counter()
    told, texts = read(tmp_path / "a.csv", f"{heading}text\n{'1,' * 5_000}{NICE}\n")
    assert (told, texts) == ('1 row, column "text" (csv, ",", utf-8)', [NICE])
    assert time.perf_counter() - begin < 20


@pytest.mark.parametrize("first", ["remark", "n"])
def test_all_columns_of_texts_of_a_wide_table_are_looked_at(first, tmp_path):
    arrow = pytest.importorskip("pyarrow")
    columns = {first: ["a b c" if first == "remark" else 1], **{f"c{i}": [0.5] for i in range(99)}, "opinion": [NICE]}
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table(columns), tmp_path / "a.parquet")
    texts = Source.of(tmp_path / "a.parquet")
    if first == "remark":
        with pytest.raises(InputError, match="cannot tell which column holds the texts"):
            open_texts(texts, Selection())
    else:
        assert open_texts(texts, Selection()).column.name == "opinion"


def test_lines_that_end_in_a_carriage_return_are_written_so(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\rtwo")
    table = open_table(Source.of(tmp_path / "a.txt"), Reading())
    assert "".join(as_written(table, lambda number: True)) == "one\rtwo\r"


def test_a_mark_that_contradicts_the_encoding_of_documents(tmp_path):
    path = tmp_path / "corpus.tsv"
    path.write_text(f"{MARK}d1\tone\n", "utf-8")
    with pytest.raises(InputError, match="begins with the mark of utf-8: leave out --encoding latin-1"):
        read_documents(path, Reading(encoding="latin-1"))
    assert read_documents(path) == {"d1": "one"}


def test_json_with_one_field_twice_says_where(tmp_path):
    lines = [json.dumps({"text": "a"}), '{"text": "b", "text": "c"}']
    with pytest.raises(InputError, match=r"a\.jsonl, line 2: not JSON \(the field 'text' comes twice in an object\)"):
        read(tmp_path / "a.jsonl", "\n".join(lines))


def test_words_for_nothing_are_told(tmp_path, caplog):
    caplog.set_level("INFO")
    read(tmp_path / "a.csv", f"id,text\n1,{NICE}\n2,NA\n3,null\n")
    assert caplog.messages == [f'{tmp_path / "a.csv"}: 2 rows have "NA", "null" or the like as their text']


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_values_that_are_nested_deeper_than_they_can_be_written(name, tmp_path):
    deep = "[" * 99 + "]" * 99
    assert read(tmp_path / name, f'[{{"text": "{NICE}", "n": {deep}}}]'.strip("[]" if name == "a.jsonl" else ""))[
        1
    ] == [NICE]
    with pytest.raises(InputError, match="more than 100 lists and objects within each other"):
        read(tmp_path / name, f'[{{"text": "b", "n": [{deep}]}}]'.strip("[]" if name == "a.jsonl" else ""))


def test_a_file_that_changes_before_it_is_read_again(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n")
    texts = open_texts(Source.of(path), Selection())
    assert texts.survey() == (2, 0)
    with path.open("a") as file:
        file.write("three\n")
    with pytest.raises(InputError, match=r"a\.txt changed while it was read: begin again, or with a copy of it"):
        list(texts.rows())


def test_an_id_or_label_of_two_columns(tmp_path):
    (tmp_path / "a.csv").write_text(f"id,id,text\n1,2,{NICE}\n")
    table = open_table(Source.of(tmp_path / "a.csv"), Reading())
    with pytest.raises(InputError, match="two columns have the name 'id'; rename one, or say which by its number"):
        column_of(table, "id", "--id")
    assert column_of(table, "2", "--id").name == "id_2"


def test_headings_of_documents(tmp_path):
    path = tmp_path / "corpus.tsv"
    path.write_text("docid\ttitle\ttext\nd1\tBread\tKnead it.\n")
    assert read_documents(path) == {"d1": "Bread Knead it."}
    path.write_text("qid\tquery\nq1\tbread\n")
    assert read_documents(path) == {"q1": "bread"}
    path.write_text("q1\tquery\n")
    assert read_documents(path) == {"q1": "query"}


def test_a_judgement_that_contradicts_one_before(tmp_path):
    path = tmp_path / "test.tsv"
    path.write_text("q1\td1\t1\nq1\td1\t1\nq1\td2\t0\n")
    assert read_judgements(path) == {"q1": {"d1": 1.0, "d2": 0.0}}
    path.write_text("q1\td1\t1\nq1\td1\t0\n")
    with pytest.raises(InputError, match="line 2: 'd1' has the score 1 for 'q1' before, and 0 here"):
        read_judgements(path)


def test_a_field_that_comes_later_is_not_left_out(tmp_path):
    lines = '{"title": "one two three"}\n' * 9_000 + '{"title": "four", "text": "z w"}\n'
    with pytest.raises(
        InputError, match="line 9001: the first rows have no field 'text'; say with --field what is read"
    ):
        read(tmp_path / "a.jsonl", lines)
    assert read(tmp_path / "a.jsonl", lines, "title")[1][-1] == "four"
    assert read(tmp_path / "a.jsonl", lines, "text", "empty")[1][-1] == "z w"


@pytest.mark.parametrize("field", ["txt", "doc.bdy"])
def test_a_field_that_no_row_has(field, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "one two", "doc": {"body": "b"}}\n' * 9_000)
    table = open_table(Source.of(tmp_path / "a.jsonl"), Reading())
    for choose in (lambda: column_of(table, field, "--label"), lambda: kept_columns(table, field)):
        with pytest.raises(InputError, match=f"there is no column '{field}'"):
            choose()
    assert column_of(table, "doc.body", "--label").path == ("doc", "body")


@pytest.mark.parametrize("ids", [["a\0", "a"], ["1", 1]])
def test_ids_that_an_array_cannot_tell_apart(ids):
    with pytest.raises(InputError, match="some ids are the same as texts of an array"):
        as_array(ids)
    assert as_array(["a", "a", 1]).tolist() == ["a", "a", "1"]


def test_names_that_arrow_has_not(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "a.jsonl").write_text('{"text": "a", "\\ud800": 1}\n')
    table = open_table(Source.of(tmp_path / "a.jsonl"), Reading())
    with (tmp_path / "a.parquet").open("wb") as file, pytest.raises(InputError, match="cannot be written as parquet"):
        write_table(file, "parquet", table)


def test_a_stream_of_arrow_without_a_name(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    table = arrow.table({"text": [NICE]})
    with arrow.ipc.new_stream(tmp_path / "data", table.schema) as writer:
        writer.write_table(table)
    texts = open_texts(Source.of(tmp_path / "data"), Selection())
    assert (texts.table.form, [row.text for row in texts.rows()]) == ("feather", [NICE])
