"""Checkpoints of a training: what is written, what damage is found, and what is left when a disk or a process fails."""

import errno
import json
import os
import random
import shutil
import subprocess
import sys

import faults
import numpy as np
import pytest
from examples import heavy
from faults import mutate_json, mutate_safetensors
from filelock import FileLock
from interrupts import interrupt as interrupt_often
from interrupts import needs_timer
from safetensors.numpy import load_file

from minembed.errors import MinembedError, SourceError, TrainingError
from minembed.runtime import safetensors_files as storage
from minembed.runtime.checksums import crc32_of_json
from minembed.train.checkpoints import has_checkpoint, held, load_checkpoint, save_checkpoint


def state(seed):
    """Arrays of every kind that a training has, and odd ones."""
    rng = np.random.default_rng(seed)
    arrays = {
        "weights/encoder.layers.0.qkv.weight": rng.standard_normal((7, 5)).astype(np.float32),
        "weights/ß 中\n\"'": rng.standard_normal(3).astype(np.float32),
        "optimizer/m/a": rng.standard_normal((2, 3, 4)),
        "optimizer/last/a": rng.integers(0, 1 << 40, 9),
        "optimizer/moving/a": rng.random(11) < 0.5,
        "none": np.zeros((0, 4), np.float32),
        "alone": np.float64(rng.random()).reshape(()),
        "turned": rng.standard_normal((4, 6)).astype(np.float32).T,
    }
    return arrays, {"step": seed, "history": [{"step": seed, "loss": 0.1}], "ß": None}


def assert_is(found, expected):
    (arrays, facts), (others, noted) = found, expected
    assert facts == noted and list(arrays) == list(others)
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, others[name], strict=True)
        array[...] = 0  # it is the reader's own


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def arrays_of(folder):
    (path,) = folder.glob("state-*/arrays.safetensors")
    return path


def test_there_and_back(tmp_path):
    place = tmp_path / "a" / "run"
    assert not has_checkpoint(place)
    for seed in (1, 2):  # the second replaces the first
        save_checkpoint(place, *state(seed))
        assert has_checkpoint(place) and len(names(place)) == 2
        assert_is(load_checkpoint(place), state(seed))


def test_the_arrays_are_safetensors(tmp_path):
    save_checkpoint(tmp_path, *state(1))
    found = load_file(arrays_of(tmp_path))
    for name, array in state(1)[0].items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_other_files_of_the_folder_stay(tmp_path):
    for name in ("history.jsonl", "state-mine", "model"):
        (tmp_path / name).mkdir()
    (tmp_path / ("state-" + "0" * 16)).mkdir()  # of a process that was killed
    save_checkpoint(tmp_path, *state(1))
    assert {"history.jsonl", "state-mine", "model"} < set(names(tmp_path)) and len(names(tmp_path)) == 5


# --- damage ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "seed"), [(120, 1), *heavy([(2000, 2)])])
def test_mutants_are_refused(tmp_path, number, seed, amount):
    """Whatever is changed in either file, the state that is read is the one that was written, or none is."""
    dice, refused, rounds = random.Random(amount.seed(seed)), 0, amount.rounds(number)
    save_checkpoint(tmp_path / "sound", *state(1))
    for i in range(rounds):
        place = shutil.copytree(tmp_path / "sound", tmp_path / "mutant")
        path = arrays_of(place) if i % 2 else place / "checkpoint.json"
        mutate = mutate_safetensors if i % 2 else lambda dice, content: mutate_json(dice, content.decode())
        path.write_bytes(mutate(dice, path.read_bytes()))
        try:
            assert_is(load_checkpoint(place), state(1))
        except TrainingError as error:
            refused += 1
            assert str(place) in str(error) and len(str(error)) < 1000
        shutil.rmtree(place)
    assert refused > 0.75 * rounds


def test_a_mix_is_refused(tmp_path):
    """The file of numbers is of another checkpoint, with numbers of the same shapes."""
    for seed in (1, 2):
        save_checkpoint(tmp_path / str(seed), *state(seed))
    shutil.copy(arrays_of(tmp_path / "1"), arrays_of(tmp_path / "2"))
    with pytest.raises(TrainingError, match=r"arrays\.safetensors is cut or damaged"):
        load_checkpoint(tmp_path / "2")
    shutil.copy(tmp_path / "1" / "checkpoint.json", tmp_path / "2")
    with pytest.raises(TrainingError, match=r"arrays\.safetensors is missing"):
        load_checkpoint(tmp_path / "2")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "has version 2; this release reads 1"),
        ({"format": "other"}, "is damaged"),
        ({"folder": "../state-0123456789abcdef"}, "is damaged"),
        ({"folder": "state-0123456789abcdef"}, "is missing"),
        ({"folder": 3}, "is damaged"),
        ({"bytes": 3}, "is cut or damaged"),
    ],
)
def test_a_manifest_that_says_what_cannot_be(change, words, tmp_path):
    save_checkpoint(tmp_path, *state(1))
    body = json.loads((tmp_path / "checkpoint.json").read_text()) | change
    del body["own_crc32"]
    (tmp_path / "checkpoint.json").write_text(json.dumps(body | {"own_crc32": crc32_of_json(body)}))
    with pytest.raises(TrainingError, match=words):
        load_checkpoint(tmp_path)


def test_no_checkpoint_at_all(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path, tmp_path / "none", tmp_path / "file"):
        assert not has_checkpoint(place)
        with pytest.raises(TrainingError, match="there is no checkpoint"):
            load_checkpoint(place)
    (tmp_path / "checkpoint.json").mkdir()
    with pytest.raises(TrainingError, match="cannot be read"):
        load_checkpoint(tmp_path)


# --- disks that fail, processes that die ----------------------------------------------------------------------------


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EINTR])
@pytest.mark.parametrize(
    ("owner", "name"), [(os, "fsync"), (os, "rename"), (os, "replace"), (os, "mkdir"), (os, "open"), (storage, "write")]
)
def test_a_call_that_fails(tmp_path, monkeypatch, owner, name, code, amount):
    """Each call of each kind in turn: a named error, and the old checkpoint is there, or the new one."""
    place = tmp_path / "run"
    if owner is storage:
        owner, name = storage.Summed, "write"
    real = getattr(owner, name)
    for n in range(99):
        save_checkpoint(place, *state(1))
        fail, calls = faults.failing(real, n, code, lambda args: name in ("fsync", "write") or "run" in str(args))

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            try:
                save_checkpoint(place, *state(2))
            except SourceError as error:
                assert error.errno == code and str(place) in str(error)
                assert isinstance(error, OSError) and isinstance(error, MinembedError)
        step = load_checkpoint(place)[1]["step"]
        assert_is(load_checkpoint(place), state(step))
        if step == 1 and name != "open":  # sweeping opens folders too: what it left then is swept an hour later
            assert len(names(place)) == 2
        if len(calls) <= n:
            assert step == 2
            break
    assert 0 < n < 98
    amount.did(n)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk(tmp_path):
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from minembed.train.checkpoints import save_checkpoint\n"
        "save_checkpoint(Path(sys.argv[1]), {'a': np.zeros(10)}, {'step': 1})\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: save_checkpoint(Path(sys.argv[1]), {'a': np.zeros(1000)}, {'step': 2})\n"
        "except OSError as e: print(type(e).__name__, e.errno, e)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith(f"SourceError {errno.EFBIG} cannot write to {tmp_path / 'run'}")
    assert load_checkpoint(tmp_path / "run")[1]["step"] == 1 and len(names(tmp_path / "run")) == 2


def test_places_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "run", tmp_path / ("x" * 300)):
        with pytest.raises(SourceError, match="cannot write to"):
            save_checkpoint(place, *state(1))
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    save_checkpoint(tmp_path, *state(1))
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(SourceError, match="cannot write to"):
            save_checkpoint(tmp_path, *state(2))
    finally:
        tmp_path.chmod(0o700)
    assert_is(load_checkpoint(tmp_path), state(1))


def test_an_interrupt_leaves_the_old_one(tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    save_checkpoint(tmp_path, *state(1))
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(tmp_path, *state(2))
    assert_is(load_checkpoint(tmp_path), state(1))
    assert len(names(tmp_path)) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_arrays_that_are_no_file(tmp_path):
    save_checkpoint(tmp_path, *state(1))
    (arrays,) = tmp_path.glob("state-*/*")
    arrays.unlink()
    os.mkfifo(arrays)
    with pytest.raises(TrainingError, match="it is no regular file"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("bad", ["a\0", "a\ud800", "a" * 300])
def test_names_that_no_folder_has(tmp_path, bad):
    assert not has_checkpoint(tmp_path / bad)
    with pytest.raises(MinembedError, match="cannot"), held(tmp_path / bad):
        pass


@needs_timer
@pytest.mark.parametrize(("times", "seed"), [(200, 1), pytest.param(5000, 2, marks=pytest.mark.slow)])
def test_interrupts_lose_no_checkpoint(tmp_path, times, seed, amount):
    states, turn = [state(1), state(2)], [0]
    times, seed = amount.rounds(times), amount.seed(seed)
    save_checkpoint(tmp_path, *states[0])

    def save():
        save_checkpoint(tmp_path, *states[turn[0]])

    def check():
        turn[0] = 1 - turn[0]
        found = load_checkpoint(tmp_path)
        assert_is(found, states[found[1] != states[0][1]])
        assert not list(tmp_path.glob(".minembed-*"))

    interrupt_often(save, times, seed, check)
    save()
    assert_is(load_checkpoint(tmp_path), states[turn[0]])
    assert len(names(tmp_path)) == 2


SAVER = """
import sys
from pathlib import Path
import numpy as np
from minembed.train.checkpoints import save_checkpoint
print("ready", flush=True)
sys.stdin.readline()
for step in range(10**9):
    save_checkpoint(Path(sys.argv[1]), {"a": np.full(9000, step), "b": np.full(90, step, np.float32)}, {"step": step})
"""


def kill_savers(place, rounds, seed):
    dice, steps = random.Random(seed), []
    for _ in range(rounds):
        faults.kill_at_work(faults.start(SAVER, place), dice)
        if has_checkpoint(place):
            arrays, facts = load_checkpoint(place)
            assert all((array == facts["step"]).all() for array in arrays.values())
            steps.append(facts["step"])
    return steps


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_kills(tmp_path):
    kill_savers(tmp_path / "run", 10, seed=1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_many_kills(tmp_path, amount):
    rounds = amount.rounds(200)
    assert len(set(kill_savers(tmp_path / "run", rounds, amount.seed(2)))) > 5 or rounds < 100


def test_an_interrupt_while_the_folder_is_taken(tmp_path, monkeypatch):
    """It is free at once, whoever still holds the exception."""
    acquire = FileLock.acquire

    def interrupted(lock, **options):
        acquire(lock, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt) as caught:
        patch.setattr(FileLock, "acquire", interrupted)
        with held(tmp_path):
            pass
    with held(tmp_path):
        assert caught.tb is not None
    with held(tmp_path), pytest.raises(TrainingError, match="another process is training"), held(tmp_path):
        pass
