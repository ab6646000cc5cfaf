"""The tables of docs/compare.md are those of its data: each cell of ours has its test, each of theirs a source."""

import copy
import importlib.util
import re
from datetime import date

import pytest
from places import ROOT

SPEC = importlib.util.spec_from_file_location("make_compare", ROOT / "docs" / "make_compare.py")
maker = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(maker)


@pytest.fixture(scope="module")
def data():
    return maker.read()


def test_the_page_is_what_the_data_say(data):
    page = maker.PAGE.read_text(encoding="utf-8")
    assert page == maker.with_tables(page, data), "write the page anew: make compare-table"
    assert page.count("| **") == len(data["tables"]) * len(data["rows"])


def test_sources_are_dated_used_and_have_an_address(data):
    used = {cell[1] for row in data["rows"] for cell in row["theirs"].values() if cell != maker.UNKNOWN}
    assert used == {*data["sources"]}
    for source in data["sources"].values():
        assert source["version"] and date.fromisoformat(source["date"].split()[0]) <= date(2100, 1, 1)
        assert source["url"].startswith("https://") or "docs/compare.md" in source["url"]


def change(data, name):
    row = data["rows"][0]
    peer = next(peer for peer, cell in row["theirs"].items() if cell != maker.UNKNOWN)
    if name == "test":
        row["test"] = "tests/house/test_compare_page.py::test_that_is_not_there"
    elif name == "file":
        row["test"] = "tests/no_such_file.py::test_it"
    elif name == "peer":
        del row["theirs"][peer]
    elif name == "source":
        row["theirs"][peer] = ["yes", "a rumour"]
    elif name == "date":
        del next(iter(data["sources"].values()))["date"]


@pytest.mark.parametrize("name", ["test", "file", "peer", "source", "date"])
def test_what_is_not_backed_is_refused(data, tmp_path, name):
    changed = copy.deepcopy(data)
    change(changed, name)
    path = tmp_path / "compare.json"
    path.write_text(maker.json.dumps(changed), encoding="utf-8")
    with pytest.raises(ValueError, match=r"test|cells of|a cell is|needs what"):
        maker.read(path)


def test_nine_peers_and_their_unknowns_are_shown(data):
    assert sum(len(table["peers"]) for table in data["tables"]) == 9
    rows = [line for line in maker.tables(data).splitlines() if line.startswith("| **")]
    unknown = sum(cell == maker.UNKNOWN for row in data["rows"] for cell in row["theirs"].values())
    assert sum(len(re.findall(r"\| \?(?= \|)", row)) for row in rows) == unknown
