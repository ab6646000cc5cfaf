"""The tables of docs/reliability.md are those that `make proof` writes, and its rows are tests that there are."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import proof_page
import proof_results
import proof_run
import pytest
from amounts import COUNT, SEED, Amount
from places import ROOT, TESTS
from proof_rows import GROUPS, MACHINES, ROWS

RESULTS = [one for one in proof_results.every() if one["row"] in ROWS]


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
            assert "amount" in found[1] or not row.total, f"{test} does not heed the size of its row"


def test_rows_are_named_once_and_have_sizes():
    assert len(ROWS) == sum(map(len, GROUPS.values())) + len(MACHINES)
    assert all(0 < row.piece <= row.total for row in ROWS.values() if row.total)


def test_results_are_of_rows_and_machines():
    for line in proof_results.RESULTS.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        assert one["count"] > 0 or one["result"] == "failed", one
        assert one["seconds"] > 0 and one["revision"] and one["machine"]["cpu"], one
        assert (one["result"] == "passed") == (not one["failed"]), one


def test_what_passed_can_be_run_again():
    """Results are of revisions of this repository: what a stranger cannot check out, he cannot repeat."""
    command = ["git", "rev-parse", "--is-shallow-repository"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True) if shutil.which("git") else None
    if told is None or told.stdout.strip() != "false":
        pytest.skip("there is no whole history here")
    revisions = {one["revision"] for one in proof_results.read() if one["result"] == "passed"}
    assert not [revision for revision in revisions if proof_results.changed_since(revision) is None]


def result(row, seed, count, **changes):
    machine = {"cpu": "a", "cores": 2, "system": "Linux", "instructions": "AVX2"}
    versions = dict.fromkeys(("python", "numpy", "numba", "tokenizers"), "1")
    told = {"row": row.name, "seed": seed, "asked": count, "count": count, "result": "passed", "escapes": 0}
    told |= {"skipped": 0, "failed": [], "date": "2026-01-01"}
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
    bad = {"result": "failed", "escapes": 3, "failed": ["tests/a.py::test_b"], "skipped": 1}
    failed = [result(row, 2, 60, revision="fed", **bad), result(row, 1, 40)]
    assert "| 40 of 100,000 files | **3** | 1 | 1 to 2 | 2 s | A | fed, abc |" in proof_page.tried(failed)
    assert "not run yet" in proof_page.tried(failed)
    assert "| weights | 2 | 2026-01-01 | fed | `a.py::test_b` | not run again yet |" in proof_page.failures(failed)
    again = [*failed, result(row, 2, 60, revision="cab")]
    assert "| 100 of 100,000 files | 0 | 0 | 1 to 2 | 2 s | A | abc, cab |" in proof_page.tried(again)
    assert "| weights | 2 | 2026-01-01 | fed | `a.py::test_b` | passed at cab |" in proof_page.failures(again)
    assert proof_page.failures(again[1:2]) == "None."


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


@pytest.fixture
def piece(tmp_path):
    """A function from the text of a test to the result of a piece of 60 under the seed 3, and its row and output."""
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n  slow: heavy\n", encoding="utf-8")
    row = replace(ROWS["weights"], name="it", tests=(str(tmp_path / "test_it.py"),))

    def run(text):
        (tmp_path / "test_it.py").write_text(text, encoding="utf-8")
        return row, *proof_run.run_piece(row, proof_run.python_of(row), 60, 3)

    return run


def test_a_failure_is_told_with_what_repeats_it(piece, capsys):
    """A piece of a row that fails: its seed, its command and its output; and nothing of it counts as tried."""
    row, found, said = piece("def test_fails(amount):\n    assert amount.rounds(7) == 0, amount.seed(1)\n")
    assert (found["count"], found["escapes"], found["result"]) == (0, 1, "failed")
    assert "AssertionError: 30001" in found["said"]
    proof_run.tell(row, found, said)
    told = capsys.readouterr().out
    assert "make proof ROWS=it SEED=3 COUNT=60" in told and "AssertionError: 30001" in told


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("import os\ndef test_it(amount):\n    os.kill(os.getpid(), 11)\n", "ended with status -11"),
        ("import os\ndef test_it(amount):\n    os._exit(0)\n", "ended with status 0 and no test"),
        ("import time\ndef test_it(amount):\n    time.sleep(600)\n", "stopped after 20 s"),
        ("import pytest\ndef test_it(amount):\n    pytest.skip('it')\n", "ended with status 0"),
    ],
    ids=["a crash", "an end", "a hang", "all are skipped"],
)
def test_whatever_ends_without_a_try_is_a_failure(text, how, piece, monkeypatch):
    monkeypatch.setattr(proof_run, "LIMIT", 20)
    _, found, _ = piece(text)
    assert (found["count"], found["result"]) == (0, "failed") and how in found["failed"][0]


def test_a_row_whose_tests_cannot_be_run_ends_itself_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(proof_results, "RESULTS", tmp_path / "results.jsonl")
    row = replace(ROWS["weights"], name="it", tests=(str(tmp_path / "test_absent.py"),))
    assert proof_run.run_row(row, 1.0) == "failed" and not proof_results.RESULTS.exists()
    assert "it: no test was run" in capsys.readouterr().out


def test_a_row_without_its_tool_is_told_and_no_failure(monkeypatch, capsys):
    row = replace(ROWS["weights"], tool="no-such-program", total=10**9)
    monkeypatch.setattr(proof_run, "ROWS", {"weights": row})
    monkeypatch.setattr(sys, "argv", ["proof_run.py"])
    assert not proof_run.main()
    assert capsys.readouterr().out == "weights: not run, there is no no-such-program here\n"


def test_the_oldest_python_is_found_as_others_are(monkeypatch):
    row = ROWS["oldest"]
    monkeypatch.setattr(proof_run, "found_python", lambda version: f"/the/python{version}")
    assert proof_run.absent(row) == ""
    assert proof_run.command_of(row, None, 0, 1)[0][-1] == "OLDEST=/the/python3.10"
    monkeypatch.setattr(proof_run, "found_python", lambda version: None)
    assert proof_run.absent(row) == "there is no Python 3.10 here"


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make here")
def test_make_runs_all_rows_or_those_that_are_named():
    def command(*given):
        outer = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ROWS", "SHARE", "SEED", "COUNT", "AGE")  # of `make test`
        environment = {name: value for name, value in os.environ.items() if name not in outer}
        words = ["make", "-n", "proof", *given]
        told = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        return " ".join(told.stdout.partition("proof_run.py")[2].replace("\\\n", " ").split())

    assert command() == "--rows"
    assert command("ROWS=weights jobs", "SHARE=0.1", "AGE=1") == "--rows weights jobs --share 0.1 --age"


def test_variables_of_make_have_one_default():
    """A second default is never used."""
    names = re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert len(names) == len(set(names)) > 20
