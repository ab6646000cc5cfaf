"""Maps as files: the page's safety and size, pictures, and `minembed map`."""

import base64
import csv
import hashlib
import json
import re
import struct
import sys
import xml.etree.ElementTree as ET
from importlib.util import find_spec
from io import BytesIO

import numpy as np
import pytest
from command import run
from examples import heavy
from map_cases import MARKUP, Tags, blobs, facts_of, hostile
from places import ROOT

from minembed.errors import InputError, SourceError
from minembed.maps import Map
from minembed.maps import page as page_module
from minembed.maps.page import page
from minembed.runtime.pages import fill

pytestmark = pytest.mark.usefixtures("quiet_machine")
TEXTS = ["the cat", "a dog in the house", "", "rain on the river", "book train code", "Größe 中文 🙂", "the cat"]
NUMPY = ["--backend", "numpy"]
PICTURES = pytest.mark.skipif(not find_spec("matplotlib"), reason="needs matplotlib, of the extra viz")
LEARNS = pytest.mark.skipif(not find_spec("sklearn"), reason="needs scikit-learn, of the extra viz")


def chart(texts, labels=None, width=7, **options):
    return Map.of(blobs(len(texts), width)[0], texts, labels=labels, method="pca", clusters=None, **options)


def arrays_of(text):
    kinds = {"points": "<u2", "near": "<u2", "cosines": "<i2", "groups": "u1", "codes": "u1", "steps": "<f4"}
    return {
        name: np.frombuffer(base64.b64decode(re.search(rf'id="data-{name}">([^<]*)<', text)[1]), kind)
        for name, kind in kinds.items()
    }


# --- the page -------------------------------------------------------------------------------------------------------


def test_a_page_allows_its_own_script_and_style_and_nothing_else():
    text = page(chart(["a", "b", "c"]))
    found = Tags(text)
    meta = next(attrs for tag, attrs in found.tags if tag == "meta" and "http-equiv" in attrs)
    rules = dict(rule.strip().split(" ", 1) for rule in meta["content"].split(";"))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    for name in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(found.inside[name].encode()).digest()).decode()
        assert rules.pop(f"{name}-src") == f"'sha256-{digest}'"
    assert not rules
    code = [attrs for tag, attrs in found.tags if tag == "script"]
    assert sum("type" not in attrs for attrs in code) == 1  # one is run; the others are data
    for tag, attrs in found.tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
        assert not {"src", "href", "style", "srcset", "action"} & set(attrs)
        assert not any(name.startswith("on") for name in attrs)
    assert not re.search(r"https?://(?!www\.w3\.org/)", text) and "//cdn" not in text
    script = found.inside["script"]
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "import(",
    ):
        assert word not in script


def test_hostile_strings_are_nowhere_in_a_page():
    texts = hostile(400)
    harmless = Tags(page(chart(["a"] * 400, ["b"] * 400)))
    text = page(chart(texts, texts, model=MARKUP[0] + MARKUP[8], label_name=MARKUP[1]))
    found = Tags(text)
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in harmless.tags]
    assert found.inside["script"] == harmless.inside["script"] and found.inside["style"] == harmless.inside["style"]
    assert found.inside["title"].startswith("400 texts · PCA · </script><script>window.hacked=1")  # escaped, so a text
    carried = facts_of(text)
    assert len(carried["texts"]) == 400 and carried["texts"][1] == MARKUP[1]
    assert all("\u202e" not in shown and "\u2028" not in shown for shown in carried["texts"])
    assert carried["texts"][0].endswith("… (100,000 characters)")


def test_a_page_carries_the_map():
    texts = [f"text {i}" for i in range(30)]
    made = chart(texts, ["even" if i % 3 else "third" for i in range(30)])
    text = page(made)
    facts, arrays = facts_of(text), arrays_of(text)
    assert facts["texts"] == texts and facts["names"] == ["even", "third"] and facts["trust"] == made.trust_line
    assert arrays["groups"].tolist() == made.groups.labels.tolist()
    places, points = arrays["points"].reshape(30, 2).astype(float), made.projection.points
    scale = 65535 / np.ptp(points, axis=0).max()  # one for both axes
    np.testing.assert_allclose(np.diff(places, axis=0), np.diff(points, axis=0) * scale, atol=1.01)
    unit = made.vectors / np.linalg.norm(made.vectors, axis=1, keepdims=True)
    cosines = np.where(np.eye(30, dtype=bool), -2, unit @ unit.T)
    near = np.argsort(-cosines, axis=1)[:, :10]
    assert arrays["near"].reshape(30, 10).tolist() == near.tolist()
    expected = np.take_along_axis(cosines, near, axis=1)
    np.testing.assert_allclose(arrays["cosines"].reshape(30, 10) / 32767, expected, atol=2e-5)
    assert arrays["codes"].shape == (30 * 7,) and facts["axes"] == [7, 0, 0] and facts["error"] < 0.02


def test_the_same_map_is_the_same_page():
    assert page(chart(TEXTS)) == page(chart(TEXTS))


def test_long_texts_are_cut_until_they_fit(monkeypatch):
    rng = np.random.default_rng(0)
    texts = ["".join(map(chr, rng.integers(0x4E00, 0x9FFF, 3000))) for _ in range(40)]
    whole = page(chart(texts))
    assert len(facts_of(whole)["texts"][0]) == 3000
    limit = len(whole) - 150_000
    monkeypatch.setattr(page_module, "SIZE", limit)
    small = page(chart(texts))
    assert len(small) <= limit and 100 < len(facts_of(small)["texts"][0]) < 3000
    monkeypatch.setattr(page_module, "MOST", 39)
    with pytest.raises(InputError, match="up to 39 points, not 40: draw a sample"):
        page(chart(texts))


def test_many_points_have_coarser_vectors(monkeypatch):
    monkeypatch.setattr(page_module, "CODES", 40 * 12)
    facts = facts_of(page(chart(["a"] * 40, width=48)))
    assert facts["bytes"] == 12 and facts["axes"] == [2, 12, 16] and facts["error"] > 0.02


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_pages_of_a_few_points(n, dimensions):
    made = Map.of(np.eye(3)[:n], ["x"] * n, method="pca", dimensions=dimensions)
    assert len(arrays_of(page(made))["points"]) == n * dimensions
    assert ("too few points" in made.trust_line) == (n < 3)
    equal = Map.of(np.ones((n, 3)), ["x"] * n, method="pca", dimensions=dimensions)
    assert len(set(arrays_of(page(equal))["points"])) == 1 and "all points are equal" in equal.trust_line


def test_values_are_put_in_once():
    assert fill("{{a}}-{{b}}", {"a": "{{b}}", "b": "{{a}}"}) == "{{b}}-{{a}}"


@pytest.mark.parametrize(
    ("texts", "labels", "message"),
    [
        (["a"], None, "there are 3 vectors and 1 texts"),
        ("abc", None, "every vector needs one of texts"),
        (["a", "b", 3], None, "texts[2] is int, not str"),
        (["a", "b", "c"], "xyz", "labels is str; give a list or other iterable of labels"),
        (["a", "b", "c"], ["x"], "3 vectors and 1 labels"),
    ],
)
def test_texts_that_do_not_fit(texts, labels, message):
    with pytest.raises(InputError) as error:
        Map.of(np.eye(3), texts, labels=labels, method="pca")
    assert message in str(error.value)


def test_the_figures_of_the_docs():
    docs = ROOT / "docs"
    words = " ".join((docs / "maps.md").read_text(encoding="utf-8").split())
    figures = json.loads((docs / "maps.json").read_text(encoding="utf-8"))
    assert f"{figures['texts']:,} texts" in words and figures["texts"] >= 5000
    rows = {name: facts for name, facts in figures.items() if isinstance(facts, dict) and "room" in facts}
    assert len(rows) == 8
    for name, facts in rows.items():
        row = f"| {name} | {facts['trustworthiness']:.3f} | {facts['continuity']:.3f} | {facts['kept']:.0%} |"
        row += f" {facts['distances']:.2f} |"
        assert row in words
        assert "," in name or f"{row} {facts['room']:.2f} |" in words
    plane, space = (sum(figures[name]["shares"]) for name in ("PCA", "PCA, 3 axes"))
    assert f"show {plane:.1%} of the variance (three show {space:.1%})" in words
    example = next(one for one in figures["torn"] if one["texts"][0] in words)
    assert f'"{example["texts"][0]}" is "{example["texts"][1]}" (cosine {example["cosine"]})' in words
    assert f"{example['rank']:,} points lie between" in words
    assert f"tells them apart: {figures['noise']['trustworthiness']} instead of" in words


# --- pictures -------------------------------------------------------------------------------------------------------


@PICTURES
@pytest.mark.parametrize("kind", ["png", "svg"])
@pytest.mark.parametrize(("n", "dimensions"), [(1, 2), (30, 3), (2100, 2), *heavy([(2, 2), (30, 2)])])
def test_pictures(n, dimensions, kind):
    vectors = blobs(n)[0]
    made = Map.of(
        vectors,
        [f"text {i}" for i in range(n)],
        method="pca",
        dimensions=dimensions,
        labels=["a", "b"] * (n // 2) + ["a"] * (n % 2),
    )
    first, again = BytesIO(), BytesIO()
    made.write(first, kind)
    made.write(again, kind)
    assert first.getvalue() == again.getvalue() and len(first.getvalue()) < 700_000
    if kind == "png":
        assert struct.unpack(">II", first.getvalue()[16:24]) == (1650, 1080)
    else:
        assert ET.fromstring(first.getvalue()).tag.endswith("svg")


@PICTURES
def test_hostile_strings_in_a_picture():
    texts = hostile(40)
    for n in (20, 40):  # few points have their texts beside them
        for kind in ("png", "svg"):
            file = BytesIO()
            chart(texts[:n], texts[:n], model="$\\frac{</text>" + MARKUP[0]).write(file, kind)
            if kind == "svg":
                tags = {element.tag.rpartition("}")[2] for element in ET.fromstring(file.getvalue()).iter()}
                assert not tags & {"script", "foreignObject", "a", "iframe"}
                names = {name for element in ET.fromstring(file.getvalue()).iter() for name in element.keys()}
                assert not any(name.startswith("on") for name in names)


@PICTURES
def test_names_do_not_cover_each_other():
    from minembed.maps import picture

    fig = picture.figure((5, 5))
    axes = fig.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    picture.write(axes, np.full((20, 2), 0.01), [f"a rather long name {i}" for i in range(20)], 9, "normal")
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) >= 3 and all(not a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    frame = axes.get_window_extent()
    assert all(box.x0 >= frame.x0 - 1 for box in boxes)


# --- the command ----------------------------------------------------------------------------------------------------


SKIP = ["--missing", "skip"]


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [("text", "kind"), *((text, "odd" if i % 2 else "even") for i, text in enumerate(TEXTS))]
        )
    return path


@pytest.fixture
def model(tiny_checkpoint):
    return [*NUMPY, "--model", tiny_checkpoint]


def test_map(corpus, model, tmp_path):
    out, err = run("map", corpus, *SKIP, "-o", tmp_path / "map.html", "--method", "pca", "--label", "kind", *model)
    facts = facts_of((tmp_path / "map.html").read_text(encoding="utf-8"))
    assert facts["texts"] == [text for text in TEXTS if text]
    assert facts["names"] == ["even", "odd"] and facts["origin"] == "kind (2 values)"
    made = arrays_of((tmp_path / "map.html").read_text(encoding="utf-8"))["groups"]
    assert made.tolist() == [0, 1, 1, 0, 1, 0]  # the blank text, which was even, has none
    assert out == "" and "placing 6 points ..." in err and "6 texts · PCA" in err and "trustworthiness" in err
    assert f"{tmp_path / 'map.html'}: 6 texts" in err


def test_map_reads_labels_of_every_format(tmp_path, model):
    rows = [{"text": text, "year": 1990 + i % 2, "none": None} for i, text in enumerate(TEXTS) if text]
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    run("map", path, "-o", tmp_path / "a.html", "--method", "pca", "--label", "year", *model)
    assert facts_of((tmp_path / "a.html").read_text(encoding="utf-8"))["names"] == ["1990", "1991"]
    run("map", path, "-o", tmp_path / "a.html", "--method", "pca", "--label", "none", *model)
    assert facts_of((tmp_path / "a.html").read_text(encoding="utf-8"))["names"] == ["(empty)"]
    path = tmp_path / "b.csv"
    path.write_text("what,kind\none,x\ntwo,y\nthree,y\n", encoding="utf-8")
    run("map", path, "-o", tmp_path / "b.html", "--method", "pca", "--label", "kind", "--field", "what", *model)
    facts = facts_of((tmp_path / "b.html").read_text(encoding="utf-8"))
    assert facts["texts"] == ["one", "two", "three"] and facts["names"] == ["y", "x"]
    if find_spec("pyarrow"):
        import pyarrow
        from pyarrow import parquet

        parquet.write_table(pyarrow.table({"text": ["one", "two"], "kind": ["x", "y"]}), tmp_path / "c.parquet")
        run("map", tmp_path / "c.parquet", "-o", tmp_path / "c.html", "--method", "pca", "--label", "kind", *model)
        assert facts_of((tmp_path / "c.html").read_text(encoding="utf-8"))["names"] == ["x", "y"]


def test_map_of_vectors_from_elsewhere(corpus, tmp_path):
    np.save(tmp_path / "v.npy", np.eye(len(TEXTS), dtype=np.float32))
    options = ["-o", tmp_path / "map.html", "--method", "pca", "--dimensions", 3, "--vectors", tmp_path / "v.npy"]
    run("map", corpus, *SKIP, *options)
    text = (tmp_path / "map.html").read_text(encoding="utf-8")
    assert facts_of(text)["dimensions"] == 3 and facts_of(text)["title"] == "6 texts · PCA · v.npy"
    run("map", corpus, *SKIP, *options, "--sample", 4, "--seed", 3)
    assert len(facts_of((tmp_path / "map.html").read_text(encoding="utf-8"))["texts"]) == 4
    np.save(tmp_path / "v.npy", np.eye(3))
    assert "has 3 vectors, and the corpus has a text 7" in run("map", corpus, *SKIP, *options, code=1)[1]
    np.save(tmp_path / "v.npy", np.full((7, 2), np.nan))
    assert "row 0 of the vectors holds NaN or infinity" in run("map", corpus, *SKIP, *options, code=1)[1]
    (tmp_path / "v.npy").write_bytes(b"no")
    assert "is not a .npy file" in run("map", corpus, *SKIP, *options, code=1)[1]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["-o", "a.pdf"], 2, "'a.pdf' must end in .html, .png, .svg"),
        (["--method", "pca"], 2, "Missing option '-o'"),
        (
            ["-o", "a.html", "--method", "pca", "--label", "colour"],
            1,
            "there is no column 'colour'; name one with --label:\n  text  'the cat'",
        ),
        (["-o", "a.html", "--clusters", "some"], 2, "'some' is neither a number nor one of"),
        (
            ["-o", "a.html", "--method", "pca", "--clusters", "99"],
            1,
            "a number of clusters goes with k-means, and is 1 to",
        ),
        (["-o", "a.html", "--perplexity", "50"], 1, "perplexity 50 does not fit 6 points"),
        (["-o", "a.html", "--method", "umap", "--dimensions", "3"], 1, "by method='pca' also 3"),
        (["-o", "no/folder/a.html", "--method", "pca"], 1, "No such file or directory"),
    ],
)
def test_map_refuses(options, code, message, corpus, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, err = run("map", corpus, *SKIP, *options, *model, code=code)
    assert message in err and not list(tmp_path.glob("a.*"))


def test_labels_that_are_not_there(tmp_path, model):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n", encoding="utf-8")
    _, err = run("map", path, "-o", tmp_path / "a.html", "--label", "kind", *model, code=1)
    assert "is a text a line, without columns: --label needs a table" in err
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "one", "kind": "x"}\n{"text": "two"}\n', encoding="utf-8")
    _, err = run("map", path, "-o", tmp_path / "a.html", "--label", "colour", *model, code=1)
    assert "a.jsonl: there is no column 'colour'; name one with --label:" in err
    run("map", path, "-o", tmp_path / "a.html", "--method", "pca", "--label", "kind", *model)
    assert facts_of((tmp_path / "a.html").read_text(encoding="utf-8"))["names"] == ["(empty)", "x"]


def test_too_many_points_are_refused_before_any_work(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(page_module, "MOST", 5)
    _, err = run("map", corpus, *SKIP, "-o", tmp_path / "a.html", "--method", "pca", "--model", "no/such", code=1)
    assert "a page holds up to 5 points, not 6" in err and "--sample 5" in err


@pytest.mark.parametrize("content", ["one\n", "one\ntwo\n", "same\nsame\nsame\n"])
def test_map_of_hardly_anything(content, tmp_path, model):
    path = tmp_path / "a.txt"
    path.write_text(content, encoding="utf-8")
    run("map", path, "-o", tmp_path / "a.html", "--method", "pca", *model)
    assert len(facts_of((tmp_path / "a.html").read_text(encoding="utf-8"))["texts"]) == content.count("\n")


@LEARNS
def test_map_by_tsne_says_when_it_is_pca(tmp_path, model):
    path = tmp_path / "a.txt"
    path.write_text("one\ntwo\n", encoding="utf-8")
    _, err = run("map", path, "-o", tmp_path / "a.html", *model)
    assert "fewer than 5 different vectors are too few for t-SNE: shown by PCA" in err and "2 texts · PCA" in err


@pytest.mark.parametrize(
    ("method", "ending", "package"),
    [("tsne", "html", "sklearn"), ("umap", "html", "umap"), ("pca", "svg", "matplotlib")],
)
def test_the_extra_is_named_before_any_work(method, ending, package, corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    _, err = run("map", corpus, *SKIP, "-o", tmp_path / f"a.{ending}", "--method", method, "--model", "no/such", code=1)
    assert "pip install 'minembed[viz]'" in err and len(err.splitlines()) == 2  # the first says what was read


@PICTURES
@pytest.mark.parametrize("kind", ["png", "svg"])
def test_the_heat_map_of_the_demo(kind, tmp_path, model):
    plain, _ = run("demo", *model)
    out, err = run("demo", *model, "-o", tmp_path / f"heat.{kind}")
    assert out == plain and "heat map" in err
    first = (tmp_path / f"heat.{kind}").read_bytes()
    run("demo", *model, "-o", tmp_path / f"heat.{kind}")
    assert first == (tmp_path / f"heat.{kind}").read_bytes()
    assert "must end in .png or .svg" in run("demo", *model, "-o", tmp_path / "heat.gif", code=2)[1]


def test_maps_are_written_whole_and_faults_are_named(tmp_path, monkeypatch):
    chart = Map.of([[0.0, 1.0], [1.0, 0.0]], ["up", "right"], method="pca", clusters=None)
    for bad, error in (("a\0.html", InputError), ("a\ud800.html", InputError), ("a" * 300 + ".html", SourceError)):
        with pytest.raises(error, match=r"cannot (name|write)"):
            chart.save(tmp_path / bad)
    (tmp_path / "map.html").write_text("the old one")
    monkeypatch.setattr("minembed.maps.saving.page", lambda chart: "\ud800")  # that no file can hold
    with pytest.raises(UnicodeEncodeError):
        chart.save(tmp_path / "map.html")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the old one"]
