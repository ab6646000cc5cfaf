"""Jobs on a real cluster of Ray, three nodes of a core each on this machine: `make test-ray`.

Every folder has the bytes of the same job by the local engine, whatever is killed meanwhile.  Drivers are processes of
their own, under a time limit.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import job_cases
import numpy as np
import pytest
import ray
from command import MODULE
from ray.cluster_utils import Cluster

from minembed import Embedder, Index, jobs
from minembed.errors import InputError, TruncationWarning

LIMIT = 240  # seconds that a driver may take
NODE = {"num_cpus": 1, "object_store_memory": 100 << 20}
SIZES, SHARD = (30_000, 20_000), 1_000


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # else workers wait for whatever else runs here
    made = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        nodes = [made.add_node(**NODE) for _ in range(2)]
        monkeypatch.setenv("RAY_ADDRESS", made.address)
        yield made, nodes
    finally:
        ray.shutdown()
        made.shutdown()


@pytest.fixture(scope="module")
def local(model, tmp_path_factory):
    """A corpus, and what the local engine makes of it."""
    folder = tmp_path_factory.mktemp("local")
    corpus = job_cases.write_corpus(folder, SIZES)
    jobs.embed(corpus, folder / "out", model, shard_rows=SHARD, truncation="silent")
    return corpus, job_cases.contents(folder / "out")


def start(tiny_checkpoint, corpus, out):
    command = [*MODULE, "embed", *map(str, corpus), "-o", f"{out}/", "--engine", "ray", "--shard-rows", str(SHARD)]
    command += ["-m", str(tiny_checkpoint), "--backend", "numpy", "--truncation", "silent", "--threads", "1"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finished(process):
    """What a driver says that ends well in time."""
    try:
        told = process.communicate(timeout=LIMIT)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail(f"it hangs: {process.communicate()[0]}")
    assert process.returncode == 0, told
    return told


def wait_for_shards(out, count, process):
    """Wait until some shards are there, and not all."""
    end = time.monotonic() + LIMIT
    while len(list(out.glob("part-*"))) < count:
        assert process.poll() is None and time.monotonic() < end, process.communicate()[0]
        time.sleep(0.02)
    assert not (out / "manifest.json").exists()


def assert_as_local(out, local):
    found = job_cases.contents(out)
    assert found.keys() == local[1].keys()
    assert [name for name in found if found[name] != local[1][name]] == []
    assert [row["id"] for row in job_cases.rows_of(out)] == [f"k{i}" for i in range(sum(SIZES))]


def test_several_nodes_make_the_bytes_of_the_local_engine(cluster, tiny_checkpoint, local, tmp_path):
    told = finished(start(tiny_checkpoint, local[0], tmp_path / "out"))
    assert_as_local(tmp_path / "out", local)
    nodes = told.partition("shards by node: ")[2].partition("\n")[0].split(", ")
    assert len(nodes) > 1 and sum(int(node.split()[1]) for node in nodes) == sum(SIZES) // SHARD, told


def workers_on(node):
    """The processes of the workers that are on a node."""
    actors = [actor for actor in ray._private.state.actors().values() if actor["State"] == "ALIVE"]
    return [actor["Pid"] for actor in actors if actor["Address"]["NodeID"] == node.node_id]


@pytest.mark.parametrize("what", ["node", "worker"])
def test_a_kill_in_the_middle(cluster, tiny_checkpoint, local, tmp_path, what):
    made, nodes = cluster
    ray.init(address=made.address, log_to_driver=False)
    process = start(tiny_checkpoint, local[0], tmp_path / "out")
    wait_for_shards(tmp_path / "out", 8, process)
    while not workers_on(nodes[0]):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    if what == "node":
        made.remove_node(nodes[0], allow_graceful=False)
    else:
        os.kill(workers_on(nodes[0])[0], signal.SIGKILL)
    assert not (tmp_path / "out" / "manifest.json").exists()
    finished(process)
    assert_as_local(tmp_path / "out", local)


def test_the_driver_is_killed_in_the_middle(cluster, tiny_checkpoint, local, model, tmp_path):
    out, counts = tmp_path / "out", []
    for count in (5, 15):
        process = start(tiny_checkpoint, local[0], out)
        wait_for_shards(out, count, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = {name: data for name, data in job_cases.contents(out).items() if not name.startswith(".minembed-")}
        assert all(local[1][name] == data for name, data in kept.items())
        counts.append(len(kept))
    told = finished(start(tiny_checkpoint, local[0], out))
    assert "shards are there; going on" in told and counts[0] < counts[1]
    assert_as_local(out, local)


def test_one_engine_goes_on_where_the_other_stopped(cluster, model, local, tmp_path):
    corpus, out = local[0], tmp_path / "out"
    shutil.copytree(corpus[0].parent / "out", out)
    for engine in ("ray", "local"):
        for number in (0, 7, 8, 49):
            (out / f"part-{number:06}.parquet").unlink()
        options = {"shard_rows": SHARD, "truncation": "silent", "engine": engine}
        assert jobs.embed(corpus, out, model, **options).made == 4
        assert jobs.embed(corpus, out, model, **options).made == 0
        assert_as_local(out, local)
    assert not ray.is_initialized()  # what was connected for a job is not left so


def test_tensors_gaps_and_ids(cluster, model, tmp_path):
    corpus = job_cases.write_corpus(tmp_path, (400, 250), gap=99)
    for engine in ("local", "ray"):
        options = {"missing": "skip", "shard_rows": 50, "engine": engine, "truncation": "silent"}
        jobs.embed(corpus, tmp_path / engine, model, form="safetensors", identity="id", **options)
        jobs.embed(corpus, tmp_path / f"{engine}-rows", model, keep="price", **options)
    assert job_cases.contents(tmp_path / "ray") == job_cases.contents(tmp_path / "local")
    assert job_cases.contents(tmp_path / "ray-rows") == job_cases.contents(tmp_path / "local-rows")


def test_older_vectors(cluster, model, tmp_path):
    corpus = job_cases.write_corpus(tmp_path, (400, 250))
    options = {"shard_rows": 50, "truncation": "silent"}
    jobs.embed(corpus[:1], tmp_path / "old", model, **options)
    jobs.embed(corpus, tmp_path / "new", model, **options)
    made = jobs.embed(corpus, tmp_path / "ray", model, reuse=tmp_path / "old", engine="ray", **options)
    assert made.reused > 400 and job_cases.contents(tmp_path / "ray") == job_cases.contents(tmp_path / "new")
    with pytest.raises(InputError, match=r"were made with another setting \(truncate_dim"):
        jobs.embed(corpus, tmp_path / "none", model, reuse=tmp_path / "old", engine="ray", truncate_dim=4, **options)


DYING = """
    import os, sys
    from minembed import Embedder, jobs
    from minembed.jobs import on_ray

    class Dying(on_ray.Worker):
        def make(self, number):
            if number == 3:
                os.kill(os.getpid(), 9)
            return super().make(number)

    on_ray.Worker = Dying
    model = Embedder.load(sys.argv[1], backend="numpy", threads=1)
    try:
        jobs.embed(sys.argv[2], sys.argv[3], model, shard_rows=10, engine="ray", truncation="silent")
    except OSError as error:
        print(type(error).__name__, error)
"""


def test_a_shard_that_kills_its_workers(cluster, tiny_checkpoint, model, tmp_path):
    """There is an end to it, with its name; the others are kept, and the same call goes on."""
    corpus, out = job_cases.write_corpus(tmp_path, (65,)), tmp_path / "out"
    command = [sys.executable, "-c", textwrap.dedent(DYING), str(tiny_checkpoint), str(corpus[0]), str(out)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    told = finished(process)
    assert f"\nSourceError shard 3 of {out} was lost 4 times" in f"\n{told}", told
    assert not (out / "part-000003.parquet").exists() and not (out / "manifest.json").exists()
    assert 1 <= jobs.embed(corpus, out, model, shard_rows=10, engine="ray", truncation="silent").made <= 7
    jobs.embed(corpus, tmp_path / "local", model, shard_rows=10, truncation="silent")
    assert job_cases.contents(out) == job_cases.contents(tmp_path / "local")


@pytest.mark.parametrize("precision", ["float32", "int8", "binary"])
def test_search_in_parts(cluster, model, tmp_path, precision):
    """The rows, scores and order of one index, ties included: of an index, an updated one, and of a job's shards."""
    corpus = job_cases.write_corpus(tmp_path, (900, 600), gap=5)  # of few different texts
    options = {"shard_rows": 100, "truncation": "silent", "missing": "skip", "identity": "id"}
    jobs.embed(corpus, tmp_path / "out", model, **options)
    jobs.index(tmp_path / "out", tmp_path / "index", precision=precision)
    one = Index.load(tmp_path / "index", model)
    queries = ["rye bread", "sweet cake and tea", "stone", "k"]
    for folder, said in ((tmp_path / "index", {}), (tmp_path / "out", {"precision": precision})):
        with jobs.ShardedIndex.open(folder, model, **said) as index:
            assert len(index) == len(one) == 1498
            for k in (0, 1, 7, 64, 5000):
                assert index.search(queries, k) == one.search(queries, k)
                mine, theirs = (each.search(queries, k, as_arrays=True) for each in (index, one))
                for a, b in zip(mine, theirs, strict=True):
                    np.testing.assert_array_equal(a, b, strict=True)
            assert index.search(queries[0]) == one.search(queries[0])
            assert index.search(one.vectors[3], 5, rescore_multiplier=1) == one.search(
                one.vectors[3], 5, rescore_multiplier=1
            )
    one.remove([f"k{i}" for i in range(20, 700, 3)])
    one.add(["rye bread", "a new text"], ids=["n1", "n2"])
    one.save(tmp_path / "changed")
    with jobs.ShardedIndex.open(tmp_path / "changed", model, parts=2) as index:
        assert index.search(queries, 30) == one.search(queries, 30)
    assert not ray.is_initialized()


def test_search_while_nodes_are_lost(cluster, model, tmp_path):
    made, nodes = cluster
    corpus = job_cases.write_corpus(tmp_path, (900,))
    jobs.embed(corpus, tmp_path / "out", model, shard_rows=100, truncation="silent")
    jobs.index(tmp_path / "out", tmp_path / "index")
    one = Index.load(tmp_path / "index", model)
    ray.init(address=made.address, log_to_driver=False)
    with jobs.ShardedIndex.open(tmp_path / "index", model, parts=2) as index:
        lost = next(node for node in nodes if workers_on(node))
        os.kill(workers_on(lost)[0], signal.SIGKILL)
        assert index.search("rye bread", 20) == one.search("rye bread", 20)
        made.remove_node(lost, allow_graceful=False)
        assert index.search("sweet cake", 20) == one.search("sweet cake", 20)
    with pytest.raises(InputError, match=r"parts is 9: the cluster has room for \d"):
        jobs.ShardedIndex.open(tmp_path / "index", parts=9)
    with pytest.raises(InputError, match="holds no job"):
        jobs.ShardedIndex.open(tmp_path / "none")
    with jobs.ShardedIndex.open(tmp_path / "index", parts=1) as index:
        with pytest.raises(InputError, match="there is no model to turn texts into vectors"):
            index.search("rye")


def test_what_is_refused(cluster, tiny_checkpoint, tmp_path):
    corpus = job_cases.write_corpus(tmp_path)
    options = {"shard_rows": 20, "engine": "ray"}
    some = Embedder.load(tiny_checkpoint, backend="numpy", threads=1, max_seq_length=8)
    with pytest.warns(TruncationWarning, match=r"^\d\d texts longer than 8 tokens were cut"):
        jobs.embed(corpus, tmp_path / "out", some, **options)
    with pytest.raises(InputError, match=r"another setting \(truncate_dim: null then, 4 now\)"):
        jobs.embed(corpus, tmp_path / "out", some, truncate_dim=4, **options)
    wide = Embedder.load(tiny_checkpoint, backend="numpy", threads=2)
    with pytest.raises(InputError, match="each of the model's 2 threads, and the largest node of the cluster has 1"):
        jobs.embed(corpus, tmp_path / "wide", wide, **options)
    short = Embedder.load(tiny_checkpoint, backend="numpy", threads=1, max_seq_length=4)
    with pytest.raises(InputError, match=r"has more than 4 tokens.*on node"):
        jobs.embed(corpus, tmp_path / "error", short, truncation="error", **options)
    corpus[0].write_text(corpus[0].read_text().replace("bread", "toast"))
    with pytest.raises(InputError, match=r"0\.csv changed since the job began"):
        jobs.embed(corpus, tmp_path / "error", short, truncation="error", **options)


def test_no_cluster(model, tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    corpus = job_cases.write_corpus(tmp_path)
    with pytest.raises(InputError, match="no Ray cluster is running here"):
        jobs.embed(corpus, tmp_path / "out", model, engine="ray")
    assert not (tmp_path / "out").exists()


@pytest.mark.weights
def test_minilm(cluster, tmp_path):
    model = Embedder.load("all-MiniLM-L6-v2", threads=1)
    corpus = job_cases.write_corpus(tmp_path, (600,))
    for engine in ("local", "ray"):
        jobs.embed(corpus, tmp_path / engine, model, shard_rows=100, engine=engine)
    assert job_cases.contents(tmp_path / "ray") == job_cases.contents(tmp_path / "local")
    manifest = json.loads((tmp_path / "ray" / "manifest.json").read_bytes())
    assert {shard["backend"] for shard in manifest["shards"]} == {model.backend}
