"""Tables with tabs, in which quotes enclose cells or are part of the texts: never a row that swallows others."""

import csv
import io
import json

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from minembed.data.source import Source
from minembed.data.table import Reading, open_table
from minembed.errors import InputError

HEAD = "index\tsentence1\tsentence2\tscore\n"
BARE = HEAD + (
    '0\t"It is time, he said.\tHe said "it is time".\t4.2\n'
    "1\tA man sleeps.\tA woman sleeps.\t1.5\n"
    '2\tIt ends."\t"Is it over?" she asked.\t3.0\n'
)
BARE_ROWS = [
    ["0", '"It is time, he said.', 'He said "it is time".', "4.2"],
    ["1", "A man sleeps.", "A woman sleeps.", "1.5"],
    ["2", 'It ends."', '"Is it over?" she asked.', "3.0"],
]


NOTHING = Reading()


def opened(tmp_path, content, reading=NOTHING, name="x.tsv", **options):
    path = tmp_path / name
    path.write_bytes(content.encode())
    return open_table(Source.of(path), reading, **options)


def rows_of(table):
    return [list(row.values.values()) for row in table.rows()]


def test_bare_quotes_are_text(tmp_path):
    table = opened(tmp_path, BARE)
    assert rows_of(table) == BARE_ROWS
    assert table.details == ("tsv", '"\\t"', "utf-8", "quotes are text")
    assert rows_of(opened(tmp_path, BARE, Reading(quotes="no"))) == BARE_ROWS
    with pytest.raises(InputError, match=r"x\.tsv, line 2: .* --quotes no reads quotes as part of the texts"):
        opened(tmp_path, BARE, Reading(quotes="yes"))


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('id\ttext\n1\t"a\tb"\n2\tc\n', [["1", "a\tb"], ["2", "c"]]),
        ('id\ttext\n1\t"a\nb"\n2\tc\n', [["1", "a\nb"], ["2", "c"]]),
        ('id\ttext\n1\t"a ""b"""\n2\tc\n', [["1", 'a "b"'], ["2", "c"]]),
        ('"id"\t"text"\n1\t"a"\n2\t"c"\n', [["1", "a"], ["2", "c"]]),
        ('id\ttext\n1\ta "b"\n2\tc"\n', [["1", 'a "b"'], ["2", 'c"']]),
    ],
    ids=["tab", "line", "doubled", "all", "within"],
)
def test_quotes_that_enclose(content, rows, tmp_path):
    table = opened(tmp_path, content)
    assert rows_of(table) == rows and table.quotes is None and table.details == ("tsv", '"\\t"', "utf-8")


def test_quotes_in_doubt(tmp_path):
    content = 'id\ttext\n1\t"a b"\n2\tc\n'
    with pytest.raises(InputError) as caught:
        opened(tmp_path, content)
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/x.tsv: do quotes enclose its cells (--quotes yes), or are they text (--quotes no)?",
        "  '1\\t\"a b\"'",
    ]
    assert rows_of(opened(tmp_path, content, Reading(quotes="yes"))) == [["1", "a b"], ["2", "c"]]
    assert rows_of(opened(tmp_path, content, Reading(quotes="no"))) == [["1", '"a b"'], ["2", "c"]]


def test_quotes_behind_the_beginning(tmp_path):
    """What the first lines do not show is found where it stands, and no row is lost."""
    plain = "".join(f"{i}\tone and two\tthree\t1\n" for i in range(5000))
    table = opened(tmp_path, HEAD + plain + '7\t"Well\tno\t1\n8\tyes\tno"\t2\n')
    with pytest.raises(InputError, match=r"line 5002: .* --quotes no reads quotes as part of the texts"):
        rows_of(table)
    table = opened(tmp_path, HEAD + plain + '7\t"Well\tno\t1\n8\tyes\tno\t2\n')
    with pytest.raises(InputError, match=r"line 5002: not sound CSV .* --quotes no"):
        rows_of(table)
    assert len(rows_of(opened(tmp_path, HEAD + plain + '7\t"Well\tno\t1\n', Reading(quotes="no")))) == 5001


def test_the_beginning_may_end_within_quotes(tmp_path):
    """A bare quote near the end of the first lines: nobody knows yet whether it encloses the rows behind it."""
    plain = "".join(f"{i}\tone and two\tthree\t1\n" for i in range(2560))
    content = HEAD + plain + '7\t"Well\tno\t1\n' + plain
    with pytest.raises(InputError, match=r"do quotes enclose its cells \(--quotes yes\)"):
        opened(tmp_path, content)
    assert len(rows_of(opened(tmp_path, content, Reading(quotes="no")))) == 5121


def test_a_cell_like_rows(tmp_path):
    """A cell whose lines would be rows by themselves: in doubt, until somebody says it."""
    content = 'a\tb\tc\n\t"\t\n\t"\t\n'
    with pytest.raises(InputError, match=r"do quotes enclose its cells \(--quotes yes\)"):
        opened(tmp_path, content, Reading(header="yes"))
    assert rows_of(opened(tmp_path, content, Reading(header="yes", quotes="yes"))) == [["", "\t\n\t", ""]]
    assert rows_of(opened(tmp_path, content, Reading(header="yes", quotes="no"))) == [["", '"', ""], ["", '"', ""]]


def tables(cells):
    widths = st.integers(2, 4)
    return widths.flatmap(
        lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=6)
    )


def read(path, content, rows):
    """The rows that are read are those that were written, or nothing is."""
    path.write_bytes(content.encode())
    try:
        found = rows_of(open_table(Source.of(path), Reading(header="yes")))
    except InputError:
        return
    assert found == rows


ODD = "ab\" ,1'"


@examples(400)
@given(
    tables(st.text(ODD + "\t\n", max_size=6)),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_any_table_that_is_written_with_quotes(tmp_path_factory, rows, quoting, end):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter="\t", quoting=quoting, lineterminator=end)
    writer.writerows([[f"c{i}" for i in range(len(rows[0]))], *rows])
    read(tmp_path_factory.getbasetemp() / "quoted.tsv", file.getvalue(), rows)


@examples(400)
@given(tables(st.text(ODD, max_size=6).filter(lambda cell: len(cell) < 2 or not cell[0] == cell[-1] == '"')))
def test_any_table_that_is_written_without(tmp_path_factory, rows):
    """But for texts that are in quotes as a whole, which nobody can tell from cells in quotes."""
    rows = [["c", *row] for row in rows]
    lines = ["\t".join(row) + "\n" for row in [[f"c{i}" for i in range(len(rows[0]))], *rows]]
    read(tmp_path_factory.getbasetemp() / "bare.tsv", "".join(lines), rows)


def test_quotes_of_other_tables(tmp_path):
    assert rows_of(opened(tmp_path, 'id,text\n1,"a"\n2,b\n', name="x.csv")) == [["1", "a"], ["2", "b"]]
    literal = opened(tmp_path, 'id;text\n1;"a\n2;b\n', Reading(quotes="no"), name="x.csv")
    assert rows_of(literal) == [["1", '"a'], ["2", "b"]] and literal.delimiter == ";"


def test_a_heading_in_doubt_names_the_option(tmp_path):
    content = "kundenfrage,antwort\nwo ist es,hier\n"
    with pytest.raises(InputError) as caught:
        opened(tmp_path, content, name="x.csv", option="--columns")
    assert str(caught.value).splitlines() == [
        f"{tmp_path}/x.csv: does its first row name the columns? Say --header yes or --header no, or name them with "
        "--columns:",
        "  ['kundenfrage', 'antwort']",
        "  ['wo ist es', 'hier']",
    ]
    table = opened(tmp_path, content, name="x.csv", wanted=("kundenfrage",))
    assert table.columns == ("kundenfrage", "antwort")


def test_tables_without_a_heading(tmp_path):
    """Of three columns, the last cell of the first row alone a number: no heading is."""
    table = opened(tmp_path, "a,b,1\nc,d,high\n", name="x.csv", bare=3)
    assert table.columns == ("1", "2", "3") and rows_of(table) == [["a", "b", "1"], ["c", "d", "high"]]
    for content in ("2012,2013,2014\n1,2,3\n", "a,b\nc,d\n", "a,b,c,1\na,b,c,2\n"):
        with pytest.raises(InputError, match="does its first row name the columns"):
            opened(tmp_path, content, name="x.csv", bare=3)


@pytest.mark.parametrize("length", [10, 200_000])
def test_an_array_of_long_values(length, tmp_path):
    """The columns are known, however long the first object is."""
    rows = [{"id": i, "text": "a" * length} for i in range(2)]
    table = opened(tmp_path, json.dumps(rows), name="x.json")
    assert table.columns == ("id", "text") and [row.values for row in table.rows()] == rows
