"""The loop of training: it learns, resumes bit for bit, survives kills and bad steps, and names what is wrong."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minembed import Embedder
from minembed.errors import InputError, MinembedError, SourceError, TrainingError
from minembed.train import checkpoints, trainer
from minembed.train.contrastive import train_contrastive
from minembed.train.data import Examples
from minembed.train.model import Trainee
from minembed.train.settings import Settings
from minembed.train.step import Step
from minembed.train.trees import flat

WORDS = ["cat", "dog", "sun", "moon", "tree", "rock", "sea", "fire"]
PAIRS = Examples(
    (tuple(f"a {w} is here" for w in WORDS * 3), tuple(f"the {w} {i}" for i, w in enumerate(WORDS * 3))),
    np.linspace(0, 1, 24),
)
BASE = Settings(epochs=2, batch_size=5, learning_rate=1e-3, dropout=0.1, backend="numpy", threads=1, save_every=3)
VARIANTS = {
    "plain": BASE,
    "accumulated": Settings(epochs=2, batch_size=3, accumulation=3, backend="numpy", weight_decay=0.1, save_every=2),
    "cosent": Settings(loss="cosent", epochs=2, batch_size=6, dropout=0.0, backend="numpy", save_every=2),
}


def weights_of(trainee):
    return {name: array.copy() for name, array in flat(trainee.weights).items()}


def same(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_training_learns(tiny_checkpoint, tmp_path):
    trainee = Trainee.load(tiny_checkpoint)
    before = weights_of(trainee)
    settings = Settings(epochs=6, batch_size=8, learning_rate=2e-3, dropout=0.0, backend="numpy")
    state = train_contrastive(trainee, PAIRS, settings, tmp_path / "run")
    losses = [line["loss"] for line in state.history]
    assert np.mean(losses[-3:]) < 0.6 * np.mean(losses[:3])
    assert not same(before, weights_of(trainee))
    trainee.save(tmp_path / "model", "## Training\n\nOn pairs.")
    assert "## Training" in (tmp_path / "model" / "README.md").read_text()
    again = Embedder.load(tmp_path / "model", backend="numpy").encode(PAIRS.columns[0][:4])
    np.testing.assert_array_equal(again, trainee.embedder("numpy").encode(PAIRS.columns[0][:4]))
    lines = [json.loads(line) for line in (tmp_path / "run" / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, state.step + 1))


class Stopped(Exception):
    pass


def stop_at(step):
    def on_step(line):
        if line["step"] == step:
            raise Stopped

    return on_step


@pytest.mark.parametrize("evaluated", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_a_resumed_training_has_the_same_bits(name, evaluated, tiny_checkpoint, tmp_path):
    settings, evaluation = VARIANTS[name], PAIRS if evaluated else None
    whole = Trainee.load(tiny_checkpoint)
    state = train_contrastive(whole, PAIRS, settings, tmp_path / "whole", evaluation=evaluation)
    for step in (1, state.step // 2, state.step):
        folder = tmp_path / f"cut-{step}"
        with pytest.raises(Stopped):
            train_contrastive(
                Trainee.load(tiny_checkpoint), PAIRS, settings, folder, evaluation=evaluation, on_step=stop_at(step)
            )
        resumed = Trainee.load(tiny_checkpoint)
        again = checkpoints.has_checkpoint(folder)
        other = train_contrastive(resumed, PAIRS, settings, folder, evaluation=evaluation, resume=again)
        assert same(weights_of(whole), weights_of(resumed)), step
        assert other.history == state.history and other.best == state.best


def test_threads_change_no_bit(tiny_checkpoint, tmp_path):
    found = []
    for threads in (1, 3):
        trainee = Trainee.load(tiny_checkpoint)
        settings = Settings(epochs=1, batch_size=24, backend="numpy", threads=threads, no_duplicates=True)
        train_contrastive(trainee, PAIRS, settings, tmp_path / str(threads))
        found.append(weights_of(trainee))
    assert same(*found)


def test_the_best_weights_are_kept(tiny_checkpoint, tmp_path):
    """A rate that ruins the model: what is left is the best of the evaluations, and patience ends it."""
    trainee = Trainee.load(tiny_checkpoint)
    settings = Settings(
        epochs=20, batch_size=8, learning_rate=0.5, warmup=0.0, patience=2, backend="numpy", dropout=0.0
    )
    state = train_contrastive(trainee, PAIRS, settings, tmp_path / "run", evaluation=PAIRS)
    assert state.step < 60 and state.worse == 2
    from minembed.train.contrastive import sts_score

    assert sts_score(trainee, PAIRS, settings) == state.best


def a_task(losses, score=None):
    """A model of one number, whose losses are given."""
    weights = {"w": np.ones(1, np.float32)}

    def gradients(ready, number):
        return Step(losses[number], {"w": np.full(1, losses[number], np.float32)}, 1)

    return trainer.Task(
        weights, frozenset(), lambda epoch: [np.array([0])] * len(losses), lambda batch: batch, lambda ready: {},
        gradients, score,
    )  # fmt: skip


@pytest.mark.parametrize("at", [0, 3, 9])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_step_is_skipped(at, value, tmp_path):
    losses = [1.0] * 10
    losses[at] = value
    task = a_task(losses)
    state = trainer.train(task, Settings(backend="numpy"), tmp_path / "run")
    assert state.skipped == 1 and state.step == 10 and np.isfinite(task.weights["w"]).all()
    assert state.history[at]["loss"] is None


def test_many_bad_steps_end_it_with_the_last_good_checkpoint(tmp_path):
    task = a_task([1.0] * 4 + [float("nan")] * 6)
    settings = Settings(backend="numpy", save_every=4, max_bad_steps=3)
    with pytest.raises(TrainingError, match="not finite 3 times"):
        trainer.train(task, settings, tmp_path / "run")
    arrays, facts = checkpoints.load_checkpoint(tmp_path / "run")
    assert facts["step"] == 4 and np.isfinite(arrays["weights/w"]).all()


def test_what_cannot_be_resumed_is_named(tmp_path):
    task, folder = a_task([1.0] * 4), tmp_path / "run"
    with pytest.raises(TrainingError, match="no checkpoint"):
        trainer.train(task, Settings(backend="numpy"), folder, resume=True)
    trainer.train(task, Settings(backend="numpy"), folder)
    with pytest.raises(InputError, match="resume it"):
        trainer.train(task, Settings(backend="numpy"), folder)
    with pytest.raises(InputError, match=r"other settings: learning_rate was 5e-05, is 0\.1"):
        trainer.train(task, Settings(backend="numpy", learning_rate=0.1), folder, resume=True)
    for damage in (b"{", b"{}", b"[]"):
        (folder / "checkpoint.json").write_bytes(damage)
        with pytest.raises(TrainingError, match=r"checkpoint\.json is damaged"):
            trainer.train(task, Settings(backend="numpy"), folder, resume=True)


@pytest.mark.parametrize("place", [10, -3])
def test_damaged_arrays_are_named(place, tmp_path):
    checkpoints.save_checkpoint(tmp_path, {"a": np.arange(100)}, {})
    (path,) = tmp_path.glob("state-*/arrays.safetensors")
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(TrainingError, match="damaged"):
        checkpoints.load_checkpoint(tmp_path)
    path.unlink()
    with pytest.raises(TrainingError, match="missing"):
        checkpoints.load_checkpoint(tmp_path)


@pytest.mark.parametrize("call", ["fsync", "rename", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_fails_leaves_the_old_checkpoint(call, number, tmp_path, monkeypatch):
    checkpoints.save_checkpoint(tmp_path, {"a": np.zeros(3)}, {"step": 1})

    def fail(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*((os, call) if call == "fsync" else (Path, call)), fail)
    with pytest.raises(SourceError, match="is still there") as caught:
        checkpoints.save_checkpoint(tmp_path, {"a": np.ones(3)}, {"step": 2})
    monkeypatch.undo()
    assert caught.value.errno == number and isinstance(caught.value, MinembedError)
    arrays, facts = checkpoints.load_checkpoint(tmp_path)
    assert facts["step"] == 1 and not arrays["a"].any()
    assert len(list(tmp_path.iterdir())) == 2


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_trainer import BASE, PAIRS
from minembed.train.checkpoints import has_checkpoint
from minembed.train.contrastive import train_contrastive
from minembed.train.model import Trainee
folder = Path({folder!r})
again, said = has_checkpoint(folder), lambda line: print("step", flush=True)
train_contrastive(Trainee.load({model!r}), PAIRS, BASE, folder, resume=again, on_step=said)
print("done", flush=True)
"""


def killed_at_random(tiny_checkpoint, tmp_path, kills):
    """Start, kill some time after the first step of each start, and start again; at last let it end."""
    rng, folder = np.random.default_rng(0), tmp_path / "run"
    script = SCRIPT.format(tests=str(Path(__file__).parent), folder=str(folder), model=str(tiny_checkpoint))
    for _ in range(kills):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(int(rng.integers(1, 4))):
            process.stdout.readline()
        time.sleep(rng.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if checkpoints.has_checkpoint(folder):
            checkpoints.load_checkpoint(folder)  # whole, whatever the moment
    whole, resumed = Trainee.load(tiny_checkpoint), Trainee.load(tiny_checkpoint)
    train_contrastive(whole, PAIRS, BASE, tmp_path / "whole")
    train_contrastive(resumed, PAIRS, BASE, folder, resume=checkpoints.has_checkpoint(folder))
    assert same(weights_of(whole), weights_of(resumed))


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kills_leave_a_training_that_resumes(tiny_checkpoint, tmp_path):
    killed_at_random(tiny_checkpoint, tmp_path, 4)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_fifty_kills_leave_a_training_that_resumes(tiny_checkpoint, tmp_path):
    for part in range(5):
        place = tmp_path / str(part)
        place.mkdir()
        killed_at_random(tiny_checkpoint, place, 10)
