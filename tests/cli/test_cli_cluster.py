"""`minembed cluster`, and the index of a file that search, dedupe, map and cluster share."""

import csv
import json
from importlib.util import find_spec

import numpy as np
import pytest
from command import leftovers, run
from tiny import write_tiny_checkpoint

from minembed import Embedder, Index
from minembed.runtime.folders import cache_folder

pytestmark = [
    pytest.mark.usefixtures("quiet_machine"),
    pytest.mark.skipif(not find_spec("sklearn"), reason="needs scikit-learn, of the extra viz"),
]
TEXTS = ["the cat", "rain on the river", "the cat", "rain on the river", "the cat"]
ROWS = [{"id": f"n{i}", "text": text, "tags": [i]} for i, text in enumerate(TEXTS)]
SKIP = ["--missing", "skip"]


@pytest.fixture
def model(tiny_checkpoint):
    return ["--backend", "numpy", "--model", tiny_checkpoint]


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def cached():
    folder = cache_folder() / "indexes"
    return len(list(folder.iterdir())) if folder.exists() else 0


def used(err):
    return [line for line in err.splitlines() if line.startswith("using the index of ")]


# --- cluster --------------------------------------------------------------------------------------------------------


def test_rows_come_with_their_cluster(notes, tmp_path, model):
    out, _ = run("cluster", notes, "-k", 2, "-o", tmp_path / "o.jsonl", *model)
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    which = [(0, "cat"), (1, "rain · river")]
    added = [{"cluster": c, "cluster_name": name, "cosine": 1.0} for c, name in (which[i % 2] for i in range(5))]
    assert rows == [{**row, **more} for row, more in zip(ROWS, added, strict=True)]
    assert out.splitlines() == [
        "5 texts in 2 clusters (k-means)",
        "",
        "0  cat  (3)",
        *["     the cat"] * 3,
        "",
        "1  rain · river  (2)",
        *["     rain on the river"] * 2,
    ]
    run("cluster", notes, "-k", 2, "-o", tmp_path / "o.csv", *model)
    with (tmp_path / "o.csv").open(newline="") as file:
        assert list(csv.reader(file))[:3] == [
            ["id", "text", "tags", "cluster", "cluster_name", "cosine"],
            ["n0", "the cat", "[0]", "0", "cat", "1.0"],
            ["n1", "rain on the river", "[1]", "1", "rain · river", "1.0"],
        ]
    assert leftovers(tmp_path) == []


@pytest.mark.skipif(not find_spec("pyarrow"), reason="needs the extra arrow")
@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_types_come_along(ending, tmp_path, model):
    import datetime

    import pyarrow
    from pyarrow import feather, parquet

    days = [datetime.date(2024, 2, 28), None, datetime.date(2024, 3, 1)]
    table = pyarrow.table({"day": days, "text": ["the cat", None, "rain on the river"]})
    parquet.write_table(table, tmp_path / "shop.parquet")
    run("cluster", tmp_path / "shop.parquet", "-k", 2, "-o", tmp_path / f"o.{ending}", *SKIP, *model)
    read = parquet.read_table if ending == "parquet" else feather.read_table
    found = read(tmp_path / f"o.{ending}")
    assert found.schema.types[0] == pyarrow.date32() and found.schema.names[2:] == ["cluster", "cluster_name", "cosine"]
    assert found.to_pydict() == {
        "day": days,
        "text": ["the cat", None, "rain on the river"],
        "cluster": [0, None, 1],
        "cluster_name": ["cat", None, "rain · river"],
        "cosine": [1.0, None, 1.0],
    }


def test_columns_that_are_kept(notes, tmp_path, model):
    run("cluster", notes, "-k", 2, "-o", tmp_path / "o.csv", "--keep", "id", *model)
    assert (tmp_path / "o.csv").read_text().splitlines()[:2] == ["id,cluster,cluster_name,cosine", "n0,0,cat,1.0"]
    notes.write_text('{"text": "one", "cluster": 3}\n')  # of an earlier run
    run("cluster", notes, "-k", 1, "-o", tmp_path / "o.csv", "--keep", "text", *model)
    assert (tmp_path / "o.csv").read_text() == "text,cluster,cluster_name,cosine\none,0,cluster 0,1.0\n"


def test_rows_without_a_text_are_in_no_cluster(tmp_path, model):
    (tmp_path / "shop.csv").write_text('id;text\n1;the cat\n2;\n3;"rain; on the river"\n')
    run("cluster", tmp_path / "shop.csv", "-k", 2, "-o", tmp_path / "o.csv", *SKIP, *model)
    assert (tmp_path / "o.csv").read_text().splitlines() == [
        "id,text,cluster,cluster_name,cosine",
        "1,the cat,0,cat,1.0",
        "2,,,,",
        "3,rain; on the river,1,rain · river,1.0",
    ]
    out, _ = run("cluster", "-", "-k", 1, "-o", tmp_path / "o.jsonl", *model, stdin="the cat\n\nthe cat\n")
    assert [json.loads(line)["text"] for line in (tmp_path / "o.jsonl").read_text().splitlines()] == ["the cat"] * 2
    assert out.startswith("2 texts in 1 cluster (")


def test_auto_says_what_it_chose_by(notes, model):
    out, err = run("cluster", notes, "--auto", *model)
    assert out.splitlines()[0] == "5 texts in 2 clusters (k-means; mean silhouette 1.000, the best of 1 tried)"
    assert "choosing the number of clusters ...\ndividing 5 vectors among 2 clusters ...\n" in err


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ([], 2, "how many clusters? Use -k N or --auto"),
        (["-k", 2, "--auto"], 2, "or --auto, not both"),
        (["-k", 2, "--method", "hdbscan"], 2, "hdbscan finds the number of clusters: omit -k"),
        (["-k", 2, "-o", "a.npy"], 1, "a.npy: its ending must be .csv, .tsv, .jsonl, .json, .parquet or .feather"),
        (["-k", 6], 1, "k is 6, and there are 5 texts"),
        (["-k", 2, "--keep", "id"], 2, "--keep chooses the columns of --output"),
        (["-k", 2, "-o", "o.csv", "--keep", "body"], 1, "there is no column 'body'"),
        (["-k", 2, "--field", "body"], 1, "there is no column 'body'"),
    ],
)
def test_what_is_refused_before_a_model_is_loaded(options, code, words, notes, monkeypatch):
    monkeypatch.setattr("minembed.cli.cluster.load_model", lambda *args: pytest.fail("loaded"))
    assert words in run("cluster", notes, *options, code=code)[1]
    notes.write_text('{"text": "one", "cluster": 3}\n')
    assert "has a column 'cluster' itself" in run("cluster", notes, "-k", 1, "-o", "o.csv", code=1)[1]


def test_too_many_texts_are_refused_before_a_model_is_loaded(notes, monkeypatch):
    monkeypatch.setattr("minembed.cli.cluster.load_model", lambda *args: pytest.fail("loaded"))
    monkeypatch.setattr("minembed.maps.clusters.MOST", {"kmeans": 4, "hdbscan": 4})
    assert "kmeans takes up to 4 texts, not 5" in run("cluster", notes, "-k", 2, code=1)[1]


# --- one index for all commands -------------------------------------------------------------------------------------


def test_every_command_uses_the_index_that_another_made(notes, tmp_path, model):
    commands = {
        "search": ["the cat", "--json"],
        "dedupe": ["--json"],
        "map": ["--method", "pca", "-o", tmp_path / "map.html"],
        "cluster": ["-k", 2],
    }
    for name, options in commands.items():
        expected = run(name, notes, *options, "--no-cache", *model)
        page = (tmp_path / "map.html").read_bytes() if name == "map" else b""
        assert used(expected[1]) == [] and cached() == (name != "search")
        out, err = run(name, notes, *options, *model)
        assert out == expected[0] and cached() == 1 and len(used(err)) == (name != "search")
        assert all(line.startswith(f"using the index of {notes}, made 20") for line in used(err))
        assert name != "map" or (tmp_path / "map.html").read_bytes() == page


@pytest.mark.parametrize("first", ["dedupe", "map", "cluster", "search"])
def test_any_command_makes_it(first, notes, tmp_path, model):
    options = {"map": ["--method", "pca", "-o", tmp_path / "map.html"], "cluster": ["-k", 2], "search": ["x"]}
    precision = ["--precision", "int8"] if first == "search" else []
    assert used(run(first, notes, *options.get(first, []), *precision, *model)[1]) == [] and cached() == 1
    out, err = run("dedupe", notes, *model)
    assert len(used(err)) == 1 and cached() == 1
    assert [json.loads(line)["id"] for line in out.splitlines()] == ["n0", "n1"]
    notes.write_text(notes.read_text().replace("cat", "dog"))
    assert used(run("dedupe", notes, *model)[1]) == [] and cached() == 2


def test_a_map_of_a_sample_embeds_no_more_than_that(notes, tmp_path, model, monkeypatch):
    options = ["map", notes, "--method", "pca", "--sample", 3, "-o", tmp_path / "map.html", *model]
    _, err = run(*options)
    page = (tmp_path / "map.html").read_bytes()
    assert "embedding 3 texts ..." in err and cached() == 0
    run("dedupe", notes, *model)
    assert len(used(run(*options)[1])) == 1 and (tmp_path / "map.html").read_bytes() == page


@pytest.mark.parametrize(
    ("prompts", "shared"),
    [
        ({"prompts": {"document": "text: "}}, False),
        ({"prompts": {"document": "text: "}, "default_prompt_name": "document"}, True),
        ({"prompts": {"query": "find: "}}, True),
    ],
)
def test_texts_that_are_compared_have_the_default_prompt(prompts, shared, notes, tmp_path):
    checkpoint = write_tiny_checkpoint(tmp_path / "model", sentence_transformers=prompts)
    model = ["--backend", "numpy", "--model", checkpoint]
    run("search", notes, "x", *model)
    assert len(used(run("dedupe", notes, *model)[1])) == shared and cached() == 2 - shared
    assert len(used(run("cluster", notes, "-k", 2, *model)[1])) == 1
    loaded, seen = Embedder.load(checkpoint, backend="numpy"), set()
    for place in (cache_folder() / "indexes").iterdir():
        vectors = Index.load(place).vectors
        for encode in (loaded.encode, loaded.encode_document):
            if np.array_equal(vectors, encode(TEXTS)):
                seen.add(encode.__name__)
    assert seen == {"encode", "encode_document"}
