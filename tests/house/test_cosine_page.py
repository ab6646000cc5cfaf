"""Every number of docs/cosine.md, computed anew from the real model."""

import csv
import re

import numpy as np
import pytest
from places import ROOT

from minembed import cosine_similarity
from minembed.evaluation.pairs import classify, spearman
from minembed.search.similarity import pairwise

DOCS = ROOT / "docs"
PAGE = " ".join((DOCS / "cosine.md").read_text(encoding="utf-8").split())
pytestmark = pytest.mark.weights


def of(value):
    """A cosine as the page writes it."""
    return f"{round(np.asarray(value).item(), 2) + 0.0:.2f}"


@pytest.fixture(scope="module")
def sentences():
    with (DOCS / "cosine_pairs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [r["sentence1"] for r in rows], [r["sentence2"] for r in rows], np.array([float(r["score"]) for r in rows])


def pooled(model, texts, layer):
    tokens, layers = model.tokenize(texts), {}
    model.forward(tokens, observe=lambda name, states: layers.update({name: states.copy()}))
    return np.add.reduceat(layers[layer], tokens.cu_seqlens[:-1], axis=0) / tokens.lengths()[:, None]


def test_the_table_of_grades(minilm, sentences):
    first, second, scores = sentences
    cosines = pairwise(minilm.encode(first), minilm.encode(second))
    assert len(first) == 36
    for grade in range(6):
        found = cosines[scores == grade]
        row = rf"\| {grade}, [^|]+ \| {len(found)} \| {of(found.mean())} \| {of(found.min())} \| {of(found.max())} \|"
        assert re.search(row, PAGE), row
    assert f"rank correlation {of(spearman(cosines, scores))})" in PAGE
    best = classify(cosines, scores >= 4)
    assert f"a cosine of {of(best.accuracy_threshold)}, right for {round(36 * best.accuracy)} of the 36" in PAGE
    worst = np.flatnonzero(scores >= 4)[cosines[scores >= 4].argmin()]
    assert f'"{first[worst]}" and "{second[worst]}" have {of(cosines[worst])}' in PAGE


def test_strangers(minilm, sentences):
    first, second, scores = sentences
    vectors = minilm.encode(first)
    all_pairs = cosine_similarity(vectors, vectors)
    strangers = all_pairs[np.triu_indices(36, 1)]
    low, high = np.percentile(strangers, [5, 95])
    assert f"Their {len(strangers)} pairs have a mean cosine of {of(strangers.mean())};" in PAGE
    assert f"nine in ten lie between {of(low)} and {of(high)}, one in a hundred is above 0.30" in PAGE
    assert 0.005 < (strangers > 0.3).mean() < 0.015 and f"the highest is {of(strangers.max())}:" in PAGE
    i, j = np.unravel_index(np.triu(all_pairs, 1).argmax(), (36, 36))
    assert f'"{first[i]}" and "{first[j]}"' in PAGE
    alike = pairwise(vectors, minilm.encode(second))[scores >= 4]
    best = classify(np.append(alike, strangers), [1] * len(alike) + [0] * len(strangers))
    assert f"from the 630 pairs of unrelated sentences, it is {of(best.accuracy_threshold)}." in PAGE


def test_one_layer_before(minilm, sentences):
    first, second, scores = sentences
    for layer, text in (
        ("layer.4", "now have a mean cosine of {}, and paraphrases (4 and 5) {},"),
        ("layer.5", "where the last layer had {} and {}."),
    ):
        a, b = (pooled(minilm, texts, layer) for texts in (first, second))
        cosines = pairwise(a, b)
        strangers = cosine_similarity(a, a)[np.triu_indices(36, 1)].mean()
        assert text.format(of(strangers), of(cosines[scores >= 4].mean())) in PAGE
        if layer == "layer.4":
            assert f"nearly as well (Spearman {of(spearman(cosines, scores))})" in PAGE


def test_what_a_cosine_does_not_see(minilm):
    text = (DOCS / "cosine.md").read_text(encoding="utf-8").replace("**", "")
    rows = re.findall(r"^\| ([A-Z][^|]+[.?]) \| ([^|]+\.) \| ([\d.]+) \|$", text, re.M)
    assert len(rows) == 6
    for first, second, cosine in rows:
        assert of(minilm.similarity(minilm.encode(first), minilm.encode(second))) == cosine, first
    for first, second, cosine in re.findall(r'"(\w+)"(?: and|,) "(\w+)"(?: give)? ([\d.]+)\b', PAGE):
        assert of(minilm.similarity(minilm.encode(first), minilm.encode(second))) == cosine, first


def test_length(minilm, sentences):
    one, others = sentences[0][2], [text for text in sentences[0] if text != sentences[0][2]]
    counts = (0, 1, 2, 4, 8, 16)
    for name, join in (("after", lambda rest: [one, *rest]), ("before", lambda rest: [*rest, one])):
        texts = [" ".join(join(others[:n])) for n in counts]
        found = minilm.similarity(minilm.encode(one), minilm.encode(texts))[0]
        assert f"| {name} | {' | '.join(map(of, found))} |" in PAGE


def test_distances():
    for cosine, distance, angle in ((0.9, 0.45, 26), (0.7, 0.77, 46), (0.5, 1, 60), (0.3, 1.18, 73), (0, 1.41, 90)):
        assert round(np.sqrt(2 - 2 * cosine), 2) == distance and round(np.degrees(np.arccos(cosine))) == angle
    lead = np.log(999) + np.log(99)
    assert f"that is {of(lead * 0.05)}, and" in PAGE and f"the E5 models it is {of(lead * 0.01)}," in PAGE
