"""Tables with known contents, as programs write them: drawn by Hypothesis, written by csv and json."""

import bz2
import csv
import gzip
import io
import json
from dataclasses import dataclass

from hypothesis import strategies as st

from minembed.data.headings import KNOWN, plain
from minembed.data.table import Reading

ODD = ["", " ", '"', '""', "a,b", "x;y", "tab\there", "bar|bar", "two\nlines", "cr\rhere", "crlf\r\nhere", " lead"]
ODD += [
    "trail ",
    "Größe",
    "Łódź",
    "Привет, мир",
    "中文字",
    "🙂",
    "1",
    "2.5",
    "NaN",
    "null",
    "text",
]
ODD += ['5" pipe', "'single'", "http://example.org", "back\\slash", "#hash", "{", '{"a": 1}', "[1]", "long " * 30]
ODD += ["\u2028", "a\x0bb", "\x85", "the cat sat", "a dog, barking", "it rains"]
LETTERS = st.characters(
    codec="utf-8", exclude_characters="\0\ufeff"
)  # a byte order mark at the beginning of a line is no text
CELLS = st.sampled_from(ODD) | st.text(LETTERS, max_size=12)
NAMES = st.sampled_from(["id", "text", "Text", "body", "größe", "名前", "label", "a b", "", "x"])
NAMES |= st.text(LETTERS, max_size=8)
ENCODINGS = ["utf-8"] * 4 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"]
ENCODINGS += ["cp1252", "cp1250", "latin-1", "cp1251", "shift_jis"]
PACK = {"": lambda data: data, ".gz": gzip.compress, ".bz2": bz2.compress}


@dataclass(frozen=True)
class Written:
    """A file, the options to read it, and its texts: None for a missing text."""

    name: str
    content: bytes
    reading: Reading
    field: str | None
    texts: tuple[str | None, ...]


def present(text):
    return text if text.strip() else None


@st.composite
def tables(draw):
    """A .csv or .tsv, with what is said of it."""
    width = draw(st.sampled_from([1, 2, 2, 3, 4, 40]))
    headed = draw(st.booleans())
    count = draw(st.integers(0, 3 if width == 40 else 8))
    cells = st.sampled_from(["one", "two words", "1", ""]) if width == 40 else CELLS
    rows = draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=count, max_size=count))
    names = draw(st.lists(NAMES, min_size=width, max_size=width))
    first = names if headed else (rows[0] if rows else [])
    named = any(plain(cell) in KNOWN for cell in first)
    header = draw(st.sampled_from([None, None, "yes" if headed else "no"]))
    if not headed and named:  # a row of names, to everybody but who wrote it
        header = "no"
    # who writes one column by semicolons leaves its commas bare, and nobody else can know
    delimiter = "," if width == 1 else draw(st.sampled_from([",", ";", "\t", "|"]))
    file = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([names, *rows] if headed else rows)
    text = file.getvalue()
    # one row wider than the others, which nothing may be read as; in a single column it may be one more text
    ragged = draw(st.sampled_from([()] * 9 + [("ragged",)])) if width > 1 and first else ()
    if ragged:
        text += delimiter.join(["more"] * (width + 1)) + end
    encoding = draw(st.sampled_from(ENCODINGS))
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        encoding, data = "utf-8", text.encode()
    said = draw(st.sampled_from([None, encoding])) if encoding.startswith("utf") else encoding
    packed = draw(st.sampled_from(["", "", "", ".gz", ".bz2"]))
    ending = ".tsv" if delimiter == "\t" and draw(st.booleans()) else draw(st.sampled_from([".csv", ".csv", ""]))
    form = draw(st.sampled_from([None, "csv"])) if ending == "" else None
    told = draw(st.sampled_from([None, None, delimiter]))
    if width == 1 and any(sign in cell for cell in first for sign in ";\t|"):  # a row of two, to everybody else
        told = delimiter
    reading = Reading(form, said, told, header)
    column = draw(st.integers(0, width - 1))
    field = draw(st.sampled_from([str(column + 1), *([names[column]] if headed else [])]))
    if headed and field in names:
        column = names.index(field)
    texts = tuple(present(row[column]) for row in rows)
    return Written(
        f"x{ending}{packed}", PACK[packed](data), reading, field, texts if not ragged else (*texts, "ragged")
    )


VALUES = st.sampled_from(ODD) | st.text(LETTERS, max_size=12) | st.none()
OTHERS = VALUES | st.integers() | st.floats() | st.booleans() | st.lists(st.integers(), max_size=2)


@st.composite
def objects(draw):
    """JSON lines, or a JSON array, of objects or of texts."""
    plain_texts = draw(st.sampled_from([False, False, True]))
    rows = draw(st.lists(VALUES.filter(lambda v: v is not None) if plain_texts else rows_of_json(), max_size=8))
    ascii_only = draw(st.booleans())
    form = draw(st.sampled_from(["jsonl", "jsonl", "json"]))
    if form == "jsonl":
        text = "".join(json.dumps(row, ensure_ascii=ascii_only) + draw(END) for row in rows)
    else:
        text = json.dumps(rows, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, 0, 2])))
    ending = draw(st.sampled_from([f".{form}", f".{form}", ".json", ""]))
    packed = draw(st.sampled_from(["", "", ".gz"]))
    said = form if ending != f".{form}" and draw(st.booleans()) else None
    texts = [row if plain_texts else row.get("body") for row in rows]
    found = tuple(None if text is None else present(text) for text in texts)
    data = text.encode()
    return Written(f"x{ending}{packed}", PACK[packed](data), Reading(said), None if plain_texts else "body", found)


END = st.sampled_from(["\n", "\n", "\r\n", "\n\n"])


def rows_of_json():
    keys = st.sampled_from(["id", "text", "größe", "a.b", ""])
    return st.builds(lambda others, body: {**others, **body}, st.dictionaries(keys, OTHERS, max_size=3), BODY)


BODY = st.one_of(VALUES.map(lambda text: {"body": text}), st.just({}))


OTHER_TYPES = ("int64", "uint8", "float32", "float64", "bool_", "date32", "binary", "null")
OF_TYPE = {
    "int64": st.integers(-9, 9),
    "uint8": st.integers(0, 255),
    "float32": st.floats(width=32),
    "float64": st.floats(),
    "bool_": st.booleans(),
    "date32": st.dates(),
    "binary": st.binary(max_size=3),
    "null": st.none(),
}


@st.composite
def arrow_tables(draw):
    """A .parquet or .feather, of some types; its texts are of any type that has text."""
    import pyarrow as arrow
    from pyarrow import ipc, parquet

    count = draw(st.integers(0, 6))
    texts = draw(st.lists(VALUES, min_size=count, max_size=count))
    kinds = {
        "string": arrow.array(texts, arrow.string()),
        "large_string": arrow.array(texts, arrow.large_string()),
        "dictionary": arrow.array(texts, arrow.string()).dictionary_encode(),
        "list": arrow.array([None if text is None else [text] for text in texts], arrow.list_(arrow.string())),
        "struct": arrow.array([{"inner": text} for text in texts], arrow.struct([("inner", arrow.string())])),
    }
    kind = draw(st.sampled_from(sorted(kinds)))
    columns = {"body": kinds[kind]}
    for i, name in enumerate(draw(st.lists(st.sampled_from(OTHER_TYPES), max_size=4))):
        values = draw(st.lists(OF_TYPE[name] | st.none(), min_size=count, max_size=count))
        columns[f"{name} {i}"] = arrow.array(values, getattr(arrow, name)())
    table, file = arrow.table(columns), io.BytesIO()
    form = draw(st.sampled_from(["parquet", "feather"]))
    if form == "parquet":
        parquet.write_table(table, file, row_group_size=draw(st.sampled_from([1, 2, 100])))
    else:
        with ipc.new_file(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=draw(st.sampled_from([1, 2, 100])))
    packed = draw(st.sampled_from(["", "", ".gz"]))
    field = "body.inner" if kind == "struct" else draw(st.sampled_from(["body", "1"]))
    found = tuple(None if text is None else present(text) for text in texts)
    return Written(f"x.{form}{packed}", PACK[packed](file.getvalue()), Reading(), field, found)
