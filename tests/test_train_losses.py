"""Losses against sentence-transformers' in float64, against central differences, and at their edges."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import CASES, columns_of, labels_of
from test_vjp import CLOSE, slope

from minembed.errors import InputError
from minembed.train.losses import LOSSES, NEED_LABELS, matryoshka

FILE = Path(__file__).parent / "goldens" / "losses.npz"
# torch adds 1e-8 to the product of lengths, and 1e-6 to every difference, before it divides or takes a root
REFERENCE = {"triplet": 3e-6}


def loss_of(name):
    loss, options, *_ = CASES[name]
    return lambda columns, labels: LOSSES[loss](columns, labels, **options)


@pytest.mark.parametrize("style", ["plain", "matryoshka"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_slopes_are_sentence_transformers(name, style):
    loss = loss_of(name) if style == "plain" else matryoshka(loss_of(name), [6, 3, 2])
    value, gradients = loss(columns_of(name), labels_of(name))
    atol = REFERENCE.get(CASES[name][0], 1e-7)
    with np.load(FILE) as file:
        np.testing.assert_allclose(value, file[f"{name}/{style}/value"], rtol=1e-7, atol=atol)
        np.testing.assert_allclose(np.stack(gradients), file[f"{name}/{style}/gradients"], rtol=1e-6, atol=atol)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.integers(2, 6), st.integers(0, 2**32 - 1))
def test_slopes_are_slopes(name, size, seed):
    rng = np.random.default_rng(seed)
    columns = [rng.standard_normal((size, 4)) for _ in range(CASES[name][4])]
    labels = rng.integers(0, 2, size).astype(float)
    for loss in (loss_of(name), matryoshka(loss_of(name), [4, 3], [0.5, 2.0])):
        _, gradients = loss(columns, labels)
        for gradient, column in zip(gradients, columns, strict=True):
            got = slope(lambda loss=loss: loss(columns, labels)[0], column)
            # a kink of a margin inside the step of 1e-6 has a probability of some 1e-5
            np.testing.assert_allclose(gradient, got, rtol=1e-6, atol=1e-7)
            assert CLOSE["rtol"] == 1e-6


@pytest.mark.parametrize("name", CASES)
def test_float32_stays_float32(name):
    columns = [x.astype(np.float32) for x in columns_of(name)]
    value, gradients = loss_of(name)(columns, labels_of(name))
    exact, wanted = loss_of(name)(columns_of(name), labels_of(name))
    assert isinstance(value, float) and {g.dtype for g in gradients} == {np.dtype(np.float32)}
    assert value == pytest.approx(exact, rel=1e-5, abs=1e-6)  # scores times 20, in float32
    np.testing.assert_allclose(np.stack(gradients), np.stack(wanted), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["cosent", "multiple_negatives_ranking"])
def test_extreme_scores_do_not_overflow(name):
    a = np.eye(3, dtype=np.float32)
    with np.errstate(all="raise", under="ignore"):
        value, gradients = LOSSES[name]([a, -a], np.array([0.0, 1.0, 2.0]), scale=1e6)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)


def test_equal_labels_ask_for_nothing():
    value, gradients = LOSSES["cosent"]([np.eye(3), np.ones((3, 3))], np.ones(3))
    assert value == 0 and not any(g.any() for g in gradients)


@pytest.mark.parametrize("name", LOSSES)
def test_zero_vectors_have_finite_slopes(name):
    columns = [np.zeros((3, 4))] * (3 if name == "triplet" else 2)
    value, gradients = LOSSES[name](columns, np.array([0.0, 1.0, 1.0]))
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)


E3 = np.eye(3)
FAULTS = [
    ("multiple_negatives_ranking", [E3[:1], E3[:1]], None, {}, "no negatives"),
    ("multiple_negatives_ranking", [E3, E3], None, {"scale": 0.0}, "scale must be a number above 0"),
    ("multiple_negatives_ranking", [E3, E3], None, {"scale": float("nan")}, "scale"),
    ("cosent", [E3, E3], np.ones(3), {"scale": float("inf")}, "scale"),
    ("multiple_negatives_ranking", [E3, E3], None, {"similarity": "euclidean"}, "similarity must be"),
    ("multiple_negatives_ranking", [E3], None, {}, "at least 2 columns"),
    ("triplet", [E3, E3], None, {}, "3 columns"),
    ("triplet", [E3, E3, E3], None, {"metric": "dot"}, "metric must be"),
    ("contrastive", [E3, E3], np.array([0, 1, 2]), {}, r"labels\[2\] is 2.0"),
    ("contrastive", [E3, E3], np.ones(3), {"metric": "dot"}, "metric must be"),
    ("cosine_similarity", [E3, E3], np.array([0, 5, 1]), {}, r"labels\[1\] is 5.0"),
    ("cosine_similarity", [E3, E3], np.ones(2), {}, "3 pairs, 2 labels"),
    ("cosent", [E3, E3], np.array([0, np.nan, 1]), {}, r"labels\[1\] is nan"),
    ("cosent", [E3, E3[:2]], np.ones(3), {}, "same shape"),
    ("cosent", [E3[:0], E3[:0]], np.ones(0), {}, "at least one row"),
    *[(name, [E3, E3], None, {}, "needs a label") for name in NEED_LABELS],
]


@pytest.mark.parametrize(("name", "columns", "labels", "options", "message"), FAULTS)
def test_bad_input_is_named(name, columns, labels, options, message):
    with pytest.raises(InputError, match=message):
        LOSSES[name](columns, labels, **options)


@pytest.mark.parametrize(
    ("dims", "weights", "message"),
    [
        ([], None, "needs dims"),
        ([2], [1, 2], "1 dims, 2 weights"),
        ([0], None, "whole numbers"),
        ([4], None, "dim 4 is"),
    ],
)
def test_bad_dims_are_named(dims, weights, message):
    with pytest.raises(InputError, match=message):
        matryoshka(LOSSES["cosent"], dims, weights)([E3, E3], np.ones(3))
