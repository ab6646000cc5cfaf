"""Bars of progress: on a terminal, for what takes more than a second, with a total where it is known."""

import io
import re

from minembed.runtime import progress
from minembed.runtime.progress import Counted, Progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run(monkeypatch, work, *, patience=0.0, screen=None, **options):
    """What three steps of a bar print: the stream is put in place here, since pytest has its own in each phase."""
    screen = screen or Terminal()
    with monkeypatch.context() as patch:
        patch.setattr("sys.stderr", screen)
        patch.setattr(progress, "PATIENCE", patience)
        with Progress(work, "text", **{"show": None, **options}) as bar:
            for _ in range(3 if work else 0):
                bar.advance(1)
    return screen.getvalue()


def test_short_work_is_silent(monkeypatch):
    assert run(monkeypatch, ["a"] * 3, patience=1.0) == ""


def test_longer_work_shows_how_much_of_how_much(monkeypatch):
    assert re.search(r"\b\d/3 \[\d\d:\d\d<", run(monkeypatch, Counted(iter("abc"), 3)))


def test_without_a_total_the_rate_is_shown(monkeypatch):
    assert re.search(r"\dtext \[\d\d:\d\d, ", run(monkeypatch, iter("abc")))


def test_few_steps_of_a_training_are_shown_from_the_first(monkeypatch):
    shown = run(monkeypatch, range(10), patience=60.0, at_once=True, done=7)
    assert "7/10 [" in shown and "6/10" not in shown


def test_pipes_see_nothing_unless_they_ask(monkeypatch):
    assert run(monkeypatch, range(10), screen=io.StringIO(), at_once=True) == ""
    assert "3/10" in run(monkeypatch, range(10), screen=io.StringIO(), show=True)


def test_no_work_is_silent(monkeypatch):
    assert run(monkeypatch, [], at_once=True) == ""
