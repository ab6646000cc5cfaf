"""The shards of a job as an index: what `Index.build` makes of the same texts."""

import json

import job_cases
import numpy as np
import pytest
from click.testing import CliRunner
from tiny import write_tiny_checkpoint

from minembed import Embedder, Index, jobs
from minembed.cli import main
from minembed.errors import InputError
from minembed.search.index_building import Rows, build_on_disk
from minembed.search.index_files import Facts


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """A corpus of which one row in each file has no text, and a finished job."""
    folder = tmp_path_factory.mktemp("corpus")
    corpus = job_cases.write_corpus(folder, sizes=(2000, 1100), gap=3)
    options = {"missing": "skip", "shard_rows": 900, "truncation": "silent"}
    jobs.embed(corpus, folder / "parquet", model, identity="id", **options)
    jobs.embed(corpus, folder / "safetensors", model, form="safetensors", **options)
    return folder


@pytest.mark.parametrize("precision", ["float32", "int8", "binary"])
def test_it_is_the_index_that_is_built_in_memory(model, folder, tmp_path, precision):
    assert jobs.index(folder / "parquet", tmp_path / "index", precision=precision) == 3098
    rows = [row for row in job_cases.rows_of(folder / "parquet") if row["embedding"] is not None]
    vectors = np.array([row["embedding"] for row in rows], np.float32)
    expected = Index.build(
        vectors,
        [row["text"] for row in rows],
        ids=[row["id"] for row in rows],
        fields=[{"id": row["id"], "price": row["price"]} for row in rows],
        precision=precision,
        model=model,
    )
    expected.save(tmp_path / "expected")
    for name in ("index.safetensors", "texts.jsonl"):
        (own,), (other,) = (list((tmp_path / place).glob(f"data-*/{name}")) for place in ("index", "expected"))
        assert own.read_bytes() == other.read_bytes()
    found = Index.load(tmp_path / "index", model, verify=True)
    assert found.search("green tea", k=5) == expected.search("green tea", k=5)
    found.add(["one more"], ids=["more"])
    assert len(found) == 3099


def test_shards_in_safetensors_have_ids_alone(model, folder, tmp_path):
    jobs.index(folder / "safetensors", tmp_path / "index")
    found = Index.load(tmp_path / "index", model)
    assert found.ids == [i + 1 for i in range(3100) if i not in (3, 2003)]
    assert found.texts[:2] == [None, None]
    rows = [row for row in job_cases.rows_of(folder / "parquet") if row["embedding"] is not None]
    np.testing.assert_array_equal(found.vectors, np.array([row["embedding"] for row in rows], np.float32))


def test_a_job_that_is_not_finished(model, folder, tmp_path):
    corpus = sorted(folder.glob("*.csv"))
    jobs.embed(corpus, tmp_path / "out", model, missing="skip", shard_rows=900, truncation="silent")
    (tmp_path / "out" / "part-000001.parquet").unlink()
    with pytest.raises(InputError, match=r"2,200 of 3,100 rows .* an index needs all of them"):
        jobs.index(tmp_path / "out", tmp_path / "index")
    with pytest.raises(InputError, match="holds no job"):
        jobs.index(tmp_path, tmp_path / "index")
    assert not (tmp_path / "index").exists()


def test_vectors_that_are_of_no_use_for_a_search(tmp_path):
    checkpoint = write_tiny_checkpoint(tmp_path / "model")
    settings = {"prompts": {"query": "find: ", "document": "about: "}}
    (checkpoint / "config_sentence_transformers.json").write_text(json.dumps(settings))
    model = Embedder.load(checkpoint, backend="numpy")
    corpus = job_cases.write_corpus(tmp_path)
    jobs.embed(corpus, tmp_path / "plain", model, truncation="silent")
    with pytest.raises(InputError, match="not made as the model embeds documents"):
        jobs.index(tmp_path / "plain", tmp_path / "index")
    jobs.embed(corpus, tmp_path / "documents", model, truncation="silent", prompt_name="document")
    assert jobs.index(tmp_path / "documents", tmp_path / "index") == 65
    jobs.embed(corpus, tmp_path / "bits", model, truncation="silent", precision="binary", prompt_name="document")
    with pytest.raises(InputError, match="holds vectors in binary: an index needs float32"):
        jobs.index(tmp_path / "bits", tmp_path / "index")


def rows(ids, vectors=None):
    vectors = np.eye(len(ids), 4, dtype=np.float32) if vectors is None else vectors
    return Rows(vectors, [(name, None, None) for name in ids])


@pytest.mark.parametrize(
    ("some", "message"),
    [
        ([rows(["a", "b"])], "there are 2 rows, not the 3"),
        ([rows(["a", "b"]), rows(["c", "d"])], "there are more rows than the 3"),
        ([rows(["a", "b"]), rows(["a"])], "rows 1 and 3 have the same id, 'a'"),
        ([rows([7, "7"]), rows([7])], "rows 1 and 3 have the same id, 7"),
        ([rows(["a", "b"]), rows(["c"], np.full((1, 4), np.nan, np.float32))], "row 3 holds NaN or infinity"),
        ([rows(["a", 1 << 64]), rows(["c"])], "row 2: 18446744073709551616 is no id"),
    ],
)
def test_rows_that_make_no_index(tmp_path, some, message):
    build_on_disk(tmp_path / "index", Facts(4, "dot", "int8"), 1, [rows(["old"])])
    with pytest.raises(InputError, match=message):
        build_on_disk(tmp_path / "index", Facts(4, "dot", "int8"), 3, some)
    assert Index.load(tmp_path / "index", verify=True).ids == ["old"]
    assert len(list((tmp_path / "index").iterdir())) == 2


def test_by_the_command(model, folder, tmp_path):
    command = ["index", str(folder / "parquet"), "-o", str(tmp_path / "index")]
    run = CliRunner().invoke(main, [*command, "--precision", "int8"])
    assert run.exit_code == 0 and "3,098 passages, 32 numbers each, int8, cosine" in run.stderr
    assert len(Index.load(tmp_path / "index")) == 3098
    run = CliRunner().invoke(main, [*command, "--field", "text"])
    assert run.exit_code == 2 and "--field has no effect" in run.stderr
    run = CliRunner().invoke(main, ["index", str(tmp_path), "-o", str(tmp_path / "other")])
    assert run.exit_code == 1 and "holds no job" in run.stderr
