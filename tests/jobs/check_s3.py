"""Jobs on S3, as moto's server plays it on this machine: `make test-s3`.  There is no network but loopback.

Every folder has the bytes of the same job on a disk, whatever is killed, fails or is damaged meanwhile.
"""

import errno
import json
import os
import random
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request

import faults
import job_cases
import pytest
import store_server
from command import MODULE, heeds_signals

from minembed import Index, jobs
from minembed.errors import InputError, SourceError
from minembed.jobs import claims
from minembed.runtime import store_access
from minembed.runtime.places import as_place, files_below

KILLS = int(os.environ.get("KILLS", "20"))
SCRIPT = """
    import sys
    from minembed import Embedder, jobs
    model = Embedder.load(sys.argv[1], backend="numpy", threads=1)
    print("ready", flush=True)
    sys.stdin.readline()
    jobs.embed(sys.argv[2], sys.argv[3], model, shard_rows=20, truncation="silent")
"""


@pytest.fixture(scope="module")
def endpoint():
    with store_server.server() as url:
        urllib.request.urlopen(urllib.request.Request(f"{url}/shop", method="PUT")).close()
        yield url


@pytest.fixture(autouse=True)
def surroundings(endpoint, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def proxy(endpoint, monkeypatch):
    made = store_server.Proxy(endpoint)
    with made.serving() as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        monkeypatch.setattr(store_access, "ATTEMPTS", 2)  # waits of seconds otherwise
        store_access._opened.cache_clear()
        yield made
    store_access._opened.cache_clear()


@pytest.fixture(scope="module")
def local(model, tmp_path_factory):
    """A corpus, and the shards that it becomes on a disk."""
    folder = tmp_path_factory.mktemp("local")
    corpus = job_cases.write_corpus(folder)
    embed(corpus, folder / "out", model)
    return corpus, shards_of(folder / "out")


@pytest.fixture
def out(request):
    return as_place(f"s3://shop/out/{abs(hash(request.node.nodeid))}")


def embed(inputs, output, model, **options):
    return jobs.embed(inputs, output, model, **{"shard_rows": 20, "truncation": "silent"} | options)


def read(path):
    with path.open("rb") as file:
        return file.read()


def shards_of(folder):
    return {path.name: read(path) for path in files_below(folder) if path.name.startswith("part-")}


def assert_whole(out, local):
    """All shards are there, as on a disk, the manifest says so, and nothing else is there."""
    assert shards_of(out) == local[1]
    manifest = json.loads(read(out / "manifest.json"))
    assert [shard["name"] for shard in manifest["shards"]] == list(local[1])
    assert {path.name for path in files_below(out)} == {*local[1], "job.json", "manifest.json"}


@pytest.mark.parametrize("form", ["parquet", "safetensors"])
def test_undisturbed(local, model, out, tmp_path, form):
    for path in local[0]:
        (out / "in" / path.name).put(path.read_bytes())
    embed(local[0], tmp_path / "out", model, form=form)
    for inputs in (local[0], f"{out}/in", f"{out}/in/?.csv"):
        assert embed(inputs, out / "vectors", model, form=form).made == (4 if inputs is local[0] else 0)
    assert_whole(out / "vectors", (None, shards_of(tmp_path / "out")))
    assert jobs.index(out / "vectors", tmp_path / "index") == 65
    jobs.index(tmp_path / "out", tmp_path / "other")
    query = model.encode("rye bread")
    assert Index.load(tmp_path / "index").search(query) == Index.load(tmp_path / "other").search(query)


def test_tables_of_arrow_and_packed_ones(local, model, out, tmp_path):
    import gzip

    import pyarrow.csv
    import pyarrow.parquet

    for name, write in (("a.parquet", True), ("a.csv.gz", False)):
        path = tmp_path / name
        if write:
            pyarrow.parquet.write_table(pyarrow.csv.read_csv(local[0][0]), path, row_group_size=7)
        else:
            path.write_bytes(gzip.compress(local[0][0].read_bytes()))
        (out / name).put(path.read_bytes())
        embed(path, tmp_path / f"{name}-out", model)
        embed(f"{out}/{name}", out / f"{name}-out", model)
        assert shards_of(out / f"{name}-out") == shards_of(tmp_path / f"{name}-out")


def test_kills(local, model, tiny_checkpoint, out):
    """SIGKILL at random moments; what is there is whole, and the same call goes on at once."""
    dice, stopped = random.Random(5), set()

    def start():
        return faults.start(textwrap.dedent(SCRIPT), tiny_checkpoint, f"{local[0][0].parent}/*.csv", out)

    process = start()
    began = time.perf_counter()
    faults.go(process)
    process.communicate()
    seconds = time.perf_counter() - began
    assert process.returncode == 0
    for _ in range(KILLS):
        names = {path.name for path in files_below(out)}
        for name in {"manifest.json", *dice.sample(sorted(local[1]), 2), *(names if dice.random() < 0.3 else ())}:
            (out / name).unlink()
        process = start()
        faults.go(process)
        time.sleep(dice.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept = shards_of(out)
        assert all(local[1][name] == content for name, content in kept.items())
        stopped.add(len(kept))
    assert len(stopped) > 1
    began = time.monotonic()
    embed(local[0], out, model)
    assert time.monotonic() - began < claims.PATIENCE / 2  # no claim of a process that is gone was waited for
    assert_whole(out, local)


@pytest.mark.parametrize("fault", ["500", "403"])
def test_every_request_that_fails(proxy, local, model, out, fault):
    """Each request that writes fails in turn, and each eighth of the others."""
    proxy.fault = lambda *about: None
    embed(local[0], out / "all", model)
    writes = [i for i, (method, _, _) in enumerate(proxy.requests) if method in ("PUT", "POST")]
    rest = [i for i in range(len(proxy.requests)) if i not in writes]
    for n in [*writes[:: 1 if fault == "403" else 6], *rest[:: 8 if fault == "403" else 24]]:
        proxy.requests.clear()
        failed = []

        def fail(method, path, query, number, n=n, failed=failed):
            key = (method, path, query.partition("uploadId")[0])
            if len(proxy.requests) == n + 1 and not failed:
                failed.append(key)
            return fault if key in failed else None  # and when it is tried again

        proxy.fault, folder = fail, out / f"{n}"
        try:
            embed(local[0], folder, model)
        except SourceError as error:
            assert error.errno == {"500": errno.EAGAIN, "403": errno.EACCES}[fault], error
            assert str(folder) in str(error)
        proxy.fault = lambda *about: None
        kept = shards_of(folder)
        assert all(local[1][name] == content for name, content in kept.items())
        embed(local[0], folder, model)
        assert_whole(folder, local)


@pytest.mark.parametrize("fault", ["drop", "half", "503"])
def test_reading_that_fails(proxy, local, model, out, tmp_path, fault):
    (out / "in.csv").put(local[0][0].read_bytes())
    times = []

    def once(method, path, query, number):
        if method == "GET" and path.endswith("in.csv") and len(times) < 1:
            times.append(1)
            return fault
        return None

    proxy.fault = once
    embed(out / "in.csv", tmp_path / "once", model)  # it is asked for again
    proxy.fault = lambda method, path, query, number: fault if method == "GET" and path.endswith("in.csv") else None
    with pytest.raises(SourceError, match=r"cannot read s3://.*in\.csv") as caught:
        embed(out / "in.csv", tmp_path / "always", model)
    assert caught.value.errno in (errno.ECONNREFUSED, errno.EAGAIN)
    proxy.fault = lambda *about: None
    embed(out / "in.csv", tmp_path / "always", model)
    assert shards_of(tmp_path / "always") == shards_of(tmp_path / "once")


def test_a_store_that_is_down_damages_nothing(proxy, local, model, out):
    """Shards that cannot be looked at are not made anew."""
    embed(local[0], out, model)
    proxy.fault = lambda method, path, query, number: "500" if "part-" in path else None
    with pytest.raises(SourceError, match="an error of its own"):
        embed(local[0], out, model)
    with pytest.raises(SourceError, match="an error of its own"):
        jobs.status(out)
    proxy.fault = lambda *about: None
    assert embed(local[0], out, model).made == 0


def test_truncated_and_foreign_objects(local, model, out, caplog):
    embed(local[0], out, model)
    names = list(local[1])
    (out / names[0]).put(local[1][names[0]][:-7])
    (out / names[1]).put(local[1][names[2]])  # of another number
    (out / names[3]).put(b"")
    assert jobs.status(out).shards_done == 1
    with caplog.at_level("INFO", "minembed"):
        assert embed(local[0], out, model).made == 3
    assert f"{out / names[0]} is damaged or of another job: it is made anew" in caplog.text
    assert_whole(out, local)


def test_what_changed_is_refused(local, model, out, tmp_path):
    (out / "in.csv").put(local[0][0].read_bytes())
    embed(f"{out}/in.csv", out / "vectors", model)
    with pytest.raises(InputError, match="another setting"):
        embed(f"{out}/in.csv", out / "vectors", model, truncate_dim=4)
    (out / "in.csv").put(local[0][0].read_bytes().replace(b"bread", b"toast"))
    with pytest.raises(InputError, match=r"in\.csv changed since the job began"):
        embed(f"{out}/in.csv", out / "vectors", model)
    (out / "in.csv").put(local[0][0].read_bytes())
    assert embed(f"{out}/in.csv", out / "vectors", model).made == 0  # the bytes are the same again
    (out / "mine" / "notes").put(b"mine")
    with pytest.raises(InputError, match="has files that no job made"):
        embed(local[0], out / "mine", model)


def test_two_processes(proxy, local, model, tiny_checkpoint, out):
    proxy.seconds = 4.0
    proxy.fault = lambda method, path, query, number: "slow" if "part-000001" in path and method == "PUT" else None
    process = faults.start(textwrap.dedent(SCRIPT), tiny_checkpoint, f"{local[0][0].parent}/*.csv", out)
    faults.go(process)
    while not (out / "part-000000.parquet").exists():
        assert process.poll() is None, process.communicate()
    assert jobs.status(out).working
    with pytest.raises(InputError, match="another process works on the job"):
        embed(local[0], out, model)
    process.communicate()
    assert process.returncode == 0 and not jobs.status(out).working
    assert_whole(out, local)


def test_many_that_begin_together(proxy, local, model, tiny_checkpoint, out):
    """At most one works; whoever is told to wait may say the same again."""
    proxy.seconds = 0.3
    proxy.fault = lambda method, path, query, number: "slow" if "part-" in path and method == "PUT" else None
    for number in range(4):
        folder = out / str(number)
        started = [
            faults.start(textwrap.dedent(SCRIPT), tiny_checkpoint, f"{local[0][0].parent}/*.csv", folder)
            for _ in range(4)
        ]
        for process in started:
            faults.go(process)
        for process in started:
            process.communicate()
        assert {process.returncode for process in started} <= {0, 1}
        put = [path for method, path, query in proxy.requests if method == "POST" and f"{number}/part-" in path]
        assert len(put) == 2 * len(set(put))  # each is begun and ended once
        assert shards_of(folder) in ({}, local[1])
        embed(local[0], folder, model)
        assert_whole(folder, local)
        proxy.requests.clear()


def test_wrong_credentials_and_places(proxy, local, model, out, monkeypatch, tmp_path):
    with pytest.raises(SourceError, match=r"cannot write s3://nowhere/.*there is no such bucket") as caught:
        embed(local[0], "s3://nowhere/out", model)
    assert caught.value.errno == errno.ENOENT
    with pytest.raises(InputError, match=r"s3://nowhere/a\.csv: there is no such file or folder"):
        embed("s3://nowhere/a.csv", tmp_path / "out", model)
    proxy.fault = lambda *about: "403"
    with pytest.raises(SourceError, match="access is denied: look at the credentials") as caught:
        embed(local[0], out, model)
    assert caught.value.errno == errno.EACCES
    with pytest.raises(SourceError, match="access is denied"):
        embed(f"{out}/a.csv", tmp_path / "out", model)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SourceError, match="it cannot be reached") as caught:
        embed(local[0], out, model)
    assert caught.value.errno == errno.ECONNREFUSED
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with pytest.raises(SourceError, match="cannot "):
        embed(local[0], out, model)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").glob("part-*"))


def test_a_full_disk_for_temporary_files(local, model, tiny_checkpoint, out):
    """A limit of the size of files stands for the full disk."""
    body = """
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        from minembed import Embedder, jobs
        model = Embedder.load(sys.argv[1], backend="numpy", threads=1)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
        try: jobs.embed(sys.argv[2], sys.argv[3], model, shard_rows=20, truncation="silent")
        except OSError as e: print(type(e).__name__, e.errno, e)
    """
    command = [sys.executable, "-c", textwrap.dedent(body), tiny_checkpoint, f"{local[0][0].parent}/*.csv", out]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120, check=True)
    told = f"SourceError {errno.EFBIG} cannot prepare {out / 'part-000000.parquet'}: "
    assert done.stdout.startswith(told) and "TMPDIR" in done.stdout, done
    embed(local[0], out, model)
    assert_whole(out, local)


def test_ctrl_c_and_the_command(proxy, local, model, tiny_checkpoint, out, tmp_path):
    proxy.seconds = 30
    proxy.fault = lambda method, path, query, number: "slow" if "part-000002" in path and method == "POST" else None
    command = [*MODULE, "embed", *map(str, local[0]), "-o", f"{out}/", "--shard-rows", "20"]
    command += ["-m", str(tiny_checkpoint), "--backend", "numpy", "--truncation", "silent", "--threads", "1"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_signals)
    while not (out / "part-000001.parquet").exists():
        assert process.poll() is None
    proxy.fault = lambda *about: None
    process.send_signal(signal.SIGINT)
    told = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGINT, told
    assert f"of 65 rows are kept in {out}; the same command continues" in told
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert f"{out}: 65 vectors, in 4 shards" in done.stderr
    assert_whole(out, local)
    status = subprocess.run([*MODULE, "embed", "-o", f"{out}/", "--status"], capture_output=True, text=True, check=True)
    assert status.stdout.endswith("finished\n")
    index = [*MODULE, "index", str(out), "-o", str(tmp_path / "index")]
    subprocess.run(index, capture_output=True, check=True)
    assert len(Index.load(tmp_path / "index")) == 65


def test_an_object_in_several_parts(proxy, out, tmp_path):
    """Where a part cannot be put, there is no object, and what was there before stays."""
    content, path = os.urandom(33 << 20), tmp_path / "content"
    path.write_bytes(content)
    with path.open("rb") as file:
        out.put(file)
        assert read(out) == content
        for old in (True, False):
            for part in ("partNumber=1", "partNumber=3", "uploadId"):
                proxy.fault = lambda method, path, query, number, part=part: "403" if part in query else None
                with pytest.raises(SourceError, match="access is denied"):
                    (out if old else out / part).put(file)
                proxy.fault = lambda *about: None
                assert read(out) == content if old else not (out / part).exists()
    times = []

    def twice(method, path, query, number):
        if "partNumber=2" in query and not times:
            times.append(1)
            return "drop"
        return None

    proxy.fault = twice
    (out / "again").put(content)
    assert times and read(out / "again") == content
