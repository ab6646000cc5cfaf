"""The pages on vector stores are short, alike, and their tables say what was measured; make test-stores runs them."""

import importlib
import json

import numpy as np
import pytest
from places import ROOT
from store_checks import K, compared, hold
from store_expected import EXPECTED, Approximate, Exact
from store_pages import FIGURES, FOLDER, OVERVIEW, PARTS, STORES, digest, lines_of_code, page_of
from store_tables import written

MOST_LINES = 40  # of the program: what a reader takes over
MOST_LINES_SMALLER = 25  # of the part on smaller vectors, which is beside it


def test_every_page_is_a_store():
    assert {page.stem for page in FOLDER.glob("*.md")} == set(STORES)


@pytest.mark.parametrize("store", STORES)
def test_pages_are_short_and_alike(store):
    parts = page_of(store).parts
    *program, smaller = PARTS
    assert [part for part in parts if part != smaller] == program
    assert sum(lines_of_code(parts[part]) for part in program) <= MOST_LINES
    assert lines_of_code(parts.get(smaller, "")) <= MOST_LINES_SMALLER
    assert all(len(line) <= 120 for part in parts.values() for line in part.splitlines())


@pytest.mark.parametrize("store", STORES)
def test_the_figures_are_of_this_program(store):
    """A page that was changed has to be run again."""
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    assert store not in figures or figures[store]["program"] == digest(page_of(store)), "run make test-stores"


def test_the_tables_are_of_the_figures():
    page = OVERVIEW.read_text(encoding="utf-8")
    assert written(page, json.loads(FIGURES.read_text(encoding="utf-8"))) == page


def test_every_store_is_held_to_something():
    assert list(EXPECTED) == list(STORES)
    for store in EXPECTED.values():
        for search in (store.plain, store.filtered, *store.others.values()):
            assert isinstance(search, Exact) or (0.5 <= search.recall < 1 and search.reason)


@pytest.fixture(scope="module")
def corpus():
    rng = np.random.default_rng(5)
    vectors, queries = rng.standard_normal((40, 6), dtype=np.float32), rng.standard_normal((3, 6), dtype=np.float32)
    unit = [
        rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (vectors.astype(float), queries.astype(float))
    ]
    scores = unit[1] @ unit[0].T
    ids = np.arange(40) * 3
    found = [[(int(ids[i]), float(row[i])) for i in np.argsort(-row)] for row in scores]
    return vectors, queries, ids, found


def best(found):
    return [own[:K] for own in found]


def test_the_true_neighbours_pass(corpus):
    vectors, queries, ids, found = corpus
    facts = hold("a store", compared(best(found), queries, vectors, ids), Exact(1e-12))
    assert facts["recall"] == 1 and facts["same_order"] == 3 and facts["complete"]


@pytest.mark.parametrize("fault", ["lost", "swapped", "short", "score"])
def test_every_fault_is_seen(corpus, fault):
    vectors, queries, ids, found = corpus
    own = list(found[1])
    own = {
        "lost": own[:4] + own[5 : K + 1],
        "swapped": [own[1], own[0], *own[2:K]],
        "short": own[: K - 1],
        "score": [(own[0][0], own[0][1] + 1e-3), *own[1:K]],
    }[fault]
    facts = compared([found[0][:K], own, found[2][:K]], queries, vectors, ids)
    with pytest.raises(AssertionError, match="a store is not"):
        hold("a store", facts, Exact(1e-6))
    if fault in ("lost", "short"):
        assert facts["recall"] == 29 / 30
        with pytest.raises(AssertionError, match="a store is not"):
            hold("a store", facts, Approximate(0.99, "so"))


def test_a_row_that_is_not_there(corpus):
    vectors, queries, ids, found = corpus
    with pytest.raises(KeyError):
        compared([[(1, 0.5)], *best(found)[1:]], queries, vectors, ids)


@pytest.fixture
def passages(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    module = importlib.import_module("passages")
    monkeypatch.setattr(module, "PASSAGES", 6)
    monkeypatch.setattr(module, "QUERIES", 2)
    return module


def test_passages_and_queries_are_apart(passages, monkeypatch, tmp_path):
    monkeypatch.setattr(passages, "found", lambda: ((f"m{i}", f"text {i}") for i in range(9)))
    passages.main(tmp_path / "new")
    lines = (tmp_path / "new" / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    kept = [1, 2, 3, 5, 6, 7]
    assert [json.loads(line) for line in lines] == [
        {"id": i, "module": f"m{n}", "text": f"text {n}"} for i, n in enumerate(kept)
    ]
    assert (tmp_path / "new" / "queries.txt").read_text(encoding="utf-8") == "text 0\ntext 4\n"


def test_too_few_passages(passages, monkeypatch):
    monkeypatch.setattr(passages, "found", lambda: iter([("m", "text")]))
    with pytest.raises(SystemExit, match="have 1 paragraphs, 8 are needed"):
        passages.passages_and_queries()
