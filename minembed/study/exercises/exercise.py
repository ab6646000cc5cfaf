"""Exercises, and running a learner's function in place of steps of the encoder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minembed.runtime.threads import single_threaded_blas
from minembed.study.step import Step
from minembed.study.traced import Trace
from minembed.types import Array

STARTERS = Path(__file__).parent / "starters"
Compared = Iterator[tuple[str, list[Array], list[Array]]]  # name, the learner's of each text, the reference's


@dataclass(frozen=True, slots=True)
class Place:
    """The context of a call of a learner's function: a step of one text, and all results before it."""

    step: Step
    values: Mapping[str, Array]  # by name, computed with the learner's function
    special: Array  # (N,) bool: which tokens are special ones


Call = Callable[[Callable[..., Any], Sequence[Place]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Exercise:
    """A function with a bug that was found in real ports, and the steps that it replaces."""

    number: int
    function: str  # its name, and that of its file
    title: str
    run: Callable[[Callable[..., Any], Sequence[Trace]], Compared]
    wrong: str  # the lines of the starter that are wrong,
    right: str  # and their correction
    hints: tuple[str, ...]
    tolerance: float = 2e-5  # relative difference allowed between two correct results

    @property
    def starter(self) -> str:
        """The file that the learner gets."""
        return (STARTERS / f"{self.function}.txt").read_text(encoding="utf-8")

    @property
    def solution(self) -> str:
        """The same file, corrected."""
        return self.starter.replace(self.wrong, self.right)


def in_place_of(*patterns: str, call: Call) -> Callable[[Callable[..., Any], Sequence[Trace]], Compared]:
    """A run of the whole encoder, in which some steps are computed by `call` with the learner's function."""
    return partial(_run, patterns, call)


def _run(patterns: tuple[str, ...], call: Call, function: Callable[..., Any], traces: Sequence[Trace]) -> Compared:
    """Compute all texts step by step; give the results from the first replaced one on."""
    mine: list[dict[str, Array]] = [{} for _ in traces]
    begun = False
    with np.errstate(all="ignore"), single_threaded_blas():
        for name in traces[0]:
            steps = [trace.steps[name] for trace in traces]
            if any(fnmatchcase(name, pattern) for pattern in patterns):
                places = [Place(*at) for at in zip(steps, mine, (t.special for t in traces), strict=True)]
                results, begun = call(function, places), True
                results = [checked(name, x, step.shape) for x, step in zip(results, steps, strict=True)]
            elif begun:
                results = [step.rule(*(m[i] for i in step.inputs)) for step, m in zip(steps, mine, strict=True)]
            else:
                results = [trace[name] for trace in traces]
            for values, x in zip(mine, results, strict=True):
                values[name] = x
            if begun:
                yield name, list(results), [trace[name] for trace in traces]


def checked(name: str, x: object, shape: tuple[int, ...]) -> Array:
    """The result of a learner's function, as float32; raises WrongShape if it has another shape.

    >>> checked("pooled", [1, 2], (2,)).tolist()
    [1.0, 2.0]
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiub" or array.shape != shape:
        raise WrongShape(f"{name} must have the shape {shape}; your function gave {array.dtype} {array.shape}")
    return np.asarray(array, np.float32)


class WrongShape(ValueError):
    """A learner's function returned an array of another shape, or something else than numbers."""
