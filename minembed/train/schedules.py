"""Schedules of the learning rate: up during the warm-up, then down; steps count from 0, as in transformers."""

import math
from collections.abc import Callable

from minembed.errors import InputError


def constant(step: int, warmup: int, total: int) -> float:
    """Up to 1 during the warm-up, then constantly 1.

    >>> [constant(step, 2, 9) for step in (0, 1, 2, 8)]
    [0.0, 0.5, 1.0, 1.0]
    """
    return step / max(1, warmup) if step < warmup else 1.0


def linear(step: int, warmup: int, total: int) -> float:
    """Up to 1 during the warm-up, then linearly down to 0.

    >>> [linear(step, 2, 6) for step in (1, 2, 4, 6)]
    [0.5, 1.0, 0.5, 0.0]
    """
    return step / max(1, warmup) if step < warmup else max(0.0, (total - step) / max(1, total - warmup))


def cosine(step: int, warmup: int, total: int) -> float:
    """Up to 1 during the warm-up, then down to 0 along half a cosine wave.

    >>> [round(cosine(step, 2, 6), 3) for step in (1, 2, 4, 6)]
    [0.5, 1.0, 0.5, 0.0]
    """
    if step < warmup:
        return step / max(1, warmup)
    return max(0.0, 0.5 * (1 + math.cos(math.pi * ((step - warmup) / max(1, total - warmup)))))


SCHEDULES: dict[str, Callable[[int, int, int], float]] = {"constant": constant, "linear": linear, "cosine": cosine}


def warmup_steps(warmup: float, total: int) -> int:
    """The number of warm-up steps: below 1 it is a share of all steps, rounded up, else a number of steps.

    Raises InputError if it is negative, or not a number.

    >>> warmup_steps(0.1, 55), warmup_steps(100, 55)
    (6, 100)
    """
    if not (warmup >= 0 and math.isfinite(warmup)):
        raise InputError(f"warmup must be a share of the steps below 1, or a number of steps; not {warmup!r}")
    return math.ceil(warmup * total) if warmup < 1 else int(warmup)
