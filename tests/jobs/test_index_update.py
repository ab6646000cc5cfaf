"""An index that follows a corpus: after any update it answers as one that is built from nothing."""

import errno
import json
import os
import random
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from examples import heavy

from minembed import Embedder, Index, jobs
from minembed.cli import main
from minembed.errors import InputError, SourceError
from minembed.jobs import updating
from minembed.search import index_saving

WORDS = "bread tea river stone crumb oven salt green bitter slow quick warm".split()


def corpus_of(rows):
    """A corpus as the files have it: id -> (text, price)."""
    dice = random.Random(rows)
    return {f"k{i}": (" ".join(dice.choices(WORDS, k=4)), i) for i in range(rows)}


def job_of(corpus, folder, model, **options):
    folder.mkdir(exist_ok=True)
    lines = [json.dumps({"id": name, "text": text, "price": price}) for name, (text, price) in corpus.items()]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    options = {"identity": "id", "shard_rows": 150, **options}
    jobs.embed(folder / "rows.jsonl", folder / "job", model, field="text", **options)
    return folder / "job"


def contents(index):
    """What an index holds, whatever the order."""
    rows = zip(index.ids, index.texts, map(str, index.fields), index.vectors.tolist(), strict=True)
    return sorted(rows, key=str)


def assert_same(place, expected, model):
    """The same rows, and the same scores for some queries."""
    found, fresh = Index.load(place, model), Index.load(expected, model)
    assert len(found) == len(fresh) and contents(found) == contents(fresh)
    for query in ("green tea", "a warm stone"):
        own, other = (
            sorted((-hit.score, str(hit.id), hit.text, str(hit.fields)) for hit in index.search(query, k=len(index)))
            for index in (found, fresh)
        )
        assert own == other
        k = 7
        assert [hit.score for hit in found.search(query, k=k)] == [hit.score for hit in fresh.search(query, k=k)]


@pytest.mark.parametrize("precision", ["int8", *heavy(["float32", "binary"])])
def test_an_index_that_is_updated_again_and_again(model, tmp_path, precision):
    dice, corpus = random.Random(1), corpus_of(400)
    first = job_of(corpus, tmp_path / "0", model)
    jobs.index(first, tmp_path / "index", precision=precision)
    parts = set()
    for n in range(1, 4):
        gone = dice.sample(sorted(corpus), 25)
        corpus = {name: row for name, row in corpus.items() if name not in gone}
        for name in dice.sample(sorted(corpus), 10):  # another text, another price, or another place
            corpus[name] = dice.choice([("another text", corpus[name][1]), (corpus[name][0], -1), corpus.pop(name)])
        corpus |= {f"new{n}-{i}": (f"a new text {i}", i) for i in range(30)}
        job = job_of(corpus, tmp_path / str(n), model, reuse=tmp_path / str(n - 1) / "job")
        before = Index.load(tmp_path / "index")
        done = jobs.update_index(job, tmp_path / "index")
        assert not done.rebuilt and done.rows == len(corpus) and 30 <= done.added <= 40 and 25 <= done.removed <= 35
        jobs.index(job, tmp_path / "fresh", precision=precision)
        assert_same(tmp_path / "index", tmp_path / "fresh", model)
        assert len(before.ids) == before._rows.blocks[0].count + sum(b.count for b in before._rows.blocks[1:])
        body = json.loads((tmp_path / "index" / "index.json").read_text())
        assert body["version"] == 2 and len(body["parts"]) == n + 1
        parts |= {part["folder"] for part in body["parts"]}
        assert jobs.update_index(job, tmp_path / "index") == updating.Update(len(corpus), 0, 0)
    named = {path.name for path in (tmp_path / "index").glob("data-*")}
    assert len(named) == 4 and named == parts  # marks lie beside the rows of the last update
    changed = Index.load(tmp_path / "index", model)
    changed.remove(changed.ids[:3])
    changed.add(["one more"], ids=["more"])
    expected = changed.search("one more", k=50)
    changed.save(tmp_path / "index")
    again = Index.load(tmp_path / "index", model, verify=True)
    assert again.search("one more", k=50) == expected and len(list((tmp_path / "index").glob("data-*"))) == 1


def test_only_removals_and_then_rows_of_another_kind(model, tmp_path):
    corpus = corpus_of(300)
    jobs.index(job_of(corpus, tmp_path / "0", model), tmp_path / "index", precision="int8")
    fewer = dict(list(corpus.items())[40:])
    done = jobs.update_index(job_of(fewer, tmp_path / "1", model), tmp_path / "index")
    assert (done.added, done.removed, done.rebuilt) == (0, 40, False)
    jobs.index(tmp_path / "1" / "job", tmp_path / "fresh", precision="int8")
    assert_same(tmp_path / "index", tmp_path / "fresh", model)
    assert "k3" not in Index.load(tmp_path / "index") and "k40" in Index.load(tmp_path / "index")
    back = jobs.update_index(tmp_path / "0" / "job", tmp_path / "index")
    assert (back.added, back.removed) == (40, 0)
    done = jobs.update_index(job_of(corpus_of(7), tmp_path / "2", model), tmp_path / "index")
    assert done.rebuilt and done.rows == 7  # next to nothing stays: built from nothing
    assert json.loads((tmp_path / "index" / "index.json").read_text())["version"] == 1


def test_rows_that_are_told_by_their_vectors(model, tmp_path):
    """Shards in safetensors hold no texts."""
    corpus = corpus_of(200)
    jobs.index(job_of(corpus, tmp_path / "0", model, form="safetensors"), tmp_path / "index")
    corpus["k7"] = ("another text", 7)
    job = job_of(corpus, tmp_path / "1", model, form="safetensors")
    assert jobs.update_index(job, tmp_path / "index") == updating.Update(200, 1, 1)
    jobs.index(job, tmp_path / "fresh")
    assert contents(Index.load(tmp_path / "index")) == contents(Index.load(tmp_path / "fresh"))


def test_after_many_updates_it_is_built_anew(model, tmp_path, monkeypatch):
    monkeypatch.setattr(updating, "MOST_PARTS", 2)
    corpus = corpus_of(200)
    jobs.index(job_of(corpus, tmp_path / "0", model), tmp_path / "index")
    rebuilt = []
    for n in range(1, 4):
        corpus[f"new{n}"] = ("new", n)
        rebuilt.append(jobs.update_index(job_of(corpus, tmp_path / str(n), model), tmp_path / "index").rebuilt)
        assert len(Index.load(tmp_path / "index")) == 200 + n
    assert rebuilt == [False, True, False]


def test_what_cannot_be_updated(model, tmp_path):
    corpus = corpus_of(200)
    job = job_of(corpus, tmp_path / "0", model, truncation="silent")
    Index.build(np.eye(3)).save(tmp_path / "other")
    with pytest.raises(InputError, match="is no index of a job"):
        jobs.update_index(job, tmp_path / "other")
    jobs.index(job, tmp_path / "index")
    other = Embedder.load(model.checkpoint.root, backend="numpy", max_seq_length=5)
    short = job_of(corpus, tmp_path / "1", other, truncation="silent")
    with pytest.raises(InputError, match="holds vectors of another model or other settings"):
        jobs.update_index(short, tmp_path / "index")
    twice = dict(corpus)
    folder = tmp_path / "2"
    job_of(twice, folder, model)
    lines = (folder / "rows.jsonl").read_text()
    (folder / "more.jsonl").write_text(lines + lines.splitlines()[5] + "\n")
    options = {"field": "text", "identity": "id", "shard_rows": 150, "truncation": "silent"}
    jobs.embed(folder / "more.jsonl", folder / "again", model, **options)
    with pytest.raises(InputError, match="rows 6 and 201 have the same id"):
        jobs.update_index(folder / "again", tmp_path / "index")
    assert len(Index.load(tmp_path / "index", verify=True)) == 200


def test_another_process_changes_it_meanwhile(model, tmp_path, monkeypatch):
    corpus = corpus_of(200)
    jobs.index(job_of(corpus, tmp_path / "0", model), tmp_path / "index")
    corpus["new"] = ("new", 1)
    job, real = job_of(corpus, tmp_path / "1", model), updating.publish

    def publish(folder, *args, **options):
        Index.build(np.eye(2)).save(folder)
        real(folder, *args, **options)

    monkeypatch.setattr(updating, "publish", publish)
    with pytest.raises(InputError, match="was changed meanwhile by another process"):
        jobs.update_index(job, tmp_path / "index")
    assert len(Index.load(tmp_path / "index", verify=True)) == 2


@pytest.mark.parametrize("name", ["fsync", "rename", "replace", "mkdir"])
def test_a_call_that_fails_leaves_the_old_index_or_the_new_one(model, tmp_path, monkeypatch, name):
    corpus, real = corpus_of(200), getattr(os, name)
    jobs.index(job_of(corpus, tmp_path / "0", model), tmp_path / "old")
    corpus = dict(list(corpus.items())[5:]) | {"new": ("new", 1)}
    job = job_of(corpus, tmp_path / "1", model)
    before = contents(Index.load(tmp_path / "old"))
    for n in range(50):
        shutil.copytree(tmp_path / "old", tmp_path / "index")
        calls = []

        def fail(*args, calls=calls, n=n, **kwargs):
            calls.append(args)
            if len(calls) == n + 1:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            try:
                jobs.update_index(job, tmp_path / "index", show_progress_bar=False)
            except SourceError as error:
                assert error.errno == errno.ENOSPC
        found = Index.load(tmp_path / "index", verify=True)
        assert len(found) == 196 or contents(found) == before
        shutil.rmtree(tmp_path / "index")
        if len(calls) <= n:
            break
    assert 0 < n < 49 or name == "mkdir"


def test_damage_of_marks_is_found(model, tmp_path):
    corpus = corpus_of(200)
    jobs.index(job_of(corpus, tmp_path / "0", model), tmp_path / "index")
    jobs.update_index(job_of(dict(list(corpus.items())[9:]), tmp_path / "1", model), tmp_path / "index")
    (marks,) = (tmp_path / "index").glob("data-*/removed-0")
    content = bytearray(marks.read_bytes())
    content[3] ^= 1
    marks.write_bytes(content)
    with pytest.raises(index_saving.IndexFileError, match="removed-0 was changed after it was written"):
        Index.load(tmp_path / "index")


def test_by_the_command(model, tmp_path):
    corpus = corpus_of(200)
    job_of(corpus, tmp_path / "0", model)
    corpus = dict(list(corpus.items())[9:]) | {"new": ("new", 1)}
    job_of(corpus, tmp_path / "1", model)
    place = str(tmp_path / "index")
    run = CliRunner().invoke(main, ["index", str(tmp_path / "0" / "job"), "-o", place, "--precision", "int8"])
    assert run.exit_code == 0
    run = CliRunner().invoke(main, ["index", str(tmp_path / "1" / "job"), "-o", place, "--update"])
    assert run.exit_code == 0 and "1 rows added, 9 removed" in run.stderr and "192 passages" in run.stderr
    run = CliRunner().invoke(main, ["index", str(tmp_path / "1" / "job"), "-o", place, "--update", "--metric", "dot"])
    assert run.exit_code == 2 and "--update cannot change the precision" in run.stderr
    run = CliRunner().invoke(main, ["index", str(tmp_path / "1" / "rows.jsonl"), "-o", place, "--update"])
    assert run.exit_code == 2 and "needs the folder of a job" in run.stderr
