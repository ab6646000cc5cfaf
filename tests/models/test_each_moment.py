"""Interrupts at each moment of a call in turn: nothing that was taken stays taken, and no bit changes."""

import shutil
import threading
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl
from batchings import texts_of
from each_moment import interrupt_each, needs_tables
from examples import heavy

from minembed import Embedder, Index, top_k
from minembed.runtime import threads
from minembed.train.backward.trees import Rows
from minembed.train.model import Trainee
from minembed.train.step import Method, contrastive_gradients

pytestmark = needs_tables
FDS = Path("/proc/self/fd")
if find_spec("numba"):
    from minembed.kernels import helpers as kernel_helpers
else:
    kernel_helpers = None


def blas():
    return {each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"}


def idle(helpers):
    """Whether helpers come to rest soon."""
    for _ in range(1000):
        if all(each._last.done for each in helpers):
            return True
        time.sleep(0.001)
    return False


def open_files():
    """How many files this process has open, where the system tells."""
    return len(list(FDS.iterdir())) if FDS.exists() else 0


def free(lock):
    """Whether another thread gets a lock."""
    got = []

    def take():
        if lock.acquire(timeout=1):
            got.append(True)
            lock.release()

    other = threading.Thread(target=take)
    other.start()
    other.join()
    return bool(got)


def assert_each(amount, least, work, step):
    """Nothing is held after each interrupt; at last the bits are as before."""
    helpers = kernel_helpers._helpers if kernel_helpers else []
    work()
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        expected = work()

        def check(where):
            assert idle(helpers), where
            assert free(threads._guard.lock), where
            assert blas() <= {2}, where

        times = interrupt_each(work, check, step)
        assert work() == expected
    amount.did(times)
    assert times > least


@pytest.mark.parametrize("step", [11, *heavy([1])])
def test_single_queries(tiny_checkpoint, tier, step, monkeypatch, amount):
    if tier != "numpy":
        monkeypatch.setattr("minembed.kernels.encoder.prepared.SHARED_WORK", 0)  # every product is worth sharing
    model = Embedder.load(tiny_checkpoint, backend=tier, threads=2)
    assert_each(amount, 10, lambda: model.encode("the cat sat on the dog").tobytes(), step)


@pytest.mark.skipif(not kernel_helpers, reason="there is no numba")
@pytest.mark.parametrize("step", [41, *heavy([1])])
def test_a_helper_is_free_again_after_anything_between_two_bytecodes(tiny_checkpoint, step, monkeypatch, amount):
    """Its end is in compiled code, which no interrupt cuts short: no `finally` is counted on."""
    monkeypatch.setattr("minembed.kernels.encoder.prepared.SHARED_WORK", 0)
    model = Embedder.load(tiny_checkpoint, backend="numba", threads=2)

    def check(where):
        assert idle(kernel_helpers._helpers), where

    def work():
        model.encode("the cat sat on the dog")

    work()
    times = interrupt_each(work, check, step, anywhere=True)
    amount.did(times)
    assert times > 10


@pytest.mark.parametrize("step", [41, *heavy([3])])
@pytest.mark.parametrize("workers", [1, 2])
def test_batches(tiny_checkpoint, tier, workers, step, amount):
    model, texts = Embedder.load(tiny_checkpoint, backend=tier, threads=workers), texts_of(10, 20, seed=1)
    assert_each(amount, 10, lambda: model.encode(texts, truncation="silent").tobytes(), step)


@pytest.mark.parametrize("step", [41, *heavy([1])])
@pytest.mark.parametrize("precision", ["float32", "int8", "binary"])
def test_searches(precision, step, amount):
    rng = np.random.default_rng(3)
    index = Index.build(rng.standard_normal((300, 32)), precision=precision)
    queries = rng.standard_normal((5, 32))
    assert_each(amount, 10, lambda: [x.tobytes() for x in index.search(queries, k=7, as_arrays=True)], step)


@pytest.mark.parametrize("step", [23, *heavy([3])])
def test_top_k(tier, step, amount):
    corpus, queries = (np.random.default_rng(4).standard_normal((n, 64)).astype(np.float32) for n in (5000, 20))
    assert_each(amount, 10, lambda: [x.tobytes() for x in top_k(queries, corpus, 10, backend=tier, threads=2)], step)


@pytest.mark.parametrize("step", [1201, *heavy([21])])
def test_training_steps(tiny_checkpoint, tier, step, amount):
    trainee, method = Trainee.load(tiny_checkpoint), Method(threads=2, backend=tier)
    columns = [trainee.tokenizer(texts_of(4, 8, seed=n)) for n in (1, 2)]

    def products(columns, labels):
        a, b = columns
        return float((a * b).sum()), (b.copy(), a.copy())

    def gradients():
        found = contrastive_gradients(trainee, columns, None, products, method)
        arrays = {n: g.values if isinstance(g, Rows) else g for n, g in found.gradients.items()}
        return found.loss, {name: array.tobytes() for name, array in arrays.items()}

    assert_each(amount, 2, gradients, step)


@pytest.mark.parametrize("step", [601, *heavy([5])])
def test_saving_a_model(tiny_checkpoint, tmp_path, step, amount):
    model, place = Embedder.load(tiny_checkpoint, backend="numpy"), tmp_path / "saved"

    def check(where):
        assert open_files() == opened, where
        assert list(tmp_path.iterdir()) in ([], [place]), where
        if place.exists():
            assert Embedder.load(place, backend="numpy").encode("a cat").tobytes() == expected, where
            shutil.rmtree(place)

    expected = model.encode("a cat").tobytes()
    opened = open_files()
    times = interrupt_each(lambda: model.save(place), check, step)
    amount.did(times)
    assert times > 2


@pytest.mark.parametrize("step", [201, *heavy([3])])
def test_saving_an_index(tmp_path, step, amount):
    index, place = Index.build(np.random.default_rng(3).standard_normal((20, 8)), ["a"] * 20), tmp_path / "index"
    index.save(place)

    def check(where):
        nonlocal opened
        if " rmtree" in where:  # the standard library loses a folder there, right after opening it
            opened = min(open_files(), opened + 1)
        assert open_files() == opened, where
        Index.load(place, verify=True)
        assert not list(place.glob(".minembed-*")), where

    opened = open_files()
    times = interrupt_each(lambda: index.save(place), check, step)
    amount.did(times)
    assert times > 5
