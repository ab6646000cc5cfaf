"""Whatever happens to a job, every row is there once in the end, with the bytes of an undisturbed run."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
import time

import faults
import job_cases
import pytest
from command import MODULE, heeds_signals
from examples import heavy

from minembed import jobs
from minembed.errors import ConfigError, InputError, MinembedError, SourceError
from minembed.runtime.checksums import crc32_of_json
from minembed.runtime.holding import held

SCRIPT = """
    import sys
    from minembed import Embedder, jobs
    model = Embedder.load(sys.argv[1], backend="numpy", threads=1)
    print("ready", flush=True)
    sys.stdin.readline()
    jobs.embed(sys.argv[2] + "/*.csv", sys.argv[3], model, shard_rows=int(sys.argv[4]), truncation="silent")
"""


def embed(corpus, folder, model):
    return jobs.embed(corpus, folder, model, shard_rows=20, truncation="silent")


@pytest.fixture(scope="module")
def undisturbed(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    corpus = job_cases.write_corpus(folder)
    embed(corpus, folder / "out", model)
    return corpus, job_cases.contents(folder / "out")


@pytest.mark.parametrize("name", ["fsync", "rename", "replace", "open", "mkdir", "write"])
def test_a_call_that_fails(undisturbed, model, tmp_path, monkeypatch, name):
    """Some calls of each kind in turn: a named error that loses nothing, and the same call goes on."""
    step = 9 if name == "write" else 1
    assert_failures_lose_nothing(undisturbed, model, tmp_path, monkeypatch, name, errno.ENOSPC, step)


@pytest.mark.slow
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
@pytest.mark.parametrize("name", ["fsync", "rename", "replace", "open", "mkdir", "write"])
def test_every_call_that_fails(undisturbed, model, tmp_path, monkeypatch, name, code, amount):
    n = assert_failures_lose_nothing(undisturbed, model, tmp_path, monkeypatch, name, code, 1)
    amount.did(n)


def assert_failures_lose_nothing(undisturbed, model, tmp_path, monkeypatch, name, code, step):
    corpus, expected = undisturbed
    owner, real = (FailingFile, FailingFile.write) if name == "write" else (os, getattr(os, name))
    for n in range(0, 999, step):
        out = tmp_path / f"out{n}"

        def counts(args, own=out.name):
            return name in ("fsync", "write") or own in str(args)

        fail, calls = faults.failing(real, n, code, counts)
        with monkeypatch.context() as patch:
            if name == "write":
                patch.setattr("minembed.jobs.folder.replacing", FailingFile.replacing)
            patch.setattr(owner, name, fail)
            try:
                embed(corpus, out, model)
            except SourceError as error:
                assert error.errno == code and str(out) in str(error)
                assert isinstance(error, OSError) and isinstance(error, MinembedError)
                kept = job_cases.contents(out) if out.exists() else {}
                assert all(expected[file] == content for file, content in kept.items())
        embed(corpus, out, model)
        assert job_cases.contents(out) == expected
        if len(calls) <= n:
            break
    assert n < 998
    assert n > 0 or name == "rename"  # which no job calls
    return n


class FailingFile:
    """A file in the place of the one that `replacing` gives, whose writes are counted and may fail."""

    def __init__(self, file):
        self.file = file

    def write(self, data):
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    @staticmethod
    def replacing(path):
        from contextlib import contextmanager

        from minembed.runtime.files import replacing

        @contextmanager
        def failing():
            with replacing(path) as file:
                yield FailingFile(file)

        return failing()


def test_two_processes_on_one_folder(undisturbed, model, tmp_path):
    corpus, expected = undisturbed
    with held(tmp_path / "out", InputError("busy"), ""):
        assert_refused(corpus, tmp_path / "out", model)
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
    embed(corpus, tmp_path / "out", model)
    assert job_cases.contents(tmp_path / "out") == expected


def assert_refused(corpus, folder, model):
    with pytest.raises(InputError, match="another process works on the job"):
        embed(corpus, folder, model)


def start(tiny_checkpoint, corpus, folder, rows=20):
    return faults.start(textwrap.dedent(SCRIPT), tiny_checkpoint, corpus[0].parent, folder, rows)


def test_a_kill(undisturbed, model, tiny_checkpoint, tmp_path):
    assert_kills_lose_nothing(undisturbed, model, tiny_checkpoint, tmp_path, kills=2, seed=7)


@pytest.mark.slow
def test_many_kills(undisturbed, model, tiny_checkpoint, tmp_path, amount):
    kills, seed = amount.rounds(50), amount.seed(7)
    assert_kills_lose_nothing(undisturbed, model, tiny_checkpoint, tmp_path, kills, seed)


def assert_kills_lose_nothing(undisturbed, model, tiny_checkpoint, tmp_path, kills, seed):
    corpus, expected = undisturbed
    out, dice, stopped = tmp_path / "out", random.Random(seed), set()
    process = start(tiny_checkpoint, corpus, out)
    ready = time.perf_counter()
    faults.go(process)
    process.communicate()
    assert process.returncode == 0
    seconds = time.perf_counter() - ready  # that a whole job takes here
    for _ in range(kills):
        for name in ["manifest.json", *dice.sample(sorted(set(expected) - {"manifest.json", "job.json"}), 2)]:
            (out / name).unlink(missing_ok=True)
        if dice.random() < 0.3:
            shutil.rmtree(out, ignore_errors=True)
        process = start(tiny_checkpoint, corpus, out)
        faults.go(process)
        time.sleep(dice.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = job_cases.contents(out) if out.exists() else {}
        kept = {name: content for name, content in kept.items() if not name.startswith(".minembed-")}
        assert all(expected[name] == content for name, content in kept.items())
        stopped.add(len(kept))
    embed(corpus, out, model)
    assert job_cases.contents(out) == expected
    assert len(stopped) > 2 or kills < 50  # they came at different moments


@pytest.mark.parametrize(("number", "seed"), [(40, 1), *heavy([(2000, 2)])])
def test_damaged_plans_and_manifests(undisturbed, model, tmp_path, number, seed, amount):
    """Refused by name, or the job is what it was: no row is lost, made twice or changed."""
    corpus, expected = undisturbed
    out, dice, refused = tmp_path / "out", random.Random(amount.seed(seed)), 0
    embed(corpus, out, model)
    rounds = amount.rounds(number)
    for i in range(rounds):
        name = dice.choice(["job.json", "manifest.json"])
        damaged = faults.mutate_json(dice, expected[name].decode())
        (out / name).write_bytes(damaged)
        try:
            embed(corpus, out, model)
            assert jobs.status(out).rows_done == jobs.status(out).rows, (i, damaged)
        except MinembedError as error:
            refused += 1
            assert str(out) in str(error), (i, damaged)
        found = job_cases.contents(out)
        assert found.keys() == expected.keys(), (i, damaged)
        assert all(found[part] == expected[part] for part in expected if part != name), (i, damaged)
        (out / name).write_bytes(expected[name])
    assert 0 < refused < rounds


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("shards", [{"rows": -1, "texts": 1, "work": 1}]),
        ("shards", [{"rows": True, "texts": 1, "work": 1}]),
        ("shards", [{"rows": 1}]),
        ("shards", [7]),
        ("shards", None),
        ("inputs", [{}]),
        ("inputs", {"a": 1}),
        ("surplus", 1),
    ],
)
def test_a_plan_that_says_what_no_job_wrote(undisturbed, model, tmp_path, part, change):
    """Its checksum fits."""
    corpus, _ = undisturbed
    out = tmp_path / "out"
    embed(corpus, out, model)
    body = json.loads((out / "job.json").read_text()) | {part: change}
    del body["crc32"]
    (out / "job.json").write_text(json.dumps(body | {"crc32": crc32_of_json(body)}))
    with pytest.raises(ConfigError, match="says what no job wrote"):
        jobs.status(out)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk(undisturbed, model, tiny_checkpoint, tmp_path):
    """A limit of the size of files stands for the full disk: shards are beyond it, the plan is not."""
    corpus, expected = undisturbed
    body = """
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        from minembed import Embedder, jobs
        model = Embedder.load(sys.argv[1], backend="numpy", threads=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        try: jobs.embed(sys.argv[2] + "/*.csv", sys.argv[3], model, shard_rows=20, truncation="silent")
        except OSError as e: print(type(e).__name__, e.errno, e)
    """
    command = [sys.executable, "-c", textwrap.dedent(body), tiny_checkpoint, corpus[0].parent, tmp_path / "out"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith(f"SourceError {errno.EFBIG} cannot write {tmp_path / 'out' / 'part-000000.parquet'}")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {".lock", "job.json"}
    embed(corpus, tmp_path / "out", model)
    assert job_cases.contents(tmp_path / "out") == expected


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="needs root, which it gives up")
def test_a_folder_that_may_not_be_written(undisturbed, tiny_checkpoint, tmp_path):
    corpus, expected = undisturbed
    body = """
        import os, sys
        from minembed import Embedder, jobs
        model = Embedder.load(sys.argv[1], backend="numpy", threads=1)
        jobs.embed(sys.argv[2] + "/*.csv", sys.argv[3], model, shard_rows=20, truncation="silent")
        os.unlink(sys.argv[3] + "/part-000001.parquet")
        os.chmod(sys.argv[3], 0o555)
        os.seteuid(65534)
        try: jobs.embed(sys.argv[2] + "/*.csv", sys.argv[3], model, shard_rows=20, truncation="silent")
        except OSError as e: print(type(e).__name__, e.errno, e)
    """
    out = tmp_path / "out"
    for folder in (path for path in (tmp_path, *tmp_path.parents) if "pytest-of-" in str(path)):
        folder.chmod(folder.stat().st_mode | 0o055)
    command = [sys.executable, "-c", textwrap.dedent(body), tiny_checkpoint, corpus[0].parent, out]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith(f"SourceError {errno.EACCES} cannot write"), done
    assert str(out) in done.stdout
    out.chmod(0o755)
    assert {name: expected[name] for name in job_cases.contents(out)} == job_cases.contents(out)


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(tiny_checkpoint, tmp_path):
    corpus, out = job_cases.write_corpus(tmp_path, sizes=(12_000,)), tmp_path / "out"
    command = [*MODULE, "embed", str(corpus[0]), "-o", f"{out}/", "--shard-rows", "500"]
    command += ["-m", str(tiny_checkpoint), "--backend", "numpy", "--truncation", "silent", "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_signals)
    while process.poll() is None and not (out / "part-000001.parquet").exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGINT, told
    kept = 500 * len(list(out.glob("part-*")))
    assert f"{kept:,} of 12,000 rows are kept in {out}; the same command continues" in told
    assert not [path for path in out.iterdir() if path.name.startswith(".minembed")]
