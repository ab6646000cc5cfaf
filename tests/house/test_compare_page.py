"""The tables of docs/compare.md are those of its data: each cell of ours has tests, each of theirs sources."""

import copy
import importlib.util
import re
from datetime import date

import pytest
from places import ROOT

from minembed.weights.families import FAMILIES
from minembed.weights.heads import CLASSIFIERS
from minembed.weights.modules import AFTER_POOLING

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
    used = {
        name for row in data["rows"] for cell in row["theirs"].values() if cell != maker.UNKNOWN for name in cell[1:]
    }
    used |= {row["source"] for row in data["rows"] if "source" in row}
    assert used == {*data["sources"]}
    for source in data["sources"].values():
        assert source["version"] and date.fromisoformat(source["date"].split()[0]) <= date(2100, 1, 1)
        assert source["url"].startswith("https://") or "docs/compare.md" in source["url"]


def change(data, name):
    row = next(row for row in data["rows"] if "tests" in row)
    peer = next(peer for peer, cell in row["theirs"].items() if cell != maker.UNKNOWN)
    if name == "test":
        row["tests"].append("tests/house/test_compare_page.py::test_that_is_not_there")
    elif name == "file":
        row["tests"] = ["tests/no_such_file.py::test_it"]
    elif name == "nothing":
        del row["tests"]
    elif name == "peer":
        del row["theirs"][peer]
    elif name == "source":
        row["theirs"][peer] = ["yes", next(iter(data["sources"])), "a rumour"]
    elif name == "date":
        del next(iter(data["sources"].values()))["date"]


@pytest.mark.parametrize("name", ["test", "file", "nothing", "peer", "source", "date"])
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


def test_each_test_is_named_in_the_page_and_run_by_pytest(data):
    page = maker.PAGE.read_text(encoding="utf-8")
    for test in {test for row in data["rows"] for test in row.get("tests", [])}:
        file, _, function = test.partition("::")
        assert f"| `{function}` | [{file}](../{file}) |" in page
        assert function.startswith("test_") and file.rpartition("/")[2].startswith(("test_", "check_")), test


def test_the_numbers_of_families_are_those_of_the_tables(data):
    ours = {row["question"]: row["ours"] for row in data["rows"]}
    assert {"gte", "new"} <= {*FAMILIES} & {*CLASSIFIERS} and FAMILIES["gte"] is FAMILIES["new"]  # two names of one
    assert ours["Families of text encoders"] == f"{len(FAMILIES) - 1}, and static"
    assert len(CLASSIFIERS) - 1 == 12 and "twelve families" in ours["Reranking"]
    assert re.search(r"modules: ([^;]+);", ours["Pooling, prompts and modules of a checkpoint"])[1].split(", ") == [
        *AFTER_POOLING
    ]
