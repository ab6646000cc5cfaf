"""Training steps that are interrupted at random moments: nothing stays held, and no bit changes."""

import threading

import pytest
import threadpoolctl
from interrupts import interrupt, is_calm, needs_timer

from minembed.train.backward.trees import Rows
from minembed.train.model import Trainee
from minembed.train.step import Method, contrastive_gradients

TEXTS = [f"a {'long ' * (i % 7)}text number {i} of many" for i in range(12)]


def products(columns, labels):
    """The sum of products of the two columns."""
    a, b = columns
    return float((a * b).sum()), (b.copy(), a.copy())


@needs_timer
@pytest.mark.parametrize(("times", "seed"), [(40, 1), pytest.param(5000, 2, marks=pytest.mark.slow)])
def test_training_steps(tiny_checkpoint, tier, times, seed, amount):
    trainee, half = Trainee.load(tiny_checkpoint), len(TEXTS) // 2
    columns = [trainee.tokenizer(TEXTS[:half]), trainee.tokenizer(TEXTS[half:])]
    method = Method(threads=2, backend=tier)

    def step():
        found = contrastive_gradients(trainee, columns, None, products, method)
        arrays = {n: g.values if isinstance(g, Rows) else g for n, g in found.gradients.items()}
        return found.loss, {name: array.tobytes() for name, array in arrays.items()}

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        expected, running = step(), threading.active_count()
        interrupt(step, amount.rounds(times), amount.seed(seed))
        limits = {info["num_threads"] for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"}
        assert limits == {2} and threading.active_count() <= running and is_calm()
        assert step() == expected
