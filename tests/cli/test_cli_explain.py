"""`minembed explain`: what it prints, at any width, and what it hands on as JSON."""

import json
from functools import partial

import command
import golden_heads
import numpy as np
import pytest
from command import ANSI

from minembed.cli.token_map import fitted, printable, token_map, wide
from minembed.study import explain

pytestmark = pytest.mark.usefixtures("quiet_machine")
A, B = "the cat in the house", "a dog"
run = partial(command.run, "explain", A, B)


def test_the_map_and_what_is_said(tiny_checkpoint, tiny_model):
    out, _ = run("-m", tiny_checkpoint)
    found = explain(tiny_model, A, B, test=True)
    lines = out.splitlines()
    rows = len(found.a.labels)
    assert [line.split()[0] for line in lines[1 : rows + 1]] == [label.split()[0] for label in found.a.labels]
    shown = np.array([[float(v) for v in line[-6 * len(found.b.labels) :].split()] for line in lines[1 : rows + 1]])
    np.testing.assert_allclose(shown, found.matrix, atol=0.00501)
    assert lines[rows + 2 :] == str(found).splitlines()
    assert "\x1b" not in out


def test_all_levels_end_in_a_table(tiny_checkpoint):
    out, _ = run("-m", tiny_checkpoint, "--level", "all")
    table = [line.split() for line in out.splitlines()[-5:]]
    assert [row[0] for row in table] == ["level", "output", "input", "integrated", "deletion"]
    assert table[0][1:] == ["residual", "tokens", "pairs", "curve"] and len(table[1]) == 5 and len(table[4]) == 2


def test_json_holds_all(tiny_checkpoint, tiny_model):
    found = json.loads(run("-m", tiny_checkpoint, "--json", "--level", "all", "--bias", "spread")[0])
    assert list(found["levels"]) == ["output", "input", "integrated", "deletion"]
    one, same = found["levels"]["input"], explain(tiny_model, A, B, "input", bias="spread")
    np.testing.assert_array_equal(one["matrix"], same.matrix)
    assert one["rows"] == list(same.a.labels) and one["residual"] == same.residual and found["score"] == same.score
    assert one["test"]["tokens"] == pytest.approx(explain(tiny_model, A, B, test=True).test.tokens)
    assert json.loads(run("-m", tiny_checkpoint, "--json", "--no-test")[0])["levels"]["input"]["test"] is None


def test_a_test_that_cannot_tell_is_null(tiny_checkpoint):
    out, _ = command.run("explain", "cat", "dog", "-m", tiny_checkpoint, "--json")
    assert json.loads(out)["levels"]["input"]["test"]["tokens"] is None


def test_colours_are_asked_for(tiny_checkpoint, monkeypatch):
    plain, _ = run("-m", tiny_checkpoint, "--no-test")
    for depth in ("256", "truecolor"):
        coloured, _ = run("-m", tiny_checkpoint, "--no-test", "--color", depth)
        assert "\x1b[" in coloured and ANSI.sub("", coloured) == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert run("-m", tiny_checkpoint, "--no-test")[0] == plain


@pytest.mark.parametrize("columns", ["20", "47", "80"])
def test_it_fits_a_narrow_terminal(tiny_checkpoint, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    out, _ = run("-m", tiny_checkpoint, "--no-test")
    head = out.split("\n\ncosine")[0]
    assert max(map(len, head.splitlines())) <= int(columns) and out.count("(bias)") == 1 + head.count("\n\n") + 1


def test_pairs_of_a_cross_encoder(tmp_path):
    folder = golden_heads.write_checkpoint("bert", "classifier", tmp_path / "m")
    out, _ = run("-m", folder, "--cross-encoder", "--level", "all")
    assert "score" in out and "the score is the logit" in out
    _, err = run("-m", folder, "--cross-encoder", code=1)
    assert "a cross-encoder has none: use 'integrated' or 'deletion'" in err


def test_what_is_wrong_is_said_in_a_line(tiny_checkpoint):
    _, err = run("-m", tiny_checkpoint, "--dtype", "int8", code=1)
    assert "computes in int8" in err.splitlines()[-1]
    _, err = run("-m", tiny_checkpoint, "--prompt-names", "query", "nothing", code=1)
    assert "'nothing' is not among the checkpoint's prompts" in err
    run("-m", tiny_checkpoint, "--level", "L2", code=2)


def test_terminals_do_not_obey_pieces():
    lines = token_map(np.array([[1.0, -1.0]]), ["\x1b[31mred"], ["a\u202eb", "中文字" * 3], "never", 80)
    assert lines[1].startswith("\ufffd[31mred") and "\x1b" not in "".join(lines) and "\u202e" not in "".join(lines)
    assert wide(lines[0]) <= wide(lines[1]) and printable("a\nb") == "a\ufffdb"
    for text in ("", "中文字", "e\u0301e\u0301e\u0301", "abcdefgh"):
        assert wide(fitted(text, 4)) == 4
    assert token_map(np.zeros((0, 3)), [], ["a", "b", "c"], "never", 80) == []
