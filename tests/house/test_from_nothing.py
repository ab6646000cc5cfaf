"""docs/from-nothing.md: its figures are those that were measured and hold what is promised; its texts are sound."""

import importlib
import json
import sys

import pytest
from places import ROOT

DOCS = ROOT / "docs"
FIGURES = json.loads((DOCS / "from-nothing.json").read_text(encoding="utf-8"))
PAGE = " ".join((DOCS / "from-nothing.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def lesson():
    pytest.importorskip("matplotlib")
    sys.path.insert(0, str(DOCS))
    try:
        yield importlib.import_module("train_from_nothing")
    finally:
        sys.path.remove(str(DOCS))


def test_it_learns():
    assert FIGURES["after"] <= FIGURES["unigram_entropy"] - 1.0 < FIGURES["before"]
    assert FIGURES["ndcg"] == sorted(FIGURES["ndcg"])
    for exercise in ("files and times", "cooking and programming"):
        learned = FIGURES[exercise]["sentences learned"]
        assert learned["within"] > learned["across"]
    before, after = (FIGURES["files and times"][stage] for stage in ("nothing learned", "sentences learned"))
    assert before["within"] - before["across"] < 0.05 and after["neighbours"] >= 9


def test_the_figures_of_the_page():
    count = FIGURES
    assert f"{count['documents']:,} documents" in PAGE and f"{count['words']:,} words" in PAGE
    assert f"{count['texts']:,} texts" in PAGE and f"{count['pairs']:,} pairs" in PAGE
    assert f"from {count['before']:.2f} to {count['after']:.2f}" in PAGE
    assert f"{count['unigram_entropy']:.2f} nats" in PAGE
    assert f"{count['unigram_entropy'] - count['after']:.1f} nats lower" in PAGE
    first, second, third = (f"{score:.2f}" for score in count["ndcg"])
    assert (
        f"is {count['ndcg_before']:.2f} for the model that has learned only words, and {first}, {second} and {third}"
        in PAGE
    )
    for name in ("files and times", "cooking and programming"):
        for stage, facts in count[name].items():
            row = f"| {name}, {stage} | {facts['within']:.2f} | {facts['across']:.2f} | {facts['neighbours']} of 10 |"
            assert row in PAGE
    for gap, words in count["gaps"].items():
        assert f"| {gap} | {', '.join(words)} |" in PAGE


def test_the_commands_of_the_page(lesson):
    text = PAGE.replace("\\ ", "")
    for command in lesson.COMMANDS.values():
        assert f"minembed {command}" in text


def test_documents_become_texts_and_pairs(lesson, tmp_path, monkeypatch):
    first = ["A line of a file. Nothing at the end. Never waits.", "It is a text of words."]
    text = "\n\n".join(first)
    code = f'class FileReader:\n    "Reads files."\n\n    def readOneLine(self):\n        {text!r}\n'
    (tmp_path / "sound.py").write_text(code)
    (tmp_path / "broken.py").write_text("def (")
    monkeypatch.setattr("standard_library.sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setattr(lesson, "topics", lambda: {"if": ["one two three four", "five six seven"]})
    monkeypatch.setattr(lesson, "PIECE", 6)
    known = lesson.documents()
    assert known == [("sound file reader read one line", first), ("", ["one two three four", "five six seven"])]
    assert lesson.pieces(known) == [
        "A line of a file. Nothing",
        "at the end. Never waits.",
        "It is a text of words.",
        "one two three four",
        "five six seven",
    ]
    assert lesson.pairs(known) == [
        ("sound file reader read one line", first[0]),
        (first[0], first[1]),
        ("A line of a file.", "Nothing at the end. Never waits."),
        ("one two three four", "five six seven"),
    ]
    assert lesson.in_words(["email", "MIMEPart", "_make_boundary2"]) == "email mime part make boundary2"
