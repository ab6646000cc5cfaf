"""The optimiser against torch's, lazy rows against whole tables bit for bit, and schedules against transformers'."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minembed.errors import InputError, TrainingError
from minembed.train.optim import AdamW, accumulate, clip, decays, global_norm, scale
from minembed.train.schedules import SCHEDULES, warmup_steps
from minembed.train.trees import Rows

FILE = Path(__file__).parent / "goldens" / "optim.npz"
TIERS = ["numpy", "numba"] if find_spec("numba") else ["numpy"]


@pytest.fixture(scope="module")
def golden():
    with np.load(FILE) as file:
        return dict(file)


@pytest.mark.parametrize("backend", TIERS)
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_ten_steps_are_torchs(golden, decay, backend):
    weights = {"w": golden["start"].copy()}
    optimizer = AdamW(weights, weight_decay=decay, backend=backend)
    for step, g in enumerate(golden["gradients"]):
        gradients = {"w": g.copy()}
        assert clip(gradients, 2.0) == pytest.approx(golden["norms"][step], rel=1e-12)
        optimizer.step(gradients, 1e-2 * SCHEDULES["linear"](step, 3, 10))
        np.testing.assert_allclose(weights["w"], golden[f"steps/{decay}"][step], rtol=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_schedules_are_transformers(golden, name):
    np.testing.assert_allclose([SCHEDULES[name](step, 3, 10) for step in range(12)], golden[name], rtol=1e-15)


STEPS = st.lists(
    st.tuples(st.lists(st.integers(0, 5), max_size=4), st.floats(0, 0.1), st.booleans()), min_size=1, max_size=12
)


@settings(max_examples=60, deadline=None)  # kernels compile at first
@given(STEPS, st.sampled_from([0.0, 0.1]), st.sampled_from([np.float32, np.float64]), st.sampled_from(TIERS))
def test_rows_that_wait_end_with_the_same_bits(steps, decay, dtype, backend):
    """Steps are: rows with a gradient, learning rate, whether all rows are read before."""
    rng = np.random.default_rng(1)
    start = rng.standard_normal((6, 5)).astype(dtype)
    whole, waiting = {"t": start.copy()}, {"t": start.copy()}
    dense = AdamW(whole, weight_decay=decay, backend="numpy")
    lazy = AdamW(waiting, weight_decay=decay, lazy=frozenset({"t"}), backend=backend, threads=2)
    for rows, lr, read in steps:
        indices = np.unique(np.array(rows, np.int64))
        values, g = rng.standard_normal((len(indices), 5)).astype(dtype), np.zeros_like(start)
        g[indices] = values
        lazy.catch_up(None if read else {"t": indices})
        np.testing.assert_array_equal(waiting["t"][indices], whole["t"][indices])
        dense.step({"t": g}, lr)
        lazy.step({"t": Rows(indices, values)}, lr)
    lazy.catch_up()
    for ours, theirs in ((waiting, whole), (lazy.m, dense.m), (lazy.v, dense.v)):
        np.testing.assert_array_equal(ours["t"], theirs["t"])


def test_a_whole_gradient_of_a_lazy_table():
    start = np.random.default_rng(1).standard_normal((4, 3))
    whole, waiting = {"t": start.copy()}, {"t": start.copy()}
    dense, lazy = AdamW(whole), AdamW(waiting, lazy=frozenset({"t"}))
    few = Rows(np.array([2]), np.ones((1, 3)))
    for gradient in (few, few, np.ones((4, 3)), few):
        g = np.zeros((4, 3))
        g[2 if isinstance(gradient, Rows) else slice(None)] = 1
        dense.step({"t": g}, 0.01)
        lazy.step({"t": gradient}, 0.01)
    lazy.catch_up()
    np.testing.assert_array_equal(waiting["t"], whole["t"])


@pytest.mark.parametrize("backend", TIERS)
def test_a_restored_state_goes_on_bit_for_bit(backend):
    rng = np.random.default_rng(3)
    names = {"w": (7, 3), "b": (3,), "t": (9, 3)}

    def gradients():
        rows = np.unique(rng.integers(0, 9, 3))
        g = {n: rng.standard_normal(s).astype(np.float32) for n, s in names.items() if n != "t"}
        return g | {"t": Rows(rows, rng.standard_normal((len(rows), 3)).astype(np.float32))}

    def fresh(weights):
        return AdamW(weights, weight_decay=0.1, lazy=frozenset({"t"}), backend=backend)

    weights = {n: rng.standard_normal(s).astype(np.float32) for n, s in names.items()}
    steps = [gradients() for _ in range(8)]
    optimizer = fresh(weights)
    for g in steps[:4]:
        optimizer.step(g, 0.01)
    copied = {n: a.copy() for n, a in weights.items()}
    second = fresh(copied)
    second.restore({n: a.copy() for n, a in optimizer.state().items()})
    for g in steps[4:]:
        optimizer.step(g, 0.02)
        second.step(g, 0.02)
    optimizer.catch_up()
    second.catch_up()
    for name in names:
        np.testing.assert_array_equal(weights[name], copied[name])
    with pytest.raises(TrainingError, match="m/t"):
        second.restore({n: a for n, a in optimizer.state().items() if n != "m/t"})


def test_threads_and_tiers_change_no_bit():
    rng = np.random.default_rng(4)
    start, g = (rng.standard_normal((1500, 1024)).astype(np.float32) for _ in range(2))
    found = []
    for backend in TIERS:
        for threads in (1, 3):
            weights = {"w": start.copy()}
            optimizer = AdamW(weights, weight_decay=0.01, backend=backend, threads=threads)
            for _ in range(2):
                optimizer.step({"w": g}, 1e-3)
            found.append(weights["w"])
    for other in found[1:]:
        np.testing.assert_array_equal(found[0], other)


def test_what_decays():
    names = ["layers.0.qkv.weight", "layers.0.qkv.bias", "attention_norm.weight", "relative_attention_bias"]
    shapes = [(2, 2), (2,), (2,), (2, 2)]
    assert [decays(n, np.ones(s)) for n, s in zip(names, shapes, strict=True)] == [True, False, False, False]


def test_clipping():
    g = {"a": np.float32([3, 0]), "b": Rows(np.array([1]), np.float32([[0, 4]]))}
    assert clip(g, 10.0) == 5 and g["a"][0] == 3
    assert clip(g, 1.0) == 5 and global_norm(g) == pytest.approx(1, rel=1e-5)
    bad = {"a": np.float32([np.nan, 1])}
    assert np.isnan(clip(bad, 1.0)) and bad["a"][1] == 1
    assert global_norm({"a": np.float32([1e30, 1e30])}) == pytest.approx(2**0.5 * 1e30)


def test_accumulation():
    total = {}
    for i in (1, 2):
        accumulate(total, {"a": np.full(2, float(i)), "t": Rows(np.array([i, 5]), np.ones((2, 1)))})
    scale(total, 0.5)
    assert total["a"].tolist() == [1.5, 1.5]
    assert total["t"].indices.tolist() == [1, 2, 5] and total["t"].values[:, 0].tolist() == [0.5, 0.5, 1.0]


@pytest.mark.parametrize("bad", [{"betas": (1.0, 0.9)}, {"eps": -1.0}, {"weight_decay": float("nan")}])
def test_bad_settings_are_named(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        AdamW({}, **bad)


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf")])
def test_bad_warmups_are_named(bad):
    with pytest.raises(InputError, match="warmup"):
        warmup_steps(bad, 10)
