"""Traces and explanations as HTML: inert whatever a text says, small, and with the numbers that they claim."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import static_cases
from map_cases import hostile

from minembed import Embedder
from minembed.errors import InputError
from minembed.study import explain, trace
from minembed.study.notebook import explanation_html, trace_html
from minembed.study.report import report

TAGS = {"div", "p", "b", "bdi", "br", "figure", "figcaption", "svg", "text", "rect", "title", "details", "summary"}
TAGS |= {"table", "tr", "th", "td"}
NAMES = {"x", "y", "width", "height", "viewbox", "role", "aria-label", "fill", "fill-opacity", "text-anchor"}
NAMES |= {"font-family", "font-size", "transform"}


class Reader(HTMLParser):
    """What a browser would read: tags, attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.texts, self.open = set(), [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += attrs
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return Embedder.load(tiny_checkpoint, backend="numpy")


def check_inert(page):
    read = Reader(page)
    assert read.tags <= TAGS and not read.open
    assert {name for name, _ in read.attributes} <= NAMES
    assert not any(re.search(r"https?:|javascript:|url\(", value) for _, value in read.attributes)
    return read


def test_hostile_texts_stay_texts(model):
    t = trace(model, "a cat", names="*.probabilities")
    for text in hostile(80):
        page = trace_html(replace(t, text=text, pieces=(text, "a", text[::-1], "##b")))
        read = check_inert(page)
        shown = text if len(text) <= 200 else text[:199] + "…"
        assert "".join(shown.split()) in "".join("".join(read.texts).split())


def test_the_picture_has_the_shares(model):
    t = trace(model, "a cat and a dog")
    for layer, head, p in ((1, None, t["layer.1.probabilities"].mean(axis=0)), (0, 2, t["layer.0.probabilities"][2])):
        page = trace_html(t, layer, head)
        found = np.array(re.findall(r'fill-opacity="([\d.]+)"', page), dtype=float).reshape(p.shape)
        np.testing.assert_allclose(found, np.sqrt(p / p.max()), atol=0.00501)  # two decimals
        assert f"attention of layer {layer}, {'mean of its heads' if head is None else f'head {head}'}" in page
    assert t._repr_html_() == trace_html(t, 1) and all(name in t._repr_html_() for name in t)


def test_it_is_small_and_says_what_is_left_out(model):
    page = trace(model, "cat dog " * 15)._repr_html_()
    assert len(page) < 150_000 and "the first 24 tokens" in page and page.count("<rect") == 24 * 24
    check_inert(page)


def test_what_was_not_kept(model, tmp_path):
    vector = trace(model, "a cat", names="vector")
    assert "<svg" not in vector._repr_html_() and "1 results" in vector._repr_html_()
    with pytest.raises(InputError, match=r"layer\.0\.probabilities is not in the trace"):
        trace_html(vector, 0)
    static = Embedder.load(static_cases.write_static(tmp_path / "s", next(iter(static_cases.STATIC))))
    check_inert(trace(static, "hello")._repr_html_())


def test_an_explanation_shows_its_numbers(model):
    found = explain(model, "a cat and a dog", "the river", test=True)
    page = found._repr_html_()
    read = check_inert(page)
    text = "".join(read.texts)
    assert f"{found.similarity} {found.score:.4f}" in text and f"residual {found.residual:.1e}" in text
    values = [float(value) for value in re.findall(r"<title>([+-][0-9.]+) ", page)]
    np.testing.assert_allclose(values, found.matrix.reshape(-1), atol=5.1e-5)
    colours = re.findall(r'fill="(#\w+)"', page)
    assert [colour == "#2878b5" for colour in colours] == (found.matrix.reshape(-1) >= 0).tolist()
    assert "first 24 rows" not in text and "first 24 rows" in explanation_html(explain(model, "cat " * 28, "a dog"))


def test_explanations_of_hostile_texts_stay_texts(model):
    found = explain(model, "a cat", "a dog", "output")
    for text in hostile(80):
        pieces = tuple(text[i : i + 9] for i in range(len(found.a.pieces)))
        check_inert(replace(found, a=replace(found.a, text=text, pieces=pieces))._repr_html_())


def test_a_report_shows_its_levels(model):
    page = report(model, "a cat", "a dog", levels=("output", "input"))._repr_html_()
    check_inert(page)
    assert page.count("<svg") == 2 and "by output" in page and "by input" in page
