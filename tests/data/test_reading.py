"""Tables with known contents: what is read is what was written, or there is a named error."""

import io

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from table_cases import arrow_tables, objects, tables

from minembed.data.arrow_rows import arrow_records, open_arrow
from minembed.data.source import Source
from minembed.data.texts import Selection, open_texts
from minembed.errors import InputError


def read(path, selection):
    """The texts of a file, None where one is missing; or the error."""
    try:
        found = open_texts(Source.of(path), selection)
        survey = found.survey()
        rows = [row.text for row in found.rows()]
    except InputError as error:
        return str(error)
    assert survey.rows == len(rows) and survey.missing == rows.count(None)
    return tuple(rows)


def check(folder, written):
    path = folder / written.name
    path.write_bytes(written.content)
    found = read(path, Selection(written.reading, written.field, "skip"))
    if isinstance(found, str):
        assert str(path) in found and len(found) > len(str(path)) + 10
        return
    assert found == written.texts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@given(tables())
@examples(3000, usual=150, fixed=True)
def test_tables_are_read_as_they_were_written(folder, written):
    check(folder, written)


@given(objects())
@examples(3000, usual=150, fixed=True)
def test_json_is_read_as_it_was_written(folder, written):
    check(folder, written)


@given(arrow_tables())
@examples(3000, usual=60, fixed=True)
def test_tables_of_arrow_are_read_as_they_were_written(folder, written):
    path = folder / written.name
    path.write_bytes(written.content)
    found = read(path, Selection(written.reading, written.field, "skip"))
    if isinstance(found, str):  # a field that no row has may be a slip; nothing else is in doubt
        assert "there is no column 'body.inner'" in found and not any(written.texts)
        return
    assert found == written.texts


class Counted(io.FileIO):
    """A file that counts the bytes that are read from it."""

    taken = 0

    def read(self, size=-1):
        found = super().read(size)
        self.taken += len(found)
        return found


def test_a_row_group_is_read_a_little_at_a_time(tmp_path):
    """However many rows the writer of a file put into one group, the first rows cost the memory of a few."""
    arrow = pytest.importorskip("pyarrow")
    path, ids = tmp_path / "a.parquet", np.random.default_rng(1).bytes(24 << 20).hex()
    texts = [ids[i : i + 4096] for i in range(0, len(ids), 4096)]
    pytest.importorskip("pyarrow.parquet").write_table(arrow.table({"text": texts}), path, compression="none")
    with Counted(path) as file:
        rows = arrow_records(open_arrow(file, "parquet", "a.parquet"), "a.parquet")
        assert next(rows)[1]["text"] == texts[0]
        assert file.taken < path.stat().st_size / 4
        assert [row["text"] for _, row, _ in rows] == texts[1:]
