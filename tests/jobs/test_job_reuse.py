"""A corpus that changed is embedded again at the price of what is new, and nothing tells that it was."""

import job_cases
import pytest

from minembed import Embedder, jobs
from minembed.errors import InputError


def embed(inputs, folder, model, **options):
    return jobs.embed(inputs, folder, model, shard_rows=20, missing="skip", truncation="silent", **options)


def changed(corpus, folder):
    """Rows that went, changed, came, and stand at other places; columns that are others."""
    lines = corpus[0].read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    rows = [["new", "river stone river", "1"], *rows[30:], *rows[:10], [rows[20][0], "cloud " + rows[20][1], "2"]]
    path = folder / "changed.csv"
    path.write_text("\n".join(["sku,text,price", *(",".join(row) for row in rows)]) + "\n")
    return path, len(rows)


def test_the_bytes_are_those_of_a_job_from_nothing(model, tmp_path):
    corpus = job_cases.write_corpus(tmp_path, gap=3)
    embed(corpus, tmp_path / "old", model)
    path, rows = changed(corpus, tmp_path)
    report = embed(path, tmp_path / "new", model, reuse=tmp_path / "old")
    embed(path, tmp_path / "expected", model)
    assert job_cases.contents(tmp_path / "new") == job_cases.contents(tmp_path / "expected")
    assert report.rows == rows and report.reused == report.texts - 2
    job_cases.assert_whole(tmp_path / "new", 2)


def test_what_is_known_is_not_computed(model, tmp_path, monkeypatch):
    corpus = job_cases.write_corpus(tmp_path)
    embed(corpus, tmp_path / "old", model)
    asked = []
    real = type(model.engine).stream

    def stream(engine, texts, options, tell_cut=None):
        texts = list(texts)
        asked.extend(texts)
        return real(engine, texts, options, tell_cut)

    monkeypatch.setattr(type(model.engine), "stream", stream)
    path, _ = changed(corpus, tmp_path)
    embed(path, tmp_path / "new", model, reuse=tmp_path / "old", form="safetensors")
    assert len(asked) == 2 and "river stone river" in asked


def test_an_older_job_that_stopped_lends_what_it_has(model, tmp_path):
    corpus = job_cases.write_corpus(tmp_path)
    embed(corpus, tmp_path / "old", model)
    (tmp_path / "old" / "manifest.json").unlink()
    (tmp_path / "old" / "part-000001.parquet").write_bytes(b"PAR1")
    report = embed(corpus, tmp_path / "new", model, reuse=tmp_path / "old")
    assert 45 <= report.reused < 65
    assert embed(corpus, tmp_path / "new", model, reuse=tmp_path / "old").reused == 0  # nothing was left to do


def test_jobs_whose_vectors_are_of_no_use(model, tmp_path, tiny_checkpoint):
    corpus = job_cases.write_corpus(tmp_path)
    with pytest.raises(InputError, match="holds no job whose vectors could be used again"):
        embed(corpus, tmp_path / "new", model, reuse=tmp_path)
    embed(corpus, tmp_path / "old", model)
    with pytest.raises(InputError, match=r"made with another setting \(prompt: null then, \"q: \" now\)"):
        embed(corpus, tmp_path / "prompted", model, prompt="q: ", reuse=tmp_path / "old")
    other = Embedder.load(tiny_checkpoint, backend="numpy", dtype="int8")
    with pytest.raises(InputError, match=r"made with another model \(dtype: \"float32\" then, \"int8\" now\)"):
        embed(corpus, tmp_path / "int8", other, reuse=tmp_path / "old")
    for name, options in (("tensors", {"form": "safetensors"}), ("without", {"keep": "id"})):
        embed(corpus, tmp_path / name, model, **options)
        with pytest.raises(InputError, match="shards without texts"):
            embed(corpus, tmp_path / f"new-{name}", model, reuse=tmp_path / name)


def test_texts_whose_digests_begin_alike(model, tmp_path, monkeypatch):
    """Half a digest is looked for, and the other half decides."""
    monkeypatch.setattr("minembed.jobs.reuse._digest", lambda text: (7, len(text)))
    (tmp_path / "a.txt").write_text("a\nbb\nccc\n")
    embed(tmp_path / "a.txt", tmp_path / "old", model)
    report = embed(tmp_path / "a.txt", tmp_path / "new", model, reuse=tmp_path / "old")
    assert report.reused == 3
    assert job_cases.contents(tmp_path / "new") == job_cases.contents(tmp_path / "old")
