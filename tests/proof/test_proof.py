"""The tables of docs/reliability.md are those that `make proof` writes, and its rows are tests that there are."""

import json
import re
from dataclasses import replace

import proof_page
import proof_results
import proof_run
import pytest
from amounts import COUNT, SEED, Amount
from places import ROOT, TESTS
from proof_rows import GROUPS, MACHINES, ROWS

RESULTS = [one for one in proof_results.read() if one["row"] in ROWS]


def test_the_page_is_what_the_results_say():
    text = proof_page.PAGE.read_text(encoding="utf-8")
    assert proof_page.page(text, RESULTS) == text, "run `python tests/support/proof_page.py`, do not edit its tables"


@pytest.mark.parametrize("name", ROWS)
def test_the_tests_of_a_row_are_there(name):
    row = ROWS[name]
    for test in row.tests:
        path, _, function = test.partition("::")
        assert (TESTS / path).exists(), test
        if function:
            text = (TESTS / path).read_text(encoding="utf-8")
            found = re.search(rf"^def {re.escape(function.partition('[')[0])}\(([^)]*)\)", text, re.M)
            assert found, test
            assert "amount" in found[1] or not row.total or row.settings, f"{test} does not heed the size of its row"


def test_rows_are_named_once_and_have_sizes():
    assert len(ROWS) == sum(map(len, GROUPS.values())) + len(MACHINES)
    assert all(0 < row.piece <= row.total for row in ROWS.values() if row.total)


def test_results_are_of_rows_and_machines():
    for line in proof_results.RESULTS.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        assert one["count"] > 0 and one["seconds"] > 0 and one["revision"] and one["machine"]["cpu"], one
        assert (one["result"] == "passed") == (not one["failed"]), one


def result(row, seed, count, **changes):
    machine = {"cpu": "a", "cores": 2, "system": "Linux", "instructions": "AVX2"}
    versions = dict.fromkeys(("python", "numpy", "numba", "tokenizers"), "1")
    told = {"row": row.name, "seed": seed, "asked": count, "count": count, "result": "passed", "escapes": 0}
    return told | {"seconds": 1, "revision": "abc", "machine": machine, "versions": versions} | changes


def test_pieces_go_on_where_they_stopped():
    row = replace(ROWS["weights"], total=100, piece=40)
    assert proof_results.next_piece(row, []) == (1, 40)
    assert proof_results.next_piece(row, [result(row, 1, 40)]) == (2, 40)
    assert proof_results.next_piece(row, [result(row, 1, 40), result(row, 2, 40)]) == (3, 20)
    assert proof_results.next_piece(row, [result(row, 1, 40), result(row, 2, 60)]) is None
    assert proof_results.next_piece(row, [], share=0.1) == (1, 10)
    assert proof_results.next_piece(row, [result(row, 1, 10)], share=0.1) is None
    failed = [result(row, 1, 40, result="failed"), result(row, 2, 40)]
    assert proof_results.next_piece(row, failed) == (1, 40)
    once = replace(row, total=0)
    assert proof_results.next_piece(once, []) == (1, 0) and proof_results.next_piece(once, [result(once, 1, 7)]) is None


def test_a_piece_that_is_run_again_counts_once(tmp_path):
    path, row = tmp_path / "proof" / "results.jsonl", ROWS["weights"]
    for changes in ({"result": "failed"}, {}, {"seed": 2}, {"release": "0.0.1", "seed": 3}):
        proof_results.add(result(row, 1, 40, release=proof_results.release()) | changes, path)
    assert [(one["seed"], one["result"]) for one in proof_results.read(path)] == [(1, "passed"), (2, "passed")]


def test_what_escaped_is_told():
    row = ROWS["weights"]
    found = proof_page.tried([result(row, 1, 40), result(row, 2, 60, result="failed", escapes=3)])
    assert "| 100 of 100,000 files | **3** | 1 to 2 | 2 s | A | abc |" in found
    assert "not run yet" in found


def test_an_amount_is_shared_by_the_tests_of_a_row(monkeypatch):
    assert (Amount.asked(3).rounds(20), Amount.asked(3).seed(7), Amount.asked(3).seeds(range(5, 9))) == (
        20,
        7,
        range(5, 9),
    )
    monkeypatch.setenv(COUNT, "100")
    monkeypatch.setenv(SEED, "2")
    one = Amount.asked(3)
    assert (one.rounds(20), one.seed(7), one.done) == (34, 20_007, 34)
    assert one.seeds(range(5, 9)) == range(1_000_000, 1_000_034)


FAILS = """
def test_fails(amount):
    assert amount.rounds(7) == 0, amount.seed(1)
"""


def test_a_failure_is_told_with_what_repeats_it(tmp_path, capsys):
    """A piece of a row that fails: its count, its seed and its command."""
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "test_it.py").write_text(FAILS, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow: heavy\n", encoding="utf-8")
    row = replace(ROWS["weights"], name="it", tests=(str(tmp_path / "test_it.py"),))
    found, said = proof_run.run_piece(row, proof_run.python_of(row), 60, 3)
    assert (found["count"], found["escapes"], found["result"]) == (60, 1, "failed")
    proof_run.tell(row, found, said)
    told = capsys.readouterr().out
    assert "make proof ROWS=it SEED=3 COUNT=60" in told and "AssertionError: 30001" in told


def test_a_row_without_its_tool_is_told_and_no_failure(capsys):
    row = replace(ROWS["weights"], tool="no-such-program")
    assert proof_run.run_row(row, 1.0)
    assert capsys.readouterr().out == "weights: there is no no-such-program here\n"


def test_make_knows_it():
    assert "proof_run.py" in (ROOT / "Makefile").read_text(encoding="utf-8")
