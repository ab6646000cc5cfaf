"""The optimiser against torch's and against loops, lazy rows against whole tables bit for bit, schedules against
transformers'."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from places import GOLDENS_FOLDER
from tiers import TIERS

from minembed.errors import InputError, TrainingError
from minembed.train.backward.gradients import accumulate, clip, global_norm, scale
from minembed.train.backward.trees import Rows
from minembed.train.optim import BLOCK, AdamW, decays
from minembed.train.schedules import SCHEDULES, warmup_steps

FILE = GOLDENS_FOLDER / "optim.npz"


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


@pytest.mark.parametrize("backend", TIERS)
def test_ten_steps_in_float32_are_torchs_to_rounding(golden, backend):
    weights = {"w": golden["start"].astype(np.float32)}
    optimizer = AdamW(weights, weight_decay=0.1, backend=backend)
    for step, g in enumerate(golden["gradients"].astype(np.float32)):
        clip({"w": g}, 2.0)
        optimizer.step({"w": g}, 1e-2 * SCHEDULES["linear"](step, 3, 10))
        assert weights["w"].dtype == np.float32
        np.testing.assert_allclose(weights["w"], golden["steps/0.1"][step], rtol=1e-6, atol=1e-7)


def loops(p, gradients, rates, betas, eps, decay):
    """Algorithm 2 of Loshchilov & Hutter, number by number."""
    found = np.array(p, np.float64)
    for place in np.ndindex(found.shape):
        x, m, v = float(found[place]), 0.0, 0.0
        for t, (gradient, lr) in enumerate(zip(gradients, rates, strict=True), 1):
            g = float(gradient[place])
            m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
            moved = (m / (1 - betas[0] ** t)) / (math.sqrt(v / (1 - betas[1] ** t)) + eps)
            x = x - lr * decay * x - lr * moved
        found[place] = x
    return found


# of numbers of size 1 after 13 steps: what float32 rounds off at each, and float64
TOLERANCE = {np.float32: dict(rtol=3e-6, atol=3e-6), np.float64: dict(rtol=1e-12, atol=1e-12)}


@pytest.mark.parametrize("backend", TIERS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    ("betas", "eps", "decay"), [((0.9, 0.999), 1e-8, 0.0), ((0.7, 0.95), 1e-3, 0.3), ((0, 0), 1e-6, 2.0)]
)
def test_it_is_what_the_loops_compute(backend, dtype, betas, eps, decay):
    rng = np.random.default_rng(6)
    weights = {n: rng.standard_normal(s).astype(dtype) for n, s in {"w": (7, 5), "b.bias": (3,), "t": (11, 2)}.items()}
    start = {n: a.copy() for n, a in weights.items()}
    optimizer = AdamW(
        weights, betas=betas, eps=eps, weight_decay=decay, lazy=frozenset({"t"}), backend=backend, threads=2
    )
    rates, gradients = rng.uniform(0, 0.1, 13).tolist(), {n: [] for n in weights}
    for lr in rates:
        rows = np.unique(rng.integers(0, 11, 3))
        g = {n: rng.standard_normal(a.shape).astype(dtype) for n, a in weights.items()}
        some = g["t"][rows]
        g["t"] = np.zeros_like(g["t"])
        g["t"][rows] = some
        for name in g:
            gradients[name].append(g[name].copy())
        optimizer.step(g | {"t": Rows(rows, some)}, lr)
    optimizer.catch_up()
    for name, array in weights.items():
        expected = loops(start[name], gradients[name], rates, betas, eps, 0.0 if name == "b.bias" else decay)
        np.testing.assert_allclose(array, expected, **TOLERANCE[dtype], err_msg=name)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_schedules_are_transformers(golden, name):
    assert [SCHEDULES[name](step, 3, 10) for step in range(12)] == golden[name].tolist()  # the same bits


STEPS = st.lists(
    st.tuples(
        st.lists(st.integers(0, 5), max_size=4),  # rows with a gradient
        st.floats(0, 0.1) | st.just(0.0),  # learning rate
        st.sampled_from(["rows", "rows", "rows", "whole"]),  # what the gradient is
        st.sampled_from(["those", "all", "others too"]),  # which rows are read before
        st.booleans(),  # whether training stops and is resumed before
    ),
    min_size=1,
    max_size=12,
)
DTYPES = st.sampled_from([np.float32, np.float64])
ODD = (0.0, -0.0, 1e-30, -1e-30, 1e-45, 3e38, 1.0)  # signed zeros, what underflows and overflows


def bits(array):
    return array.tobytes()


IDLE = [([], 0.0, "rows", "those", False)] * 8 + [([], 0.09375, "rows", "those", False)]


@settings(max_examples=150, deadline=None)  # kernels compile at first
@example(IDLE, 30.0, np.float32, "numpy", 1, True)  # decay alone leaves float32
@given(STEPS, st.sampled_from([0.0, 0.1, 30.0]), DTYPES, st.sampled_from(TIERS), st.integers(1, 3), st.booleans())
def test_rows_that_wait_end_with_the_same_bits(steps, decay, dtype, backend, threads, odd):
    """A whole table in NumPy, and one whose rows wait, in any tier: the same weights and averages at the end."""
    rng = np.random.default_rng(1)

    def draw(*shape):
        return (rng.choice(ODD, shape) if odd else rng.standard_normal(shape)).astype(dtype)

    def lazy_one(weights):
        return AdamW(weights, weight_decay=decay, lazy=frozenset({"t"}), backend=backend, threads=threads)

    start = draw(6, 5)
    whole, waiting = {"t": start.copy()}, {"t": start.copy()}
    dense, lazy = AdamW(whole, weight_decay=decay, backend="numpy"), lazy_one(waiting)
    for rows, lr, kind, read, resumed in steps:
        if resumed:
            state = {name: array.copy() for name, array in lazy.state().items()}
            waiting = {"t": waiting["t"].copy()}
            lazy = lazy_one(waiting)
            lazy.restore(state)
        indices = np.unique(np.array(rows, np.int64))
        g = np.zeros_like(start)
        g[indices] = draw(len(indices), 5)
        lazy.catch_up(
            {"those": {"t": np.array(rows, np.int64)}, "all": None, "others too": {"t": np.array([4, 1, 4])}}[read]
        )
        if read != "others too":
            assert bits(waiting["t"][indices]) == bits(whole["t"][indices])
        dense.step({"t": g}, lr)
        lazy.step({"t": Rows(indices, g[indices]) if kind == "rows" else g}, lr)
    lazy.catch_up()
    for ours, theirs in ((waiting, whole), (lazy.m, dense.m), (lazy.v, dense.v)):
        assert bits(ours["t"]) == bits(theirs["t"])


def test_waiting_rows_do_not_depend_on_threads_or_tiers():
    """A table of more than one part of work, of rows that are all at different steps."""
    start = np.random.default_rng(2).standard_normal((400, 384)).astype(np.float32)
    found = []
    for backend in TIERS:
        for threads in (1, 3):
            rng, weights = np.random.default_rng(3), {"t": start.copy()}
            optimizer = AdamW(weights, weight_decay=0.1, lazy=frozenset({"t"}), backend=backend, threads=threads)
            for _ in range(30):
                rows = np.unique(rng.integers(0, 350, 40))
                values = rng.standard_normal((len(rows), 384)).astype(np.float32)
                optimizer.step({"t": Rows(rows, values)}, 1e-2)
            optimizer.catch_up()
            found.append(bits(weights["t"]))
    assert len(set(found)) == 1


def test_rows_without_a_gradient_are_not_touched_until_they_are_read():
    weights = {"t": np.ones((5, 2), np.float32)}
    optimizer = AdamW(weights, weight_decay=0.5, lazy=frozenset({"t"}))
    for _ in range(3):
        optimizer.step({"t": Rows(np.array([1]), np.ones((1, 2), np.float32))}, 0.1)
    assert (weights["t"][[0, 2, 3, 4]] == 1).all()
    optimizer.catch_up({"t": np.array([3, 3])})
    assert (weights["t"][3] < 1).all() and (weights["t"][[0, 2, 4]] == 1).all()
    assert optimizer.last["t"].tolist() == [0, 3, 0, 3, 0]


def test_rows_of_a_table_that_is_not_lazy():
    start, values = np.ones((4, 3)), np.full((1, 3), 2.0)
    first, second = {"t": start.copy()}, {"t": start.copy()}
    g = np.zeros((4, 3))
    g[2] = 2
    for one, gradient in ((AdamW(first), g), (AdamW(second), Rows(np.array([2]), values))):
        one.step({"t": gradient}, 0.1)
        one.catch_up({"t": np.array([99])})  # nothing of it waits
    assert bits(first["t"]) == bits(second["t"])


def test_parameters_without_a_gradient_are_left_alone():
    weights = {"a": np.ones(2), "b": np.ones(2)}
    AdamW(weights, weight_decay=0.1).step({"a": np.ones(2)}, 0.1)
    assert (weights["a"] < 1).all() and (weights["b"] == 1).all()


@pytest.mark.parametrize("backend", TIERS)
def test_gradients_may_be_strided_or_of_another_precision(backend):
    g = np.random.default_rng(5).standard_normal((6, 4))
    first, second = {"w": np.ones((6, 4), np.float32)}, {"w": np.ones((6, 4), np.float32)}
    AdamW(first, backend=backend).step({"w": np.asfortranarray(g)}, 0.1)
    AdamW(second, backend=backend).step({"w": g.astype(np.float32)}, 0.1)
    assert bits(first["w"]) == bits(second["w"])


def test_sizes_around_a_block_and_arrays_of_no_axes():
    for shape in ((), (0,), (1,), (BLOCK - 1,), (BLOCK + 1,), (2, 3, 5)):
        weights = {"w": np.ones(shape)}
        AdamW(weights).step({"w": np.ones(shape)}, 0.25)
        np.testing.assert_allclose(weights["w"], 0.75, rtol=1e-7)


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


def test_states_of_other_weights_are_refused():
    def optimizer(shape=(4, 2), dtype=np.float32, lazy=frozenset({"t"})):
        return AdamW({"t": np.ones(shape, dtype)}, lazy=lazy)

    state = optimizer().state()
    missing = {name: array for name, array in state.items() if name != "m/t"}
    shape, dtype = optimizer((5, 2)).state(), optimizer(dtype=np.float64).state()
    for bad, named in ((missing, "m/t"), (shape, "m/t"), (dtype, "m/t"), ({**state, "m/u": state["m/t"]}, "m/u")):
        with pytest.raises(TrainingError, match=named):
            optimizer().restore(bad)
    with pytest.raises(TrainingError, match="last/t"):
        optimizer(lazy=frozenset()).restore(state)


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


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["a", "b", "t"]), min_size=1, max_size=3, unique=True), st.integers(1, 4))
def test_accumulated_gradients_are_the_sum(names, parts):
    rng = np.random.default_rng(7)
    total, dense = {}, {name: np.zeros((5, 2)) for name in names}
    for _ in range(parts):
        gradients = {}
        for name in names:
            g = np.zeros((5, 2))
            rows = np.unique(rng.integers(0, 5, 3))
            g[rows] = rng.integers(-8, 8, (len(rows), 2))  # whole numbers: any order gives the same sum
            gradients[name] = Rows(rows, g[rows]) if name == "t" else g.copy()
            dense[name] += g
        accumulate(total, gradients)
    for name in names:
        found = total[name]
        if isinstance(found, Rows):
            assert (np.diff(found.indices) > 0).all()
            full = np.zeros((5, 2))
            full[found.indices] = found.values
            found = full
        assert found.tolist() == dense[name].tolist()


def test_the_norm_is_summed_in_float64():
    rng = np.random.default_rng(8)
    g = {
        "a": rng.standard_normal((3, BLOCK + 7)).astype(np.float32),
        "t": Rows(np.array([1, 4]), np.full((2, 3), 1e-9)),
    }
    exact = math.sqrt(math.fsum(float(x) ** 2 for x in [*g["a"].reshape(-1), *g["t"].values.reshape(-1)]))
    assert global_norm(g) == pytest.approx(exact, rel=1e-14)
    assert global_norm(dict(reversed(g.items()))) == global_norm(g)
    assert global_norm({}) == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradients_that_are_not_finite_are_reported_and_left(bad, dtype):
    for where in ("a", "t"):
        g = {"a": np.full(3, 7, dtype), "t": Rows(np.array([1]), np.full((1, 2), 7, dtype))}
        (g["a"] if where == "a" else g["t"].values)[..., -1] = bad
        assert not math.isfinite(clip(g, 1.0))
        assert g["a"][0] == 7 and g["t"].values[0, 0] == 7


def test_what_overflows_gives_no_warning_but_what_ieee_says():
    g = {"w": np.float32([1e30, 3e38])}
    weights = {"w": np.ones(2, np.float32)}
    AdamW(weights).step(g, 0.1)  # the square is infinite: no movement
    assert weights["w"].tolist() == [1, 1]
    assert clip({"w": np.array([1e200])}, 1.0) == np.inf


@pytest.mark.parametrize("limit", [0, -1.0, float("nan")])
def test_bad_limits_are_named(limit):
    with pytest.raises(InputError, match="max_norm must be above 0"):
        clip({}, limit)


BAD = [{"betas": (1.0, 0.9)}, {"betas": (0.9, -0.1)}, {"eps": -1.0}, {"eps": 0.0}, {"weight_decay": float("nan")}]


@pytest.mark.parametrize("bad", BAD)
def test_bad_settings_are_named(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        AdamW({}, **bad)


def test_parameters_that_cannot_be_changed_are_refused():
    sealed = np.ones(3)
    sealed.flags.writeable = False
    for bad, named in (
        (np.ones((4, 4))[:, ::2], "strided or read-only"),
        (np.ones((2, 3)).T, "strided or read-only"),
        (sealed, "strided or read-only"),
        (np.ones(3, np.int64), "int64"),
        (np.ones(3, np.float16), "float16"),
        ([1.0], "list"),
    ):
        with pytest.raises(InputError, match=f"^layer.weight .*{named}"):
            AdamW({"layer.weight": bad})
    with pytest.raises(InputError, match="eps 1e-50 is 0 in float32"):
        AdamW({"w": np.ones(1, np.float32)}, eps=1e-50)
    for parameters in ({}, {"t": np.ones(3)}):
        with pytest.raises(InputError, match="'t' is said to be lazy"):
            AdamW(parameters, lazy=frozenset({"t"}))


@pytest.mark.parametrize(
    ("gradients", "lr", "named"),
    [
        ({"t": np.ones((4, 2))}, -0.1, "learning rate"),
        ({"t": np.ones((4, 2))}, float("nan"), "learning rate"),
        ({"t": np.ones((4, 2))}, float("inf"), "learning rate"),
        ({"t": np.ones((4, 3))}, 0.1, r"shape \(4, 2\), not \(4, 3\)"),
        ({"t": np.ones((4, 2)), "u": np.ones(1)}, 0.1, "gradient of 'u'"),
        ({"w": np.ones(3)}, 0.1, "t is lazy and needs a gradient"),
        ({"t": Rows(np.array([4]), np.ones((1, 2)))}, 0.1, "no row 4, but 0 to 3"),
        ({"t": Rows(np.array([-1, 3]), np.ones((2, 2)))}, 0.1, "no row -1"),
        ({"t": Rows(np.array([2, 1]), np.ones((2, 2)))}, 0.1, "ascending"),
        ({"t": Rows(np.array([1, 1]), np.ones((2, 2)))}, 0.1, "ascending"),
        ({"t": Rows(np.array([1]), np.ones((2, 2)))}, 0.1, r"shape \(1, 2\)"),
    ],
)
def test_gradients_that_do_not_fit_are_named_and_change_nothing(gradients, lr, named):
    weights = {"t": np.ones((4, 2)), "w": np.ones(3)}
    optimizer = AdamW(weights, weight_decay=0.1, lazy=frozenset({"t"}))
    with pytest.raises(InputError, match=named):
        optimizer.step({"w": np.ones(3)} | gradients if "t" in gradients else gradients, lr)
    assert (weights["t"] == 1).all() and (weights["w"] == 1).all() and not optimizer.rates


def test_rows_that_are_not_there_cannot_be_caught_up():
    optimizer = AdamW({"t": np.ones((4, 2))}, lazy=frozenset({"t"}))
    with pytest.raises(InputError, match="t has no row 4, but 0 to 3"):
        optimizer.catch_up({"t": np.array([0, 4])})


@pytest.mark.parametrize("bad", [-1, float("nan"), float("inf")])
def test_bad_warmups_are_named(bad):
    with pytest.raises(InputError, match="warmup"):
        warmup_steps(bad, 10)
