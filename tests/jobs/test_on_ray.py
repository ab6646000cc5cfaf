"""The Ray engine as far as it needs no Ray; on a real cluster it is tested by check_ray.py."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import job_cases
import pytest
from command import run

from minembed import jobs
from minembed.errors import InputError, MissingExtraError, SourceError
from minembed.jobs import on_ray
from minembed.jobs.local import Job, Reader
from minembed.jobs.planning import Request, plan_job

WITHOUT_RAY = pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")


@pytest.fixture
def job(model, tmp_path, monkeypatch):
    """A job that has begun, whose paths are not from the root."""
    job_cases.write_corpus(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    request = Request(["0.csv", "1.csv"], Path("out"), shard_rows=10, options={"truncation": "silent"})
    return Job(request, model, *plan_job(request, model))


@WITHOUT_RAY
def test_without_ray(model, tmp_path, tiny_checkpoint):
    corpus = job_cases.write_corpus(tmp_path)
    with pytest.raises(MissingExtraError, match=r"engine ray needs Ray: pip install 'minembed\[ray\]'"):
        jobs.embed(corpus, tmp_path / "out", model, engine="ray")
    _, told = run(
        "embed",
        *corpus,
        "-o",
        f"{tmp_path}/out/",
        "-m",
        tiny_checkpoint,
        "--backend",
        "numpy",
        "--engine",
        "ray",
        code=1,
    )
    assert "pip install 'minembed[ray]'" in told
    assert not (tmp_path / "out").exists()


def test_engines_are_checked(model, tmp_path, tiny_checkpoint):
    with pytest.raises(InputError, match="engine must be one of local, ray; not 'spark'"):
        jobs.embed("a.csv", tmp_path / "out", model, engine="spark")
    _, told = run("embed", "a text", "-m", tiny_checkpoint, "--engine", "ray", code=2)
    assert "--engine need a job: -o FOLDER/" in told


def test_a_worker_in_another_folder_makes_the_same_shards(job, model, tmp_path, monkeypatch):
    jobs.embed(["0.csv", "1.csv"], "local", model, shard_rows=10, truncation="silent")
    truncated = int(model.tokenize([row.text for row, _ in job.inputs.rows()]).truncated.sum())
    worker = on_ray.Worker(on_ray.order_of(job))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    cut = [worker.make(number) for number in (2, 3, 6, 0, 5, 1, 1, 4)]  # as they come, and one twice
    cut = [made.cut for made in cut]
    assert sum(cut) - cut[5] == truncated > 0
    jobs.embed([tmp_path / "0.csv", tmp_path / "1.csv"], tmp_path / "out", model, shard_rows=10, truncation="silent")
    local, found = job_cases.contents(tmp_path / "local"), job_cases.contents(tmp_path / "out")
    parts = [name for name in local if name.startswith("part-")]
    assert len(parts) == 7 and [name for name in parts if local[name] != found[name]] == []


def test_rows_of_shards_in_any_order(job):
    whole = [row.row.values["id"] for row, _ in job.inputs.rows()]
    reader = Reader(job.inputs, job.plan)
    for number in (1, 2, 5, 0, 6, 6, 3):
        rows = [row.row.values["id"] for row, _ in reader.shard(number)]
        assert rows == whole[10 * number : 10 * number + 10]
    next(reader.shard(0))  # rows that nobody asked for are passed over
    assert [row.row.values["id"] for row, _ in reader.shard(1)] == whole[10:20]


def test_inputs_are_read_once_where_numbers_rise(job, monkeypatch):
    opened = []
    monkeypatch.setattr("minembed.jobs.inputs.Inputs.rows", lambda self: opened.append(1) or iter(range(65)))
    reader = Reader(job.inputs, job.plan)
    assert [list(reader.shard(number)) for number in (1, 4, 6)] == [
        list(range(10, 20)), list(range(40, 50)), list(range(60, 65))
    ]  # fmt: skip
    assert len(opened) == 1


def test_a_node_that_sees_other_things(job, tmp_path, tiny_checkpoint):
    order = on_ray.order_of(job)
    for changed, message in (
        (replace(order, version="0.0"), "the job was begun by 0.0"),
        (replace(order, job="0"), "does not hold the job here: the folder must be one folder for all nodes"),
        (replace(order, request=replace(order.request, folder=tmp_path / "none")), "none does not hold the job here"),
        (
            replace(order, request=replace(order.request, inputs=[tmp_path / "no.csv"])),
            "no.csv is not there: model and",
        ),
        (replace(order, checkpoint=replace(order.checkpoint, folder=tmp_path / "no")), "no is not there: model and"),
        (replace(order, dtype="int8"), r"another model \(dtype: \"float32\" then, \"int8\" now\)"),
    ):
        with pytest.raises(InputError, match=message):
            on_ray.Worker(changed).make(0)
    (tmp_path / "0.csv").write_text("id,text,price\n1,other,2\n")
    with pytest.raises(InputError, match=r"0\.csv changed since the job began"):
        on_ray.Worker(order).make(0)
    assert not (tmp_path / "none").exists() and not list((tmp_path / "out").glob("part-*"))


def test_errors_of_workers_come_back(job, monkeypatch):
    """With their class, their errno and their node; what is no error of minembed stays Ray's."""
    monkeypatch.setattr(on_ray, "node_name", lambda: "n1")
    worker = on_ray.Worker(on_ray.order_of(job))
    raised = SourceError("the disk is full")
    raised.errno = 28

    def fail(number):
        raise raised

    monkeypatch.setattr(worker, "make", fail)
    result = {name: values[0] for name, values in worker({"shard": on_ray.np.array([3])}).items()}
    error = on_ray._error_of(result)
    assert type(error) is SourceError and error.errno == 28 and str(error) == "the disk is full (on node n1)"
    raised.errno = None
    result = {name: values[0] for name, values in worker({"shard": on_ray.np.array([3])}).items()}
    assert on_ray._error_of(result).errno is None
    raised = KeyError("a defect")
    with pytest.raises(KeyError):
        worker({"shard": on_ray.np.array([3])})


def test_workers_that_fit():
    def cluster(*cores, alive=True):
        nodes = [{"Alive": alive, "Resources": {"CPU": float(n)} if n else {}} for n in cores]
        return type("Ray", (), {"nodes": staticmethod(lambda: nodes)})

    assert on_ray.slots_of(cluster(4, 1, 0, 5), 2) == 4
    with pytest.raises(InputError, match=r"8 threads, and the largest node of the cluster has 5: .* threads=5"):
        on_ray.slots_of(cluster(4, 5), 8)
    with pytest.raises(InputError, match="the largest node of the cluster has 0"):
        on_ray.slots_of(cluster(4, alive=False), 1)


def test_unlike_processors_are_told(job, model, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("minembed.jobs.local._machine", lambda _: {"cpu": "old", "backend": "numpy", "minembed": "1"})
    on_ray.Worker(on_ray.order_of(job)).make(2)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    with caplog.at_level("INFO", "minembed"):
        jobs.embed(["0.csv", "1.csv"], "out", model, shard_rows=10, truncation="silent")
    assert "out: computed on unlike processors, whose vectors differ by rounding: old by numpy; " in caplog.text
