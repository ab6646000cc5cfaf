"""Jobs on an object store, as far as that needs no server: a store in memory; on moto's server in check_s3.py."""

import errno
import pickle
import threading

import job_cases
import pytest
from command import run

from minembed import Index, jobs
from minembed.errors import InputError, SourceError
from minembed.jobs import claims, on_ray
from minembed.jobs.local import Job
from minembed.jobs.planning import Request, plan_job
from minembed.runtime import store
from minembed.runtime.places import as_place, files_below, is_inside, is_url, matching
from minembed.runtime.store import StorePath

fs = pytest.importorskip("pyarrow.fs")


class Memory:
    """A store in memory, whose folders come and go with what is in them; `fail(name, path)` may raise."""

    def __init__(self, folder):
        self.disk, self.fail = fs.SubTreeFileSystem(str(folder), fs.LocalFileSystem()), lambda name, path: None

    def __getattr__(self, name):
        def call(path, **options):
            self.fail(name, path)
            if name == "open_output_stream":
                self.disk.create_dir(path.rpartition("/")[0])
            return getattr(self.disk, name)(path, **options)

        return call


@pytest.fixture
def memory(tmp_path, monkeypatch):
    (tmp_path / "store" / "shop").mkdir(parents=True)
    made = Memory(tmp_path / "store")
    monkeypatch.setattr(store, "store_of", lambda scheme, bucket: made)
    monkeypatch.setattr(claims, "BEAT", 0.02)
    return made


def embed(inputs, output, model, **options):
    return jobs.embed(inputs, output, model, **{"shard_rows": 20, "truncation": "silent"} | options)


def shards_of(folder):
    return {path.name: read(path) for path in files_below(folder) if path.name.startswith("part-")}


def read(path):
    with path.open("rb") as file:
        return file.read()


def test_names():
    assert str(as_place("S3://shop/a b/c%20d.csv/")) == "s3://shop/a b/c%20d.csv"
    assert as_place(store.Path("s3://shop/a")) == as_place("s3://shop/a")  # pathlib makes one slash of two
    assert as_place("file:///data/a%20b.csv") == store.Path("/data/a b.csv")
    assert as_place("s3.csv") == store.Path("s3.csv") and not is_url("c:/a.csv") and is_url("S3://a")
    for wrong, message in (
        ("https://a.org/b.csv", "of URLs, s3://, gs:// and file:// are read"),
        ("az://a/b", "of URLs, s3://"),
        ("file://other/data", "a file on another machine"),
        ("s3://", "cannot name an object"),
        ("s3://shop//a", "cannot name an object"),
        ("s3://shop/../a", "cannot name an object"),
        ("s3://key:secret@shop/a", "credentials and endpoints are set in the environment"),
    ):
        with pytest.raises(InputError, match=message) as caught:
            as_place(wrong)
        assert "secret" not in str(caught.value)
    assert is_inside(as_place("s3://shop/a/b"), as_place("s3://shop/a"))
    assert not is_inside(as_place("s3://shop/ab"), as_place("s3://shop/a"))
    assert not is_inside(as_place("gs://shop/a"), as_place("s3://shop"))


def test_patterns_mean_the_same_as_on_a_disk(memory, tmp_path, monkeypatch):
    names = ["a.csv", "b.csv", "b.txt", ".c.csv", "in/a.csv", "in/.d/x.csv", "in/e/f.csv", "in2/g.csv", "[z].csv"]
    for name in names:
        (tmp_path / "store" / "shop" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "store" / "shop" / name).write_text("x")
    monkeypatch.chdir(tmp_path / "store" / "shop")
    for pattern in ("*.csv", "?.csv", "**/*.csv", "**", "in*/*", "in/**/f.csv", ".*", "[!a]*", "in/.d/*", "*/e/*"):
        there = [str(path) for path in matching(pattern)]
        found = [str(path.relative_to(as_place("s3://shop"))) for path in matching(f"s3://shop/{pattern}")]
        assert found == there, pattern
    with pytest.raises(InputError, match="cannot stand for a bucket"):
        matching("s3://sho*/a.csv")
    assert [path.name for path in files_below(as_place("s3://shop/in"))] == ["x.csv", "a.csv", "f.csv"]


def test_a_file_is_read_in_parts(memory, tmp_path, monkeypatch):
    content = bytes(range(256)) * 40
    (tmp_path / "store" / "shop" / "a").write_bytes(content)
    monkeypatch.setattr(store, "BLOCK", 1000)
    with as_place("s3://shop/a").open() as file:
        assert file.read(3) == content[:3] and file.tell() == 3
        assert file.seek(-5, 2) == len(content) - 5 and file.read() == content[-5:] and file.read(4) == b""
        file.seek(900)
        assert file.read(5000) == content[900:5900]
        assert file.read() == content[5900:]
    with pytest.raises(FileNotFoundError):
        as_place("s3://shop/none").open()
    with pytest.raises(FileNotFoundError):
        as_place("s3://shop").stat()
    as_place("s3://shop/none").unlink()


@pytest.mark.parametrize("form", ["parquet", "safetensors"])
def test_a_job_has_the_bytes_of_one_on_a_disk(memory, model, tmp_path, form):
    corpus = job_cases.write_corpus(tmp_path, gap=7)
    for path in corpus:
        as_place(f"s3://shop/in/{path.name}").put(path.read_bytes())
    as_place("s3://shop/in/LICENSE").put(b"free")
    embed(corpus, tmp_path / "out", model, form=form, missing="skip")
    local = shards_of(tmp_path / "out")
    assert len(local) == 4
    options = {"form": form, "missing": "skip"}
    assert embed("s3://shop/in", "s3://shop/out", model, **options).made == 4
    assert shards_of(as_place("s3://shop/out")) == local
    assert embed("s3://shop/in/*.csv", "s3://shop/out/", model, **options).made == 0
    assert embed([path.as_uri() for path in corpus], "s3://shop/out", model, **options).made == 0
    (tmp_path / "store/shop/out" / f"part-000001.{form}").unlink()
    damaged = tmp_path / "store/shop/out" / f"part-000002.{form}"
    damaged.write_bytes(damaged.read_bytes()[:-5])
    state = jobs.status("s3://shop/out")
    assert (state.shards_done, state.finished, state.working) == (2, False, False)
    assert embed(corpus, "gs://shop/out", model, **options).made == 2
    assert shards_of(as_place("s3://shop/out")) == local
    state = jobs.status("s3://shop/out")
    assert state.finished and state.lines()[0].startswith("s3://shop/out: 65 of 65 rows")
    assert jobs.index("s3://shop/out", tmp_path / "index") == jobs.index(tmp_path / "out", tmp_path / "other") == 63
    one, other = (Index.load(tmp_path / folder) for folder in ("index", "other"))
    assert (one.ids, one.texts, one.fields) == (other.ids, other.texts, other.fields)
    assert (one.vectors == other.vectors).all()
    assert not [path for path in files_below(as_place("s3://shop")) if path.name.startswith(claims.PREFIX)]


def test_what_is_refused(memory, model, tmp_path):
    corpus = job_cases.write_corpus(tmp_path)
    embed(corpus, "s3://shop/out", model)
    with pytest.raises(InputError, match=r"s3://shop/out holds a job with another setting \(truncate_dim"):
        embed(corpus, "s3://shop/out", model, truncate_dim=4)
    corpus[0].write_text(corpus[0].read_text().replace("bread", "toast"))
    with pytest.raises(InputError, match=r"0\.csv changed since the job began"):
        embed(corpus, "s3://shop/out", model)
    as_place("s3://shop/other/notes").put(b"mine")
    with pytest.raises(InputError, match=r"s3://shop/other has files that no job made \(notes\)"):
        embed(corpus, "s3://shop/other", model)
    with pytest.raises(InputError, match="is in the folder of the job itself"):
        embed("s3://shop/out/part-000000.parquet", "s3://shop/out", model)
    with pytest.raises(InputError, match="there is no such file or folder"):
        embed("s3://shop/none.csv", "s3://shop/new", model)
    with pytest.raises(InputError, match=r"s3://shop/\*\.none: no file has a name like that"):
        embed("s3://shop/*.none", "s3://shop/new", model)


def test_older_vectors_by_url(memory, model, tmp_path):
    corpus = job_cases.write_corpus(tmp_path)
    embed(corpus[0], "s3://shop/old", model)
    assert embed(corpus, "s3://shop/new", model, reuse="s3://shop/old").reused > 40
    embed(corpus, tmp_path / "out", model)
    assert shards_of(as_place("s3://shop/new")) == shards_of(tmp_path / "out")


def test_a_worker_of_ray_needs_no_common_disk(memory, model, tmp_path, monkeypatch):
    corpus = job_cases.write_corpus(tmp_path)
    for path in corpus:
        as_place(f"s3://shop/in/{path.name}").put(path.read_bytes())
    embed("s3://shop/in/0.csv", "s3://shop/old", model)
    request = Request(
        ["s3://shop/in"],
        as_place("s3://shop/out"),
        shard_rows=20,
        options={"truncation": "silent"},
        reuse=as_place("s3://shop/old"),
        engine="ray",
    )
    job = Job(request, model, *plan_job(request, model))
    order = pickle.loads(pickle.dumps(on_ray.order_of(job)))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    worker = on_ray.Worker(order)
    assert sum(worker.make(number).reused for number in (2, 0, 3, 1)) > 40
    embed(corpus, tmp_path / "out", model)
    assert shards_of(as_place("s3://shop/out")) == shards_of(tmp_path / "out")


def test_every_request_fails_in_turn(memory, model, tmp_path):
    """A named error that loses nothing, and the same call goes on to the same bytes."""
    corpus = job_cases.write_corpus(tmp_path)
    embed(corpus, tmp_path / "local", model)
    expected, count = shards_of(tmp_path / "local"), [0]
    numbers = [*range(12), *range(12, 300, 7)]
    for n in numbers:
        count[0] = 0

        def fail(name, path, n=n):
            if threading.current_thread() is threading.main_thread():
                count[0] += 1
                if count[0] == n + 1:
                    raise OSError("AWS Error SLOW_DOWN during Some operation: no")

        memory.fail, out = fail, as_place(f"s3://shop/out{n}")
        try:
            embed(corpus, out, model)
        except SourceError as error:
            assert error.errno == errno.EAGAIN and "s3://shop/" in str(error) and "an error of its own" in str(error)
        memory.fail = lambda name, path: None
        kept = shards_of(out)
        assert all(expected[name] == content for name, content in kept.items())
        embed(corpus, out, model)
        assert shards_of(out) == expected
        if count[0] <= n:
            break
    assert n > 20


def test_a_claim_that_ends_while_it_is_looked_for_was_not_taken_away(memory):
    out, looking, ended = as_place("s3://shop/out"), threading.Event(), threading.Event()

    def slow(name, path):
        if threading.current_thread().name == "minembed-claim":
            looking.set()
            assert ended.wait(20)

    with claims.claimed(out, InputError("busy")):
        memory.fail = slow
        assert looking.wait(20)
    ended.set()
    for thread in [one for one in threading.enumerate() if one.name == "minembed-claim"]:
        thread.join(20)
    claims.check_claim(out)


def test_two_processes(memory, model, tmp_path, monkeypatch):
    corpus, out, busy = job_cases.write_corpus(tmp_path), as_place("s3://shop/out"), InputError("busy")
    with claims.claimed(out, busy):
        assert claims.is_claimed(out)
        with pytest.raises(InputError, match="another process works on the job in s3"):
            embed(corpus, out, model)
        with pytest.raises(InputError, match="busy"), claims.claimed(out, busy):
            pass
    assert not claims.is_claimed(out)
    claim = out / f"{claims.PREFIX}0.json"
    claim.put(b'{"machine": "%s", "pid": 999999999, "started": "1"}' % claims._machine().encode())
    assert not claims.is_claimed(out)
    embed(corpus, out, model)  # its process is gone
    assert not claim.exists()


def test_a_process_on_another_machine(memory, model, tmp_path, monkeypatch):
    corpus, out = job_cases.write_corpus(tmp_path), as_place("s3://shop/out")
    monkeypatch.setattr(claims, "LOOK", 0.01)
    monkeypatch.setattr(claims, "PATIENCE", 0.2)
    claim, ended = out / f"{claims.PREFIX}0.json", threading.Event()
    claim.put(b"{}")
    embed(corpus, out, model)  # it does not move
    assert not claim.exists()

    def move():
        while not ended.wait(0.02):
            claim.put(b'{"machine": "other"}')

    moving = threading.Thread(target=move)
    moving.start()
    try:
        while not claim.exists():
            pass
        assert claims.is_claimed(out)
        with pytest.raises(InputError, match="another process works"):
            embed(corpus, out, model)
    finally:
        ended.set()
        moving.join()


def test_a_process_that_was_taken_for_gone(memory, model, tmp_path):
    corpus, out = job_cases.write_corpus(tmp_path), as_place("s3://shop/out")
    embed(corpus, out, model)
    with claims.claimed(out, InputError("busy")):
        own = next(path for path in files_below(out) if path.name.startswith(claims.PREFIX))
        own.unlink()
        for _ in range(500):
            if str(out) in claims._LOST:
                break
            threading.Event().wait(0.01)
        with pytest.raises(InputError, match="another went on with the job"):
            claims.check_claim(out)
    claims.check_claim(out)


def test_reasons(memory, tmp_path):
    """What a store says becomes a named error with an errno."""
    path = StorePath.parse("s3://shop/a")
    for told, code, message in (
        ("AWS Error ACCESS_DENIED during HeadObject operation: No response body.", errno.EACCES, "AWS_PROFILE"),
        ("AWS Error NO_SUCH_BUCKET during X", errno.ENOENT, "no such bucket"),
        ("AWS Error NETWORK_CONNECTION during X: curlCode: 28, Timeout was reached", errno.ETIMEDOUT, "in time"),
        ("AWS Error NETWORK_CONNECTION during X: curlCode: 7, no", errno.ECONNREFUSED, "AWS_ENDPOINT_URL"),
        ("AWS Error UNKNOWN (HTTP status 502) during X", errno.EAGAIN, "5 times"),
        ("something else", errno.EIO, "something else"),
    ):

        def fail(name, where, told=told):
            raise OSError(told)

        memory.fail = fail
        for attempt in (path.exists, path.open, path.listed, path.unlink, lambda: path.put(b"a")):
            with pytest.raises(SourceError, match=message) as caught:
                attempt()
            assert caught.value.errno == code and "s3://shop/a" in str(caught.value)


def test_the_command(memory, tmp_path, tiny_checkpoint):
    corpus = job_cases.write_corpus(tmp_path)
    said = ["-m", tiny_checkpoint, "--backend", "numpy", "--truncation", "silent"]
    _, told = run("embed", *corpus, "-o", "s3://shop/out/", *said)
    assert told.endswith("s3://shop/out: 65 vectors, in 1 shard\n")
    out, _ = run("embed", "-o", "s3://shop/out", "--status")
    assert out == f"s3://shop/out: 65 of 65 rows (100.0 %), 1 of 1 shards, {tiny_checkpoint}\nfinished\n"
    _, told = run("index", "s3://shop/out", "-o", tmp_path / "index")
    assert "65 passages" in told
    _, told = run("embed", corpus[0], "-o", "s3://shop/a.npy", *said, code=2)
    assert "at a URL, shards are written into a folder" in told
    _, told = run("embed", "-i", "s3://shop/a.csv", "-o", tmp_path / "a.npy", *said, code=2)
    assert "becomes a folder of shards" in told
    _, told = run("embed", corpus[0], "-o", "az://shop/out/", *said, code=1)
    assert "of URLs, s3://, gs:// and file://" in told
    _, told = run("index", "s3://shop/none", "-o", tmp_path / "other", code=1)
    assert "s3://shop/none holds no job" in told
