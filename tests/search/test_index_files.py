"""Index files: what is written, what damage is found, and what is left when a process or a disk dies on the way."""

import errno
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time

import faults
import numpy as np
import pytest
from faults import mutate_json, mutate_safetensors
from interrupts import interrupt as interrupt_often
from interrupts import needs_timer
from safetensors.numpy import load_file

from minembed import Index, MinembedError
from minembed.errors import IndexFileError, InputError, SourceError
from minembed.runtime import files
from minembed.runtime.checksums import crc32_of_json
from minembed.search import index_saving, index_stored
from minembed.search.index_blocks import PRECISIONS

TEXTS = ["one", "zwei 中文 🙂", 'a "quoted"\nline\u2028', "", "lone \ud800", "\0", None]


def random_rows(rows, width, seed):
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def make(precision="float32", seed=1, metric="cosine"):
    rows = random_rows(len(TEXTS), 5, seed)
    index = Index.build(rows, metric=metric, precision=precision, metadata={"seed": seed})
    index.remove(list(range(len(TEXTS))))
    for i, (row, text) in enumerate(zip(rows, TEXTS, strict=True)):
        index.add([row], None if text is None else [text], ids=[f"ß{i}" if i % 2 else i - 3])
    return index


def answers(index):
    """All that an index can say."""
    queries = random_rows(3, 5, 9)
    says = len(index), index.ids, index.texts, index.dimension, index.metric, index.precision, index.metadata
    return says, index.model, index.search(queries, k=4), index.search(queries[0], k=0)


def data_of(folder):
    (data,) = folder.glob("data-*")
    return data


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# --- what is written ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verify", [None, True, False])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_there_and_back(precision, verify, tmp_path):
    index = make(precision)
    index.save(str(tmp_path / "a" / "index"))
    loaded = Index.load(str(tmp_path / "a" / "index"), verify=verify)
    assert answers(loaded) == answers(index)
    for one in (index, loaded):
        one.add([[1, 2, 3, 4, 5]])
        one.remove(["ß1", -3])
    loaded.save(tmp_path / "a" / "index")  # in place of what it reads from
    assert answers(loaded) == answers(index) == answers(Index.load(tmp_path / "a" / "index"))
    assert index.ids[-1] == 7


def test_the_files(tmp_path):
    make("int8").save(tmp_path)
    files = ["index.safetensors", "pieces.crc32", "texts.jsonl"]
    assert len(names(tmp_path)) == 2 and names(data_of(tmp_path)) == files
    tensors = load_file(data_of(tmp_path) / "index.safetensors")
    assert {name: (array.dtype.str, array.shape) for name, array in tensors.items()} == {
        "offsets": ("<i8", (8,)),
        "vectors": ("<f4", (7, 5)),
        "levels": ("|u1", (7, 64)),
        **{name: ("<f4", (7,)) for name in ("scales", "lengths", "errors")},
    }
    np.testing.assert_array_equal(tensors["vectors"], random_rows(7, 5, 1))
    lines = (data_of(tmp_path) / "texts.jsonl").read_bytes().split(b"\n")
    assert [json.loads(line) for line in lines[:-1]] == [
        {"id": f"ß{i}" if i % 2 else i - 3, "text": text} for i, text in enumerate(TEXTS)
    ]
    make("binary").save(tmp_path)
    assert load_file(data_of(tmp_path) / "index.safetensors")["bits"].shape == (7, 1)
    facts = json.loads((tmp_path / "index.json").read_text())
    assert facts["count"] == 7 and facts["precision"] == "binary" and facts["metadata"] == {"seed": 1}


def test_fields_stand_beside_the_text_and_nothing_stands_where_there_are_none(tmp_path):
    index = Index.build(np.ones((2, 2)), ["a", "ö"], fields=[{"price": 2.5, "tags": ["x"]}, None])
    index.save(tmp_path)
    lines = ['{"id": 0, "text": "a", "fields": {"price": 2.5, "tags": ["x"]}}\n', '{"id": 1, "text": "ö"}\n']
    assert (data_of(tmp_path) / "texts.jsonl").read_bytes() == "".join(lines).encode()
    Index.load(tmp_path).save(tmp_path)
    assert (data_of(tmp_path) / "texts.jsonl").read_bytes() == "".join(lines).encode()


def test_an_empty_index_is_saved(tmp_path):
    for precision in PRECISIONS:
        Index.build(np.zeros((0, 3)), precision=precision).save(tmp_path)
        index = Index.load(tmp_path)
        assert len(index) == 0 and index.search([1, 2, 3]) == []


def test_opening_reads_next_to_nothing(tmp_path):
    Index.build(random_rows(20_000, 64, 2), ["text"] * 20_000).save(tmp_path)
    path = data_of(tmp_path) / "index.safetensors"
    with path.open("rb+") as file:  # damage at the end
        file.seek(-4, os.SEEK_END)
        file.write(b"\xff\xff")
    index = Index.load(tmp_path)
    assert len(index) == 20_000
    with pytest.raises(IndexFileError, match=r"index\.safetensors was changed after it was written"):
        index.search(np.ones(64))
    for call in (lambda: index.vectors, lambda: index.save(tmp_path / "other")):
        with pytest.raises(IndexFileError):
            call()
    assert not (tmp_path / "other").exists()
    index.remove(1)  # which reads texts alone
    assert len(index.ids) == 19_999
    with pytest.raises(IndexFileError):
        Index.load(tmp_path, verify=True)
    assert len(Index.load(tmp_path, verify=False).search(np.ones(64))) == 10


def damage(path, at):
    with path.open("rb+") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


@pytest.mark.parametrize("precision", ["int8", "binary"])
def test_what_is_not_read_is_not_compared(precision, tier, tmp_path):
    """A search reads what it scans and the few rows that it scores; these are compared with their checksums."""
    rows = random_rows(9_000, 64, 3)
    Index.build(rows, ["text" * 10] * 9_000, precision=precision).save(tmp_path)
    path, texts = data_of(tmp_path) / "index.safetensors", data_of(tmp_path) / "texts.jsonl"
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    places = {name: entry["data_offsets"][0] for name, entry in json.loads(path.read_bytes()[8:header]).items()}
    start, row = header + places["vectors"], 4 * 64
    reads_all = precision == "int8" and tier == "numpy"  # which multiplies no bytes

    def answer():
        return Index.load(tmp_path).search(rows[4_000], k=1, backend=tier)[0].index

    damage(path, start + 6_000 * row)  # nowhere near the best row
    if reads_all:
        with pytest.raises(IndexFileError, match=r"index\.safetensors was changed"):
            answer()
        damage(path, start + 6_000 * row)
    assert answer() == 4_000
    damage(texts, 8_999 * 60)
    assert answer() == 4_000
    for file, at in (
        (path, header + places["levels" if precision == "int8" else "bits"]),
        (path, start + 4_000 * row),
        (path, header + places["offsets"] + 8 * 4_000),
        (texts, texts.read_bytes().index(b'{"id": 4000')),
    ):
        damage(file, at)
        if (file, at, reads_all) != (path, header + places.get("levels", 0), True):
            with pytest.raises(IndexFileError, match=f"{file.name} was changed after it was written"):
                answer()
        damage(file, at)
    assert answer() == 4_000
    with pytest.raises(IndexFileError):
        Index.load(tmp_path, verify=True)


def test_an_index_without_checksums_of_its_pieces(tmp_path):
    """As older versions wrote it: its files are compared as a whole."""
    make("int8").save(tmp_path)
    body = json.loads((tmp_path / "index.json").read_text())
    del body["files"]["pieces.crc32"], body["crc32"]
    (data_of(tmp_path) / "pieces.crc32").unlink()
    (tmp_path / "index.json").write_text(json.dumps(body | {"crc32": crc32_of_json(body)}))
    for verify in (None, True, False):
        assert answers(Index.load(tmp_path, verify=verify)) == answers(make("int8"))
    damage(data_of(tmp_path) / "index.safetensors", -1 + (data_of(tmp_path) / "index.safetensors").stat().st_size)
    with pytest.raises(IndexFileError):
        Index.load(tmp_path).search(np.ones(5))


def test_an_old_reader_keeps_what_it_has(tmp_path):
    make(seed=1).save(tmp_path)
    old = Index.load(tmp_path)
    make(seed=2).save(tmp_path)
    assert answers(old) == answers(make(seed=1)) and answers(Index.load(tmp_path)) == answers(make(seed=2))


def test_replaced_while_it_is_opened(tmp_path, monkeypatch):
    make(seed=1).save(tmp_path)
    real, moments = index_stored.read_manifest, []

    def read_manifest(folder):
        body = real(folder)
        if not moments:
            moments.append(1)
            make(seed=2).save(folder)  # removes the files of the first
        return body

    monkeypatch.setattr(index_stored, "read_manifest", read_manifest)
    assert Index.load(tmp_path).metadata == {"seed": 2}


def test_places_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for place in (tmp_path / "file", tmp_path / "full", "a\0b"):
        with pytest.raises(InputError):
            make().save(place)
    for place in (tmp_path / "file" / "index", tmp_path / ("x" * 300)):
        with pytest.raises(SourceError, match="cannot save the index to"):
            make().save(place)
    assert names(tmp_path) == ["file", "full"] and names(tmp_path / "full") == ["mine.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="no umask")
def test_who_may_read_it(tmp_path):
    before = os.umask(0o027)
    try:
        make().save(tmp_path / "index")
    finally:
        os.umask(before)
    for path in [tmp_path / "index", *(tmp_path / "index").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~0o027


@pytest.mark.parametrize("locks", [True, False])
def test_what_killed_processes_left_is_swept(tmp_path, monkeypatch, locks):
    """Of data that no index names it is known whose it is where there are locks, and else when it is old enough."""
    if not locks:
        monkeypatch.setattr(files, "fcntl", None)
    make().save(tmp_path)
    for name, age in {
        "data-" + "0" * 16: 7200,
        "data-" + "1" * 16: 60,
        ".minembed-x.tmp": 7200,
        "data-mine": 7200,
    }.items():
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    make().save(tmp_path)
    young = set() if locks and sys.platform != "win32" else {"data-" + "1" * 16}
    assert len(names(tmp_path)) == 3 + len(young) and young | {"data-mine", "index.json"} < set(names(tmp_path))


# --- damage ---------------------------------------------------------------------------------------------------------


def mutate_bytes(dice, content):
    data, kind, at = bytearray(content), dice.randrange(4), dice.randrange(len(content))
    if kind == 0:
        data[at] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del data[at : at + dice.choice([1, 8, len(data)])]
    elif kind == 2:
        data[at:at] = content[:: dice.choice([1, -1])][: dice.choice([1, 8, 100])]
    else:
        other = dice.randrange(len(data))
        data[at], data[other] = data[other], data[at]
    return bytes(data)


def mutate(dice, folder):
    """Damage one file; True where index.json was made to fit its checksum again."""
    manifest, data = folder / "index.json", data_of(folder)
    kind = dice.randrange(4)
    if kind == 0:
        path = data / "index.safetensors"
        path.write_bytes(mutate_safetensors(dice, path.read_bytes()))
    elif kind == 1:
        path = data / "texts.jsonl"
        path.write_bytes(mutate_bytes(dice, path.read_bytes()))
    else:
        content = mutate_json(dice, manifest.read_text())
        if kind == 3:
            try:
                body = json.loads(content)
                body.pop("crc32", None)
                content = json.dumps(body | {"crc32": crc32_of_json(body)}).encode()
            except (ValueError, TypeError, AttributeError):
                return False
        manifest.write_bytes(content)
    return kind == 3


def mutations(folder, rounds, seed):
    dice, refused = random.Random(seed), 0
    sources, expected = {}, {}
    for precision in PRECISIONS:
        make(precision).save(folder / precision)
        sources[precision], expected[precision] = folder / precision, answers(make(precision))
    for i in range(rounds):
        precision = dice.choice(PRECISIONS)
        place = shutil.copytree(sources[precision], folder / "mutant")
        fits = mutate(dice, place)
        try:
            said = answers(Index.load(place, verify=dice.choice([None, True])))
            assert fits or said == expected[precision], i
        except IndexFileError as error:
            refused += 1
            assert str(place) in str(error) and len(str(error)) < 1000, error
        shutil.rmtree(place)
    return refused


def test_mutants(tmp_path):
    assert mutations(tmp_path, 300, seed=1) > 200


@pytest.mark.slow
def test_many_mutants(tmp_path, amount):
    rounds = amount.rounds(5000)
    assert mutations(tmp_path, rounds, amount.seed(2)) > 0.6 * rounds


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 3}, "version 3 of the format"),
        ({"count": 8}, "8 rows of index.json take"),
        ({"count": -1}, "count is -1"),
        ({"count": 1 << 62, "dimension": 1 << 62}, "take"),
        ({"dimension": True}, "dimension is true"),
        ({"metric": "l3"}, "metric is"),
        ({"metric": []}, "metric is []"),
        ({"precision": "int4"}, "precision is"),
        ({"precision": "binary"}, "take"),
        ({"folder": "../data-0123456789abcdef"}, "folder is"),
        ({"folder": "data-0123456789abcdef"}, "is missing, though index.json names it"),
        ({"files": {}}, "files is"),
        ({"metadata": None}, "metadata is"),
        ({"metadata": {"x": "#" * (64 << 20)}}, "more than 67108864 bytes"),
        ({"format": "other"}, "is not the file of an index"),
    ],
)
def test_index_json_that_says_what_cannot_be(change, words, tmp_path):
    make().save(tmp_path)
    body = json.loads((tmp_path / "index.json").read_text()) | change
    body.pop("crc32")
    (tmp_path / "index.json").write_text(json.dumps(body | {"crc32": crc32_of_json(body)}))
    with pytest.raises(IndexFileError) as error:
        Index.load(tmp_path)
    assert words in str(error.value)


def test_numbers_that_json_has_not(tmp_path):
    make().save(tmp_path)
    text = (tmp_path / "index.json").read_text()
    for number in ("NaN", "Infinity", "1e400"):
        (tmp_path / "index.json").write_text(text.replace('"seed": 1', f'"seed": {number}'))
        with pytest.raises(IndexFileError, match="not sound JSON"):
            Index.load(tmp_path)


def test_metadata_that_could_not_be_read(tmp_path):
    with pytest.raises(InputError, match="metadata is too large"):
        Index.build(np.ones((1, 2)), metadata={"x": "#" * (64 << 20)}).save(tmp_path / "index")
    assert names(tmp_path) == []


def test_no_index_at_all(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "none", tmp_path / "file"):
        with pytest.raises(IndexFileError, match="holds no index"):
            Index.load(place)


def test_unverified_lines_that_are_no_records(tmp_path):
    make().save(tmp_path)
    path = data_of(tmp_path) / "texts.jsonl"
    bad_fields = [b'{"id": 1, "text": "", "fields": %b}' % value for value in (b"[]", b'"a"', b'{"b": NaN}')]
    for line in (b"x", b"[]", b'{"id": true, "text": ""}', b'{"id": 1, "text": 2}', b'{"id": 1}', *bad_fields):
        path.write_bytes(line.ljust(path.stat().st_size))
        with pytest.raises(IndexFileError, match="no id and text"):
            Index.load(tmp_path, verify=False).search(np.ones(5))


# --- disks that fail, processes that die ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "name"), [(os, "fsync"), (os, "rename"), (os, "replace"), (os, "mkdir"), (os, "open")]
)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.EACCES])
def test_a_call_that_fails(tmp_path, monkeypatch, owner, name, code, amount):
    if sys.version_info < (3, 11) and name in ("rename", "replace", "mkdir"):
        pytest.skip("pathlib of Python 3.10 calls the functions of os that were there when it was imported")
    place, real = tmp_path / "index", getattr(owner, name)
    make(seed=1).save(place)
    expected = [answers(make(seed=1)), answers(make(seed=2))]
    for n in range(99):
        calls = []

        def fail(*args, calls=calls, n=n, **kwargs):
            if name == "fsync" or "index" in str(args):
                calls.append(args)
                if len(calls) == n + 1:
                    raise OSError(code, os.strerror(code))
            return real(*args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            try:
                make(seed=2).save(place)
            except SourceError as error:
                assert error.errno == code and str(place) in str(error)
        assert answers(Index.load(place)) in expected
        if answers(Index.load(place)) == expected[0]:
            assert len(names(place)) == 2  # else the last sync may have failed: what was replaced is swept in an hour
        shutil.rmtree(place)
        make(seed=1).save(place)
        if len(calls) <= n:
            break
    assert 0 < n < 98
    amount.did(n)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk(tmp_path):
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from minembed import Index\n"
        "index = Index.build([[1.0, 2.0]] * 1000)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: index.save(sys.argv[1])\n"
        "except OSError as e: print(type(e).__name__, e.errno, e)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "index")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith(f"SourceError {errno.EFBIG} cannot save the index to {tmp_path / 'index'}")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    make(seed=1).save(tmp_path / "old")
    monkeypatch.setattr(os, "fsync", interrupt)
    for place in (tmp_path / "old", tmp_path / "new"):
        with pytest.raises(KeyboardInterrupt):
            make(seed=2).save(place)
    assert names(tmp_path) == ["old"] and len(names(tmp_path / "old")) == 2
    assert answers(Index.load(tmp_path / "old")) == answers(make(seed=1))


@needs_timer
@pytest.mark.parametrize(("times", "seed"), [(200, 1), pytest.param(5000, 2, marks=pytest.mark.slow)])
def test_interrupts_lose_no_index(tmp_path, times, seed, amount):
    """The old or the new, whole, after each; nothing but it after the next save."""
    times, seed = amount.rounds(times), amount.seed(seed)
    place, seen = tmp_path / "index", {1: 0, 2: 0}
    indexes = {n: Index.build(random_rows(20, 5, n), ["a"] * 20, metadata={"seed": n}) for n in seen}
    expected = {n: answers(index) for n, index in indexes.items()}
    indexes[1].save(place)
    turn = [1]

    def save():
        indexes[turn[0]].save(place)

    def check():
        found = Index.load(place, verify=True)
        n = found.metadata["seed"]
        assert answers(found) == expected[n]
        assert not list(place.glob(".minembed-*"))
        seen[n] += 1
        turn[0] = 3 - n

    interrupt_often(save, times, seed, check)
    assert min(seen.values()) > times / 20
    save()
    check()
    assert len(names(place)) == 2


def test_data_that_a_manifest_may_name_stays(tmp_path, monkeypatch):
    """The rename is done when the signal is noticed, and then nothing can be read for a moment."""
    real = os.replace

    def replace_and_interrupt(self, target):
        real(self, target)
        monkeypatch.setattr(type(tmp_path), "read_bytes", lambda self: os.open(".", os.O_WRONLY))
        raise KeyboardInterrupt

    make(seed=1).save(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(type(tmp_path), "replace", replace_and_interrupt)
        make(seed=2).save(tmp_path)
    monkeypatch.undo()
    assert answers(Index.load(tmp_path, verify=True)) == answers(make(seed=2))


SAVER = """
import sys
import numpy as np
from minembed import Index
indexes = [Index.build(np.full((100 + i, 8), i + 1.0), [f"{i}"] * (100 + i), metadata={"i": i}) for i in (0, 1)]
print("ready", flush=True)
sys.stdin.readline()
for round in range(int(sys.argv[2])):
    indexes[round % 2].save(sys.argv[1])
print("done", flush=True)
"""


def assert_whole(place):
    """Assert that the folder holds one of the saver's indexes; say which."""
    index = Index.load(place, verify=True)
    i = index.metadata["i"]
    assert len(index) == 100 + i and index.texts == [str(i)] * (100 + i)
    assert index.search(np.ones(8), k=1000, as_arrays=True)[1].tolist() == [list(range(100 + i))]
    np.testing.assert_array_equal(index._rows.blocks[0].vectors, np.full((100 + i, 8), i + 1, np.float32))
    return i


def kill_savers(place, rounds, seed):
    dice, outcomes = random.Random(seed), {0: 0, 1: 0}
    Index.build(np.ones((100, 8)), ["0"] * 100, metadata={"i": 0}).save(place)
    for _ in range(rounds):
        faults.kill_at_work(faults.start(SAVER, place, 10**9), dice)
        outcomes[assert_whole(place)] += 1
    return outcomes


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_kills(tmp_path):
    kill_savers(tmp_path / "index", 10, seed=1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_many_kills(tmp_path, amount):
    rounds = amount.rounds(200)
    outcomes = kill_savers(tmp_path / "index", rounds, amount.seed(2))
    assert min(outcomes.values()) > rounds / 10 or rounds < 100, outcomes


def test_processes_that_save_to_one_place_while_others_read(tmp_path):
    place = tmp_path / "index"
    processes = [faults.start(SAVER, place, 20) for _ in range(2)]
    for process in processes:
        faults.go(process)
    while not (place / "index.json").exists():
        time.sleep(0.001)
    while any(process.poll() is None for process in processes):
        assert_whole(place)
    assert [process.communicate()[0] for process in processes] == ["done\n"] * 2
    assert_whole(place)
    if sys.platform != "win32":
        assert len(names(place)) == 2  # data that lost the race is not left for an hour


def test_errors_are_named():
    assert issubclass(IndexFileError, MinembedError) and issubclass(IndexFileError, ValueError)
    assert index_saving.STALE > 60


def test_names_that_no_folder_has():
    for name in ("a\0", "a\ud800"):
        with pytest.raises(InputError, match="cannot name a folder"):
            make().save(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_an_index_is_not_saved_into_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "index.json")
    with pytest.raises(SourceError, match="it is no regular file"):
        make().save(tmp_path)
    assert names(tmp_path) == ["index.json"]
