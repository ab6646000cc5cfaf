"""The beginnings of texts, for people."""

import time
import tracemalloc

import pytest

from minembed.data.excerpt import LONGEST, PIECE, excerpt


def by_hand(text, most):
    line = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
    return line if len(line) <= most else line[: most - 3] + "..."


@pytest.mark.parametrize("most", [3, 10, 11, 12, 60])
def test_it_is_what_the_whole_text_begins_with(most, monkeypatch):
    texts = ["", " ", "a cat on a mat", "a cat on\t\n", "a cat on a \x1b[2J mat", "\u2028ab\x1c\x85c\u00a0d", "x" * 200]
    for piece in (1, 2, 3, 7, PIECE):
        monkeypatch.setattr("minembed.data.excerpt.PIECE", piece)
        for text in texts:
            assert excerpt(text, most) == by_hand(text, most)


@pytest.mark.parametrize("text", ["ab " * 7_000_000, "x" * 20_000_000, " " * 20_000_000, "\n" * 20_000_000 + "a"])
def test_a_long_text_takes_no_more_than_what_is_shown(text):
    tracemalloc.start()
    begin = time.perf_counter()
    found = excerpt(text)
    seconds, peak = time.perf_counter() - begin, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) <= LONGEST and peak < 2_000_000 and seconds < 5
