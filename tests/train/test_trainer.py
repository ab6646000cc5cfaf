"""The loop of training: it learns, resumes bit for bit, survives kills and bad steps, and names what is wrong."""

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from examples import heavy
from places import SUPPORT
from training_cases import BASE, PAIRS

from minembed import Embedder
from minembed.errors import InputError, MinembedError, NumericalError, SourceError, TrainingError
from minembed.train import checkpoints, trainer
from minembed.train.backward.trees import Rows, flat
from minembed.train.contrastive import train_contrastive
from minembed.train.evaluation import evaluate
from minembed.train.model import Trainee
from minembed.train.settings import Settings
from minembed.train.step import Step

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


@pytest.mark.parametrize("evaluated", [True, *heavy([False])])
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
    assert evaluate(trainee, PAIRS, settings) == state.best


def test_two_processes_do_not_train_in_one_folder(tiny_checkpoint, tmp_path):
    """The second is told; when the first is gone, however it went, the folder is free."""
    code = "import sys; from pathlib import Path; from minembed.train.checkpoints import held\n"
    code += "with held(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert other.stdout.readline() == b"held\n"
        trainee = Trainee.load(tiny_checkpoint)
        before = weights_of(trainee)
        with pytest.raises(TrainingError, match=r"another process is training in .*run"):
            train_contrastive(trainee, PAIRS, BASE, tmp_path / "run")
        assert same(before, weights_of(trainee)) and not (tmp_path / "run" / "history.jsonl").exists()
    finally:
        other.kill()
        other.communicate()
    assert train_contrastive(trainee, PAIRS, BASE, tmp_path / "run").step == 10


def a_task(losses, score=None):
    """A model of one number, whose losses are given."""
    weights = {"w": np.ones(1, np.float32)}

    def gradients(ready, number):
        return Step(losses[number], {"w": np.full(1, losses[number], np.float32)}, 1)

    return trainer.Task(
        weights, frozenset(), lambda epoch: [np.array([0])] * len(losses), lambda batch: batch, lambda ready: {},
        gradients, score,
    )  # fmt: skip


@pytest.mark.parametrize("at", range(20))
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_step_is_skipped(at, value, tmp_path):
    losses = [1.0] * 20
    losses[at] = value
    task = a_task(losses)
    state = trainer.train(task, Settings(backend="numpy", save_every=19), tmp_path / "run")
    assert state.skipped == 1 and state.step == 20 and np.isfinite(task.weights["w"]).all()
    assert state.history[at]["loss"] is None
    assert checkpoints.load_checkpoint(tmp_path / "run")[1]["step"] == (19 if at == 19 else 20)


@pytest.mark.parametrize("at", [1, 2, 9, 16])
def test_a_checkpoint_of_ruined_weights_is_never_written(at, tmp_path):
    """One step of finite gradients makes weights infinite: the checkpoint is the one before it."""
    task = a_task([1.0] * 20)

    def gradients(ready, number):
        if number == at:
            task.weights["w"][...] = np.inf
        return Step(float(1 / task.weights["w"][0]) if number <= at else float("nan"), {"w": np.ones(1, np.float32)}, 1)

    task = replace(task, gradients=gradients)
    with pytest.raises(TrainingError, match=f"step {at + 4}: .*not finite 3 times in a row; .*holds the last good"):
        trainer.train(task, Settings(backend="numpy", save_every=1, max_bad_steps=3), tmp_path / "run")
    arrays, facts = checkpoints.load_checkpoint(tmp_path / "run")
    assert facts["step"] == at and np.isfinite(arrays["weights/w"]).all()


def test_weights_that_cannot_be_scored_are_the_worst(tmp_path):
    scores = iter([0.5, NumericalError("NaN"), NumericalError("NaN"), 0.7])

    def score():
        found = next(scores)
        if isinstance(found, Exception):
            raise found
        return found

    task, settings = a_task([1.0] * 9, score), Settings(backend="numpy", evaluate_every=1, patience=2)
    state = trainer.train(task, settings, tmp_path / "run")
    assert (state.step, state.best, state.best_step, state.worse) == (3, 0.5, 1, 2)
    assert [line["score"] for line in state.history] == [0.5, None, None]
    assert trainer.train(task, settings, tmp_path / "run", resume=True) == state  # it has ended, and nothing is done


def draws(counts, seen):
    """A task whose epochs have these numbers of batches, each known by its epoch and place."""
    task = a_task([1.0] * 99)
    return replace(
        task,
        epoch=lambda epoch: [np.array([epoch, i]) for i in range(counts[min(epoch, len(counts) - 1)])],
        gradients=lambda ready, number: seen.append(ready.tolist()) or task.gradients(ready, number),
    )


@pytest.mark.parametrize("cut", [2, 4, 5, 8])
@pytest.mark.parametrize("accumulation", [1, 2])
def test_epochs_of_different_lengths(cut, accumulation, tmp_path):
    """Texts that are kept apart make a batch more or less: none is left out or comes twice, cut anywhere."""
    settings = Settings(backend="numpy", epochs=3, max_steps=20, save_every=1, accumulation=accumulation)
    whole, first, second = [], [], []
    state = trainer.train(draws([4, 3, 6], whole), settings, tmp_path / "whole")
    steps = {1: 12, 2: 6}[accumulation]
    assert state.step == steps and whole == [[e, i] for e, n in enumerate([4, 3, 6]) for i in range(n)][: len(whole)]
    with contextlib.suppress(Stopped):  # before the checkpoint of that step
        trainer.train(draws([4, 3, 6], first), settings, tmp_path / "run", on_step=stop_at(min(cut, steps)))
    trainer.train(draws([4, 3, 6], second), settings, tmp_path / "run", resume=True)
    assert first == whole[: len(first)] and second == whole[-len(second) :]
    assert 1 <= len(first) + len(second) - len(whole) <= accumulation  # the step that was cut is done again


def test_examples_that_make_no_batch(tmp_path):
    with pytest.raises(InputError, match="make no batch"):
        trainer.train(draws([0], []), Settings(backend="numpy"), tmp_path / "run")


def test_the_history_keeps_its_lines(tmp_path):
    """A resumed training goes on with the file: speeds stay, what the checkpoint does not know is done again."""
    task, path = a_task([1.0] * 10, lambda: 1.0), tmp_path / "run" / "history.jsonl"
    settings = Settings(backend="numpy", save_every=4, evaluate_every=2)
    with pytest.raises(Stopped):
        trainer.train(task, settings, tmp_path / "run", on_step=stop_at(7))
    before = path.read_text().splitlines()
    assert len(before) == 7 and all(line["tokens_per_s"] for line in map(json.loads, before))
    for torn in ("", '{"step": 8, "lo'):
        path.write_text("\n".join([*before, torn]))
        with pytest.raises(Stopped):
            trainer.train(a_task([1.0] * 10, lambda: 1.0), settings, tmp_path / "run", resume=True, on_step=stop_at(5))
        lines = path.read_text().splitlines()
        assert lines[:4] == before[:4] and [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5]
        assert ["score" in json.loads(line) for line in lines] == [False, True, False, True, False]
    path.unlink()
    trainer.train(a_task([1.0] * 10, lambda: 1.0), settings, tmp_path / "run", resume=True)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == list(range(1, 11))


def test_a_disk_that_is_full_on_the_way(tmp_path, monkeypatch):
    """Not even the history can be written: a named error, and the checkpoint before it stays."""
    real = Path.open

    def full(self, mode="r", *args, **kwargs):
        if self.name == "history.jsonl" and mode == "a" and checkpoints.has_checkpoint(self.parent):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(SourceError, match=r"cannot write to .*is still there") as caught:
        trainer.train(a_task([1.0] * 10), Settings(backend="numpy", save_every=4), tmp_path / "run")
    assert caught.value.errno == errno.ENOSPC
    monkeypatch.undo()
    assert checkpoints.load_checkpoint(tmp_path / "run")[1]["step"] == 4
    state = trainer.train(a_task([1.0] * 10), Settings(backend="numpy", save_every=4), tmp_path / "run", resume=True)
    assert state.step == 10


def test_a_place_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot write to"):
        trainer.train(a_task([1.0]), Settings(backend="numpy"), tmp_path / "file" / "run")


@pytest.mark.parametrize("seed", range(10))
def test_twenty_steps_are_ten_and_ten(seed, tmp_path):
    """The same bits, whatever the seed: lazy rows, decay and the schedule go on where they were."""

    def task():
        rng = np.random.default_rng(seed)
        weights = {"table.word": rng.random((9, 3), np.float32), "w": rng.random((3, 3), np.float32)}

        def gradients(ready, number):
            dice = np.random.default_rng([seed, number])
            table = Rows(ready, dice.standard_normal((len(ready), 3)).astype(np.float32))
            return Step(1.0, {"table.word": table, "w": weights["w"] * np.float32(dice.random())}, 1)

        def epoch(number):
            return [np.unique(np.random.default_rng([number, i]).integers(0, 9, 4)) for i in range(5)]

        reads = lambda ready: {"table.word": ready}  # noqa: E731
        return trainer.Task(weights, frozenset({"table.word"}), epoch, lambda batch: batch, reads, gradients)

    settings = Settings(epochs=4, learning_rate=0.01, weight_decay=0.1, save_every=10, backend="numpy")
    whole, first, second = task(), task(), task()
    state = trainer.train(whole, settings, tmp_path / "whole")
    with pytest.raises(Stopped):
        trainer.train(first, settings, tmp_path / "run", on_step=stop_at(11 + seed % 9))
    assert trainer.train(second, settings, tmp_path / "run", resume=True) == state and state.step == 20
    assert same(whole.weights, second.weights)


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
from training_cases import BASE, PAIRS
from minembed.train.checkpoints import has_checkpoint
from minembed.train.contrastive import train_contrastive
from minembed.train.evaluation import evaluate
from minembed.train.model import Trainee
folder = Path({folder!r})
again, said = has_checkpoint(folder), lambda line: print("step", flush=True)
train_contrastive(Trainee.load({model!r}), PAIRS, BASE, folder, resume=again, on_step=said)
print("done", flush=True)
"""


def killed_at_random(tiny_checkpoint, tmp_path, kills):
    """Start, kill some time after the first step of each start, and start again; at last let it end."""
    rng, folder = np.random.default_rng(0), tmp_path / "run"
    script = SCRIPT.format(tests=str(SUPPORT), folder=str(folder), model=str(tiny_checkpoint))
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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("name", ["history.jsonl", "checkpoint.json"])
def test_what_is_no_file_is_neither_read_nor_written_to(tmp_path, name):
    """A pipe would be waited for."""
    os.mkfifo(tmp_path / name)
    task = a_task([1.0] * 3)
    with pytest.raises(SourceError, match="it is no regular file"):
        trainer.train(task, Settings(backend="numpy"), tmp_path)
