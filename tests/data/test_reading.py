"""Tables with known contents: what is read is what was written, or there is a named error."""

import pytest
from examples import examples
from hypothesis import given
from table_cases import arrow_tables, objects, tables

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
