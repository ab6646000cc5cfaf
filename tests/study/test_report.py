"""The page about two texts: what is on it is what was computed, it stays small, and no text becomes markup."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest
from command import run as minembed
from map_cases import hostile

from minembed import Embedder
from minembed.errors import InputError, InputTypeError
from minembed.study import explain, trace
from minembed.study.report import report
from minembed.study.report.corpus import corpus_of
from minembed.study.report.packing import fitted_shares

A, B = "a cat and a dog", "unbelievable bread in the oven"
OTHERS = ["the river", "a dog and a cat", "bread", "rivers and bread in an oven"]


class Blocks(HTMLParser):
    """The blocks of a page, and which tags it has."""

    def __init__(self, text):
        super().__init__()
        self.found, self.tags, self.name = {}, [], None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.name = dict(attributes).get("id") if tag == "script" else None

    def handle_endtag(self, tag):
        self.name = None

    def handle_data(self, data):
        if self.name:
            self.found[self.name.removeprefix("data-")] = zlib.decompress(base64.b64decode(data))


def read(page):
    blocks = Blocks(page)
    return json.loads(blocks.found["facts"]), blocks


@pytest.fixture(scope="module")
def tiny(tiny_checkpoint):
    return Embedder.load(tiny_checkpoint, backend="numpy")


@pytest.fixture(scope="module")
def page(tiny):
    return report(tiny, A, B, corpus=OTHERS).html()


def test_levels_are_those_of_explain(tiny, page):
    facts, blocks = read(page)
    assert [level["name"] for level in facts["levels"]] == ["output", "input", "integrated", "deletion"]
    for i, level in enumerate(facts["levels"]):
        found = explain(tiny, A, B, level["name"])
        stored = np.frombuffer(blocks.found[f"level{i}"], "<i2").reshape(found.matrix.shape) * level["step"]
        np.testing.assert_allclose(stored, found.matrix, atol=0.51 * level["step"])
        assert level["labels"] == [list(found.a.labels), list(found.b.labels)]
        assert level["sum"] == pytest.approx(found.sum, abs=1e-9) and level["adds"] == (level["name"] != "deletion")
    assert facts["score"] == pytest.approx(float(tiny.similarity(tiny.encode([A]), tiny.encode([B]))[0, 0]), abs=1e-6)


def test_attention_layers_and_heads_are_the_models(tiny, page):
    facts, blocks = read(page)
    for side, text in enumerate((A, B)):
        t = trace(tiny, text)
        n = len(t.pieces)
        stored = np.frombuffer(blocks.found[f"shares{side}"], np.uint8).reshape(2, -1, n, n)
        exact = np.stack([t[f"layer.{i}.probabilities"] for i in range(2)])
        np.testing.assert_allclose((stored / 255) ** 2, exact, atol=1 / 255)
        assert facts["sides"][side]["pieces"] == list(t.pieces)
    assert len(facts["layers"]["scores"]) == 3 and facts["layers"]["scores"][-1] == pytest.approx(
        facts["score"], abs=1e-6
    )
    changes = np.array(facts["heads"]["changes"])
    assert changes.shape == (2, tiny.config.num_attention_heads) and np.abs(changes).max() > 1e-4
    layer, head = facts["strongest"]
    assert abs(changes[layer, head]) == np.abs(changes).max()


def test_the_corpus_explains_any_two_of_its_texts(tiny, page):
    facts, blocks = read(page)
    corpus, texts = facts["corpus"], [A, B, *OTHERS]
    assert corpus["texts"] == texts
    vectors = tiny.encode(texts)
    a, b, c = corpus["axes"]
    assert (b, c) == (0, 0)  # few texts: a byte a number
    codes = np.frombuffer(blocks.found["codes"], np.int8).reshape(-1, a) * np.frombuffer(blocks.found["steps"], "<f4")
    states = codes * np.frombuffer(blocks.found["sizes"], "<f4")[:, None]
    means = np.add.reduceat(states, corpus["offsets"][:-1], axis=0) / np.diff(corpus["offsets"])[:, None]
    means /= np.array(corpus["lengths"])[:, None]
    off = np.abs(means @ means.T - vectors @ vectors.T)
    assert off.max() < 0.02 and corpus["error"] <= off.max() + 1e-9
    assert len(np.frombuffer(blocks.found["points"], "<u2")) == 2 * len(texts)


@pytest.mark.weights
@pytest.mark.slow
def test_the_real_model_and_the_size_of_its_pages(minilm):
    found = report(minilm, "A cat sleeps on the sofa.", "A kitten is napping on the couch.", levels=("output", "input"))
    assert found.explanations[1].residual < 1e-6 and found.explanations[1].pairs(1)[0][:2] == ("cat", "kitten")
    assert len(found.html()) < 200_000


@pytest.mark.weights
@pytest.mark.slow
def test_long_texts_of_the_real_model_fit():
    model = Embedder.load("all-MiniLM-L6-v2", backend="numpy", max_seq_length=512)
    long = [" ".join(f"{word} {i}" for i in range(250)) for word in ("bread", "river")]
    page = report(model, *long).html()
    facts, _ = read(page)
    assert len(page) < 5_000_000 and facts["attention"]["most"][0] >= 4
    assert facts["heads"]["changes"] is None and "128 tokens" in facts["heads"]["note"]


def test_shares_fit_into_their_room():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(64, 0.3), (2, 3, 64)).astype(np.float32)
    values, keys, most = fitted_shares(p, 100_000)
    assert most == 0 and not keys
    values, keys, most = fitted_shares(p, 12_000)
    assert 4 <= most < 64 and len(values) + len(keys) <= 12_000
    places = np.frombuffer(zlib.decompress(base64.b64decode(keys)), "<u2").reshape(2, 3, 64, most)
    np.testing.assert_allclose(np.sort(np.take_along_axis(p, places.astype(int), -1)), np.sort(p)[..., -most:], atol=0)
    with pytest.raises(ValueError, match="64 tokens"):
        fitted_shares(p, 100)


@pytest.mark.filterwarnings("ignore::minembed.errors.TruncationWarning")
def test_no_text_becomes_markup(tiny):
    texts = [text[:50] for text in hostile(60)]
    plain = Blocks(report(tiny, A, B, levels=["output"]).html())
    for a, b in zip(texts[:12:2], texts[1:12:2], strict=True):
        page = report(tiny, a, b, levels=["output"]).html()
        blocks = Blocks(page)
        assert blocks.tags == plain.tags
        page.encode()  # no lone surrogate
    page = report(tiny, A, B, corpus=texts, levels=["output"]).html()
    for name, block in re.findall(r'<script type="application/octet-stream" id="data-(\w+)">(.*?)</script>', page):
        assert re.fullmatch(r"[A-Za-z0-9+/=]*", block), name
    assert len(read(page)[0]["corpus"]["texts"]) == 62


def test_what_is_refused(tiny, tmp_path):
    with pytest.raises(InputTypeError, match="report takes an Embedder, not str"):
        report("all-MiniLM-L6-v2", A, B)
    with pytest.raises(InputTypeError, match="b must be a str"):
        report(tiny, A, 3)
    with pytest.raises(InputError, match=r"page holds the states of 68,750: take fewer texts"):
        corpus_of(tiny, ["a cat and a dog"] * 12_000)
    minembed("report", A, B, "-o", tmp_path / "x.txt", "-m", tiny.checkpoint.folder, code=2)
    assert not list(tmp_path.iterdir())


def test_the_command(tiny, tmp_path):
    (tmp_path / "corpus.txt").write_text("\n".join(OTHERS))
    out, _ = minembed(
        *("report", A, B, "-o", tmp_path / "r.html", "--corpus", tmp_path / "corpus.txt"),
        *("-m", tiny.checkpoint.folder, "--title", "<b>mine"),
    )
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert out.startswith("cosine ") and "<title>&lt;b&gt;mine</title>" in page
    assert read(page)[0]["corpus"]["texts"] == [A, B, *OTHERS]
