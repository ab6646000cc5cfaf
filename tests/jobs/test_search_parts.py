"""Parts of a corpus, each searched by itself, and merged: what one index finds; on Ray in check_ray.py."""

import job_cases
import numpy as np
import pytest

from minembed import Index, jobs
from minembed.errors import IndexFileError, InputError
from minembed.jobs.search_parts import Part, corpus_of, merged

QUERIES = ["rye bread", "sweet cake and tea", "stone", "k"]


@pytest.fixture(scope="module")
def job(model, tmp_path_factory):
    """A finished job of few different texts, so that many scores are equal."""
    folder = tmp_path_factory.mktemp("job")
    corpus = job_cases.write_corpus(folder, (300, 200), gap=5)
    options = {"shard_rows": 60, "truncation": "silent", "missing": "skip", "identity": "id"}
    jobs.embed(corpus, folder / "out", model, **options)
    jobs.embed(corpus, folder / "tensors", model, form="safetensors", **options)
    return folder


def search(corpus, parts, queries, k, multiplier=4):
    """What `ShardedIndex.search` does, in this process."""
    opened = [Part(corpus, span) for span in corpus.spans(parts)]
    counts = [part.count() for part in opened]
    found = [part.search(queries, k, multiplier, "numpy", 1, True) for part in opened]
    scores, positions, places = merged(found, counts, k, multiplier)
    ids = []
    for i in range(len(queries)):
        records = [r for one in found for r in one.records[i * one.scores.shape[1] : (i + 1) * one.scores.shape[1]]]
        ids.append([records[place] for place in places[i]])
    return scores, positions, ids


def assert_same(corpus, index, queries, parts=(1, 3, 7)):
    for number in parts:
        for k in (0, 1, 7, 64, 5000):
            for multiplier in (1, 4):
                scores, positions, records = search(corpus, number, queries, k, multiplier)
                said = {"rescore_multiplier": multiplier, "backend": "numpy", "threads": 1}
                expected = index.search(queries, k, as_arrays=True, **said)
                np.testing.assert_array_equal(scores, expected[0], strict=True)
                np.testing.assert_array_equal(positions, expected[1], strict=True)
                hits = index.search(queries, k, **said)
                assert [[(hit.id, hit.text) for hit in some] for some in hits] == [
                    [record[:2] for record in some] for some in records
                ]


@pytest.mark.parametrize("precision", ["float32", "int8", "binary"])
def test_of_an_index_and_of_shards(job, model, tmp_path, precision):
    jobs.index(job / "out", tmp_path / "index", precision=precision)
    index, queries = Index.load(tmp_path / "index", model), model.encode(QUERIES)
    assert_same(corpus_of(tmp_path / "index"), index, queries)
    assert_same(corpus_of(job / "out", precision), index, queries, parts=(3, 99))
    jobs.index(job / "tensors", tmp_path / "other", precision=precision)
    assert_same(corpus_of(job / "tensors", precision), Index.load(tmp_path / "other"), queries, parts=(2,))
    index.remove([f"k{i}" for i in range(20, 250, 3)])
    index.add(["rye bread", "a new text"], ids=["n1", "n2"])
    index.save(tmp_path / "changed")
    assert_same(corpus_of(tmp_path / "changed"), index, queries)


def test_what_changed_meanwhile(job, model, tmp_path):
    jobs.index(job / "out", tmp_path / "index", precision="int8")
    corpus = corpus_of(tmp_path / "index")
    whole, queries = Part(corpus, (100, 400)), model.encode(QUERIES)
    expected = whole.search(queries, 5, 1, "numpy", 1, True)
    jobs.index(job / "tensors", tmp_path / "index", precision="int8")
    with pytest.raises(InputError, match="changed since it was opened: open it again"):
        Part(corpus, (0, 100)).count()
    again = whole.search(queries, 5, 1, "numpy", 1, True)  # what is open stays as it was
    np.testing.assert_array_equal(again.scores, expected.scores)
    with pytest.raises(InputError, match="is an index in int8: precision is of the shards of a job"):
        corpus_of(tmp_path / "index", "binary")
    with pytest.raises(InputError, match="holds no job"):
        corpus_of(tmp_path / "none")


def test_a_damaged_part_is_found_by_whoever_reads_it(job, model, tmp_path):
    jobs.index(job / "out", tmp_path / "index", precision="int8")
    path = next((tmp_path / "index").glob("data-*/index.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # of the errors of the last row
    path.write_bytes(content)
    corpus, queries = corpus_of(tmp_path / "index"), model.encode(QUERIES)
    with pytest.raises(IndexFileError, match="was changed after it was written"):
        Part(corpus, (400, 498)).search(queries, 5, 1, "numpy", 1, True)
