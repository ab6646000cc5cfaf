"""The training loop: batches, gradients, steps, evaluations, and checkpoints from which it continues bit for bit.

`train` knows nothing about models: it gets a function from a batch to gradients, and one that scores the weights.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import InputError, NumericalError, TrainingError
from minembed.runtime.paths import check_regular
from minembed.runtime.progress import Progress
from minembed.runtime.threads import check_threads
from minembed.train.backward.gradients import accumulate, clip, scale
from minembed.train.checkpoints import has_checkpoint, held, load_checkpoint, save_checkpoint, writing
from minembed.train.optim import AdamW
from minembed.train.schedules import SCHEDULES, warmup_steps
from minembed.train.settings import Settings
from minembed.train.step import Step
from minembed.types import Array

HISTORY = "history.jsonl"
LONGEST_LINE = 1 << 16  # bytes of a line of the history
Line = dict[str, Any]  # of the history
Score = Callable[[], float]  # of the current weights: larger is better


@dataclass(slots=True)
class State:
    """The progress of a training."""

    step: int = 0  # optimiser steps taken
    epoch: int = 0  # of the next step,
    at: int = 0  # and its number in that epoch
    skipped: int = 0  # steps that were left out because the loss or gradient was not finite
    best: float = -math.inf
    best_step: int = 0
    worse: int = 0  # evaluations since the best
    history: list[Line] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Task:
    """The model and the data, as the loop sees them."""

    weights: dict[str, Array]  # by name; changed in place
    lazy: frozenset[str]  # tables of which a batch reads some rows
    epoch: Callable[[int], Sequence[Array]]  # the batches of an epoch, as indices of examples
    prepare: Callable[[Array], Any]  # from the indices of a batch to its prepared examples
    reads: Callable[[Any], dict[str, Array]]  # which rows of lazy tables a batch reads
    gradients: Callable[[Any, int], Step]  # (batch, number of the batch) -> loss and gradients
    score: Score | None = None
    fingerprint: str = ""  # of the data: must be the same in a resumed training
    model: str = ""  # the same for the model of the weights


def train(
    task: Task,
    settings: Settings,
    folder: Path,
    *,
    resume: bool = False,
    show_progress_bar: bool | None = None,
    on_step: Callable[[Line], None] | None = None,
) -> State:
    """Train; at the end task.weights has the best weights (the last ones, without a score).

    `folder` gets the checkpoint, and history.jsonl with a line for every step.  With `resume`, training continues from
    the checkpoint there; the resulting weights have the same bits as without an interruption.  Raises InputError if the
    folder already has a training and `resume` is not set, or one with other settings or data; SourceError, an OSError,
    if the disk fails; and TrainingError if another process is training there, or if loss or gradients are not finite
    max_bad_steps times in a row (then the last good checkpoint stays).
    """
    run = _Run(task, settings, folder, on_step)
    if has_checkpoint(folder) and not resume:
        raise InputError(f"{folder} holds a training already: resume it, or name another folder")
    if resume and not folder.is_dir():
        run.restore()  # raises an error that says what is missing
    with held(folder):
        if resume:
            run.restore()
        with writing(folder):
            _begin_history(folder / HISTORY, run.state.history)
        bar = Progress(range(run.total), "step", show_progress_bar, at_once=True, done=run.state.step)
        with bar as progress:
            run.go(progress)
    return run.state


def _begin_history(path: Path, known: list[Line]) -> None:
    """Reset the file to the history of the checkpoint; its lines, which also have the speed, stay if they agree."""
    try:
        check_regular(path)
        with path.open("rb") as file:
            lines = [json.loads(file.readline(LONGEST_LINE)) for _ in known]
        agree = known == [{name: line[name] for name in own} for line, own in zip(lines, known, strict=True)]
    except (FileNotFoundError, ValueError, KeyError, TypeError, RecursionError):
        agree = False
    path.write_text("".join(json.dumps(line) + "\n" for line in (lines if agree else known)), encoding="utf-8")


class _Run:
    def __init__(self, task: Task, settings: Settings, folder: Path, on_step: Callable[[Line], None] | None) -> None:
        self.task, self.settings, self.folder, self.on_step = task, settings, folder, on_step
        self.state = State()
        threads = check_threads(settings.threads)
        self.optimizer = AdamW(
            task.weights,
            weight_decay=settings.weight_decay,
            lazy=task.lazy,
            backend=settings.backend,
            threads=threads,
        )
        per_epoch = len(self._groups(0))  # other epochs may have a few more or less, with no_duplicates
        self.total = settings.max_steps or settings.epochs * per_epoch
        self.total = min(self.total, settings.epochs * per_epoch)
        self.warmup = warmup_steps(settings.warmup, self.total)
        self.kept: dict[str, Array] = {}  # the best weights so far, if there is a score
        self.bad = 0

    def go(self, progress: Progress) -> None:
        saved = self.state.step
        groups = self._groups(self.state.epoch)
        while self.state.step < self.total and not self._enough():
            if self.state.at >= len(groups):
                self.state.epoch, self.state.at = self.state.epoch + 1, 0
                groups = self._groups(self.state.epoch)
            line, speed = self._step(groups[self.state.at])
            shown = "not finite" if line["loss"] is None else f"{line['loss']:.4f}"
            progress.advance(1, f"loss {shown}, {speed:,.0f} tokens/s")
            at_end = self.state.at == len(groups) or self.state.step == self.total
            if self.task.score and self._due(self.settings.evaluate_every, at_end):
                line["score"] = self._evaluate(self.task.score)
            self._note(line, speed)
            if self._due(self.settings.save_every, at_end) and self.save():
                saved = self.state.step
        if saved != self.state.step:
            self.save()
        self.optimizer.catch_up()
        for name, array in self.kept.items():
            self.task.weights[name][...] = array

    def _groups(self, epoch: int) -> list[list[Array]]:
        """The batches of an epoch, by step."""
        found, size = list(self.task.epoch(epoch)), self.settings.accumulation
        if not found:
            raise InputError("the examples make no batch: too few of them, or none that differ from each other")
        return [found[i : i + size] for i in range(0, len(found), size)]

    def _due(self, every: int | None, at_end: bool) -> bool:
        return at_end if every is None else self.state.step % every == 0 or self.state.step == self.total

    def _enough(self) -> bool:
        patience = self.settings.patience
        return patience is not None and self.state.worse >= patience

    def _step(self, group: list[Array]) -> tuple[Line, float]:
        """One step of the optimiser: the gradients of some batches, clipped, and applied if they are finite."""
        began, total, loss, n_tokens = time.perf_counter(), dict[str, Any](), 0.0, 0
        for i, batch in enumerate(group):
            ready = self.task.prepare(batch)
            self.optimizer.catch_up(self.task.reads(ready))
            try:
                step = self.task.gradients(ready, self.state.step * self.settings.accumulation + i)
            except NumericalError:  # the vectors are not finite
                loss = math.nan
                break
            accumulate(total, step.gradients)
            loss, n_tokens = loss + step.loss / len(group), n_tokens + step.n_tokens
        if len(group) > 1:
            scale(total, 1 / len(group))
        norm = clip(total, self.settings.max_grad_norm)
        rate = self.settings.learning_rate * SCHEDULES[self.settings.schedule](self.state.step, self.warmup, self.total)
        if math.isfinite(loss) and math.isfinite(norm):
            self.optimizer.step(total, rate)
            self.bad = 0
        else:
            self._skip(loss, norm)
        self.state.step += 1
        self.state.at += 1
        speed = n_tokens / max(time.perf_counter() - began, 1e-9)
        line = {"step": self.state.step, "loss": finite_or_none(loss), "learning_rate": rate}
        return line | {"grad_norm": finite_or_none(norm)}, speed

    def _skip(self, loss: float, norm: float) -> None:
        self.bad += 1
        self.state.skipped += 1
        if self.bad >= self.settings.max_bad_steps:
            where = f"{self.folder} holds the last good checkpoint" if has_checkpoint(self.folder) else "none was saved"
            raise TrainingError(
                f"step {self.state.step + 1}: loss {loss:g} and gradient norm {norm:g} were not finite {self.bad} "
                f"times in a row; {where}: resume with a lower learning_rate, or look at the data"
            )

    def _note(self, line: Line, speed: float) -> None:
        self.state.history.append(line)
        with writing(self.folder), (self.folder / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(line | {"tokens_per_s": round(speed)}) + "\n")
        if self.on_step is not None:
            self.on_step(line | {"tokens_per_s": speed})

    def _evaluate(self, score: Score) -> float | None:
        self.optimizer.catch_up()
        try:
            found = score()
        except NumericalError:  # the weights give no finite vectors: the lowest score
            found = -math.inf
        if found > self.state.best:
            self.state.best, self.state.best_step, self.state.worse = found, self.state.step, 0
            self.kept = {name: array.copy() for name, array in self.task.weights.items()}
        else:
            self.state.worse += 1
        return finite_or_none(found)

    def save(self) -> bool:
        """Write a checkpoint; returns False, and keeps the last one, if the current state is not good."""
        if self.bad or not all(np.isfinite(array).all() for array in self.task.weights.values()):
            return False
        arrays = {f"weights/{name}": array for name, array in self.task.weights.items()}
        arrays |= {f"optimizer/{name}": array for name, array in self.optimizer.state().items()}
        arrays |= {f"best/{name}": array for name, array in self.kept.items()}
        state, best = self.state, self.state.best
        facts = {name: getattr(state, name) for name in ("step", "epoch", "at", "skipped", "best_step", "worse")}
        facts |= {"best": None if math.isinf(best) else best, "history": state.history}
        facts |= self._same()
        save_checkpoint(self.folder, arrays, facts)
        return True

    def _same(self) -> dict[str, Any]:
        """What must be the same in a resumed training."""
        return {"settings": self.settings.same_weights, "data": self.task.fingerprint, "model": self.task.model}

    def restore(self) -> None:
        """Load the checkpoint and continue from it."""
        arrays, facts = load_checkpoint(self.folder)
        now = self._same()
        for what in now:
            if facts[what] != now[what]:
                raise InputError(f"{self.folder} holds a training with other {what}: {_difference(facts, now, what)}")
        for name, array in self.task.weights.items():
            found = arrays.get(f"weights/{name}")
            if found is None or found.shape != array.shape:
                raise TrainingError(f"{self.folder}: the checkpoint is of another model ({name})")
            array[...] = found
        parts = {"optimizer/": dict[str, Array](), "best/": dict[str, Array]()}
        for prefix, some in parts.items():
            some.update({n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)})
        self.optimizer.restore(parts["optimizer/"])
        self.kept = parts["best/"]
        self.state = State(**{name: value for name, value in facts.items() if name not in now})
        if self.state.best is None:
            self.state.best = -math.inf


def _difference(facts: Line, now: Line, what: str) -> str:
    if what == "settings":
        before, settings = facts[what], now[what]
        return ", ".join(f"{k} was {before.get(k)!r}, is {v!r}" for k, v in settings.items() if before.get(k) != v)
    return f"{'these examples are' if what == 'data' else 'this one is'} not what it began with"


def finite_or_none(x: float) -> float | None:
    """A number for JSON: None if it is not finite.

    >>> finite_or_none(float("nan")) is None
    True
    """
    return float(x) if np.isfinite(x) else None
