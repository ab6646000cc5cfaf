"""Losses against sentence-transformers' in float64, against central differences, and at their edges."""

import numpy as np
import pytest
from differences import CLOSE, slope
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import CASES, columns_of, labels_of
from places import GOLDENS_FOLDER

from minembed.errors import InputError, NumericalError
from minembed.train.losses import LOSSES, NEED_LABELS, matryoshka

FILE = GOLDENS_FOLDER / "losses.npz"
# torch adds 1e-6 to each of the 6 differences of a distance: slopes move by so much, squares by that times a distance
DISTANCE = {"triplet": 3e-6, "contrastive": 1e-5}


def loss_of(name):
    loss, options, *_ = CASES[name]
    return lambda columns, labels: LOSSES[loss](columns, labels, **options)


@pytest.mark.parametrize("style", ["plain", "matryoshka"])
@pytest.mark.parametrize("name", CASES)
def test_values_and_slopes_are_sentence_transformers(name, style):
    loss = loss_of(name) if style == "plain" else matryoshka(loss_of(name), [6, 3, 2])
    value, gradients = loss(columns_of(name), labels_of(name))
    plain = CASES[name][1].get("distance_metric", "euclidean" if CASES[name][0] == "triplet" else "cosine") == "cosine"
    atol = 1e-7 if plain else DISTANCE[CASES[name][0]]  # 1e-7: torch adds 1e-8 to products of lengths
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


def test_info_nce_is_its_other_name():
    assert LOSSES["info_nce"] is LOSSES["multiple_negatives_ranking"]


def test_every_loss_has_a_golden():
    assert {case[0] for case in CASES.values()} == set(LOSSES) - {"info_nce"}


def test_each_direction_of_the_symmetric_loss_is_the_plain_one():
    a, b = columns_of("symmetric")
    there, back = (LOSSES["info_nce"](pair)[0] for pair in ((a, b), (b, a)))
    value, _ = LOSSES["multiple_negatives_symmetric_ranking"]([a, b])
    assert value == pytest.approx((there + back) / 2, rel=1e-12)


def test_one_pair_with_negatives_of_its_own_is_a_batch():
    a, p, n = np.eye(3)[:1], np.eye(3)[:1], np.eye(3)[1:2]
    value, gradients = LOSSES["info_nce"]([a, p, n])
    assert value == pytest.approx(np.log1p(np.exp(-20.0)), rel=1e-6) and len(gradients) == 3


def test_a_text_that_stands_twice_is_held_against_itself():
    a = np.eye(4)[[0, 1, 1]]  # as in sentence-transformers: the sampler's matter
    assert LOSSES["info_nce"]([a, a])[0] == pytest.approx(2 / 3 * np.log(2), rel=1e-6)


def test_parts_of_a_batch_give_the_slopes_of_the_whole():
    """What caching the gradients needs: vectors come in parts, and their slopes go back in parts."""
    columns = columns_of("mnr")
    parts = [np.concatenate([x[:3], x[3:]]) for x in columns]
    for got, whole in zip(LOSSES["info_nce"](parts)[1], LOSSES["info_nce"](columns)[1], strict=True):
        np.testing.assert_array_equal(got, whole)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1]])
def test_hard_pairs_of_one_label(labels):
    columns = [np.eye(3), np.float64([[1, 0, 0], [0, 1, 1], [1, 1, 0]])]
    value, gradients = LOSSES["online_contrastive"](columns, np.array(labels))
    assert value > 0 and np.isfinite(np.stack(gradients)).all()


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
    columns = [np.zeros((3, 4)) for _ in range(3 if name == "triplet" else 2)]
    value, gradients = LOSSES[name](columns, np.array([0.0, 1.0, 1.0]))
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in gradients)


E3 = np.eye(3)
MNR = "multiple_negatives_ranking"
NUMBERS = (0, 0.0, -1.0, float("nan"), float("inf"), True, "20", None)
FAULTS = [
    (MNR, [E3[:1], E3[:1]], None, {}, "no negatives"),
    *[(MNR, [E3, E3], None, {"scale": bad}, "scale must be a number above 0") for bad in NUMBERS],
    *[("cosent", [E3, E3], np.ones(3), {"scale": bad}, "scale must be a number above 0") for bad in NUMBERS],
    *[("triplet", [E3, E3, E3], None, {"margin": bad}, "margin must be a number above 0") for bad in NUMBERS],
    *[("contrastive", [E3, E3], np.ones(3), {"margin": bad}, "margin must be a number above 0") for bad in NUMBERS],
    (MNR, [E3, E3], None, {"similarity_fct": "cos"}, "similarity_fct must be one of cosine, dot, eu"),
    ("cosent", [E3, E3], np.ones(3), {"similarity_fct": "cos"}, "similarity_fct must be"),
    (MNR, [], None, {}, "at least 2 columns"),
    (MNR, [E3], None, {}, "at least 2 columns"),
    ("triplet", [E3, E3], None, {}, "3 columns"),
    ("cosent", [E3, E3, E3], np.ones(3), {}, "2 columns of vectors, not 3"),
    ("triplet", [E3, E3, E3], None, {"distance_metric": "dot"}, "distance_metric must be"),
    ("contrastive", [E3, E3], np.array([0, 1, 2]), {}, r"labels\[2\] is 2.0"),
    ("contrastive", [E3, E3], np.ones(3), {"distance_metric": "dot"}, "distance_metric must be"),
    ("online_contrastive", [E3, E3], np.array([0, 0.5, 1]), {}, r"labels\[1\] is 0.5, but this loss takes 0 or 1"),
    ("online_contrastive", [E3, E3], np.ones(3), {"distance_metric": "dot"}, "distance_metric must be"),
    ("cosine_similarity", [E3, E3], np.array([0, 5, 1]), {}, r"labels\[1\] is 5.0"),
    ("cosine_similarity", [E3, E3], np.ones(2), {}, "3 pairs, 2 labels"),
    ("cosent", [E3, E3], np.array([0, np.nan, 1]), {}, r"labels\[1\] is nan"),
    ("cosent", [E3, E3], np.array([0, 1, np.inf]), {}, r"labels\[2\] is inf"),
    ("cosent", [E3, E3], np.array(["a", "b", "c"]), {}, "labels must be numbers"),
    ("cosent", [E3, E3[:2]], np.ones(3), {}, "same shape"),
    ("cosent", [E3, E3[:, :2]], np.ones(3), {}, "same shape"),
    ("cosent", [E3[0], E3[0]], np.ones(3), {}, "same shape"),
    ("cosent", [E3[:0], E3[:0]], np.ones(0), {}, "at least one row"),
    ("cosent", [E3, E3.astype(np.float32)], np.ones(3), {}, "got float32, float64"),
    ("cosent", [E3.astype(int), E3.astype(int)], np.ones(3), {}, "got int64"),
    *[(name, [E3, E3], None, {}, "needs a label") for name in NEED_LABELS],
]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_vectors_that_are_no_numbers_are_named(name, bad):
    columns = [E3.copy() for _ in range(3 if name == "triplet" else 2)]
    columns[1][2, 0] = bad
    for loss in (LOSSES[name], matryoshka(LOSSES[name], [2])):
        with pytest.raises(NumericalError, match="row 2 of column 1 of the batch"):
            loss(columns, np.ones(3))


@pytest.mark.parametrize(("name", "columns", "labels", "options", "message"), FAULTS)
def test_bad_input_is_named(name, columns, labels, options, message):
    with pytest.raises(InputError, match=message):
        LOSSES[name](columns, labels, **options)


@pytest.mark.parametrize(
    ("dims", "weights", "message"),
    [
        ([], None, "needs dims"),
        ([2], [1, 2], "1 dims, 2 weights"),
        ([2], [np.nan], "weights must be numbers"),
        ([2.0], None, "whole numbers"),
        ([0], None, "whole numbers"),
        ([4], None, "dim 4 is"),
    ],
)
def test_bad_dims_are_named(dims, weights, message):
    with pytest.raises(InputError, match=message):
        matryoshka(LOSSES["cosent"], dims, weights)([E3, E3], np.ones(3))
