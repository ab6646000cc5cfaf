"""The backward pass of pooling, modules and similarities against central differences in float64."""

import itertools

import numpy as np
import pytest
from differences import CLOSE, numbers, slope
from hypothesis import given, settings
from hypothesis import strategies as st

from minembed.errors import UnsupportedModelError
from minembed.search.similarity import SIMILARITY, pairwise
from minembed.train.backward import vjp_vectors as vjp
from minembed.train.backward.vjp import linear as plain_linear
from minembed.transformer.modules import ACTIVATIONS, Dense, DenseParams, LayerNorm, Normalize, transform
from minembed.transformer.params import Linear, Norm
from minembed.transformer.pooling import POOLING, pool
from minembed.transformer.vectors import l2_normalize, truncate_embeddings


@settings(max_examples=3, deadline=None)
@given(st.lists(st.integers(2, 5), min_size=1, max_size=4), st.integers(1, 4), st.integers(0, 2**32))
@pytest.mark.parametrize("skipped", [0, 1])
@pytest.mark.parametrize("modes", [*([mode] for mode in POOLING), ["mean", "max", "cls"]], ids="+".join)
def test_pooling(modes, skipped, lengths, width, seed):
    x, cu_seqlens = numbers(sum(lengths), width, seed=seed), np.cumsum([0, *lengths])
    dy = numbers(len(lengths), width * len(modes), seed=seed + 1)
    dx = vjp.pool_vjp(x, cu_seqlens, modes, skipped, dy)
    np.testing.assert_allclose(dx, slope(lambda: (pool(x, cu_seqlens, modes, skipped) * dy).sum(), x), **CLOSE)


def test_the_first_of_equal_maxima_gets_the_slope():
    assert vjp.pool_vjp(np.ones((3, 1)), np.array([0, 3]), ["max"], 0, np.ones((1, 1)))[:, 0].tolist() == [1, 0, 0]


def test_normalize():
    x, dy = numbers(4, 5), numbers(4, 5, seed=1)
    np.testing.assert_allclose(vjp.l2_normalize_vjp(x, dy), slope(lambda: (l2_normalize(x) * dy).sum(), x), **CLOSE)
    assert not vjp.l2_normalize_vjp(np.zeros((1, 3)), np.ones((1, 3))).any()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    x = np.concatenate([numbers(40) * 3, [-0.5, 0.5, 7.0, -7.0]])
    dy = numbers(44, seed=1)
    np.testing.assert_allclose(vjp.DENSE_VJP[name](x, dy), slope(lambda: (ACTIVATIONS[name](x) * dy).sum(), x), **CLOSE)
    assert vjp.DENSE_VJP[name](x.astype(np.float32), dy.astype(np.float32)).dtype == np.float32


@pytest.mark.parametrize(("residual", "width"), [(False, 3), (True, 3), (True, 5)])
def test_chains_of_modules(residual, width, monkeypatch):
    # ops.linear makes small products large so that bits do not depend on the rows: 400 of them would take seconds
    monkeypatch.setattr("minembed.transformer.modules.linear", plain_linear)
    first = DenseParams(
        Linear(numbers(5, width, seed=1), numbers(width, seed=2)),
        Linear(numbers(5, width, seed=3)) if residual and width != 5 else None,
    )
    norm = Norm(numbers(width, seed=4), numbers(width, seed=5))
    last = DenseParams(Linear(numbers(width, 4, seed=6)))
    modules = [
        Dense("", 5, width, "Tanh", use_residual=residual),
        LayerNorm("", width),
        Dense("", width, 4, "Mish", bias=False),
        Normalize(),
    ]
    params, x, dy = [first, norm, last, None], numbers(3, 5), numbers(3, 4, seed=8)
    dx, gradients = vjp.transform_vjp(x, modules, params, dy)

    def loss():
        return (transform(x, modules, params) * dy).sum()

    pairs = [(dx, x), (gradients[0].linear.weight, first.linear.weight), (gradients[0].linear.bias, first.linear.bias)]
    pairs += [(gradients[1].weight, norm.weight), (gradients[1].bias, norm.bias)]
    pairs += [(gradients[2].linear.weight, last.linear.weight)]
    if first.residual is not None:
        pairs.append((gradients[0].residual.weight, first.residual.weight))
    for got, array in pairs:
        np.testing.assert_allclose(got, slope(loss, array), **CLOSE)
    assert gradients[3] is None and gradients[2].linear.bias is None


@pytest.mark.parametrize("dim", [1, 3, 5])
def test_truncation(dim):
    x, dy = numbers(3, 5), numbers(3, dim, seed=1)
    got = vjp.truncate_embeddings_vjp(x, dim, dy)
    np.testing.assert_allclose(got, slope(lambda: (truncate_embeddings(x, dim) * dy).sum(), x), **CLOSE)


def test_similarities_of_the_table():
    assert list(vjp.SIMILARITY_VJP) == list(SIMILARITY)


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(sorted(SIMILARITY)), st.integers(1, 5), st.integers(1, 5), st.integers(2, 6), st.integers(0, 2**32)
)
def test_all_pairs(name, n, m, width, seed):
    a, b, dscores = numbers(n, width, seed=seed), numbers(m, width, seed=seed + 1), numbers(n, m, seed=seed + 2)
    for got, x in zip(vjp.SIMILARITY_VJP[name](a, b, dscores), (a, b), strict=True):
        np.testing.assert_allclose(got, slope(lambda: (SIMILARITY[name](a, b) * dscores).sum(), x), **CLOSE)


@pytest.mark.parametrize("name", SIMILARITY)
def test_pairs(name):
    a, b, dscores = numbers(6, 4), numbers(6, 4, seed=1), numbers(6, seed=2)
    for got, x in zip(vjp.pairwise_vjp(a, b, name, dscores), (a, b), strict=True):
        np.testing.assert_allclose(got, slope(lambda: (pairwise(a, b, name) * dscores).sum(), x), **CLOSE)


@pytest.mark.parametrize("name", SIMILARITY)
def test_pairs_are_the_diagonal_of_all_pairs(name):
    a, b, dscores = numbers(4, 3), numbers(4, 3, seed=1), numbers(4, seed=2)
    expected = vjp.SIMILARITY_VJP[name](a, b, np.diag(dscores))
    np.testing.assert_allclose(vjp.pairwise_vjp(a, b, name, dscores), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("name", "zero"), list(itertools.product(SIMILARITY, ["both", "equal"])))
def test_where_there_is_no_slope(name, zero):
    a = np.zeros((1, 3)) if zero == "both" else np.ones((1, 3))
    pairs = vjp.pairwise_vjp(a, a.copy(), name, np.ones(1))
    everything = vjp.SIMILARITY_VJP[name](a, a.copy(), np.ones((1, 1)))
    for got in (*pairs, *everything):
        assert np.isfinite(got).all()
        if zero == "both" or name in ("euclidean", "manhattan"):
            assert not got.any()


@pytest.mark.parametrize("scale", [1e-30, 1e30])  # whose squares vanish and overflow in float32
def test_cosines_of_tiny_and_of_huge_vectors(scale):
    a, b = (numbers(2, 4, seed=seed).astype(np.float32) for seed in (0, 1))
    da, _ = vjp.pairwise_vjp(a, b, "cosine", np.ones(2, np.float32))
    got, _ = vjp.pairwise_vjp(a * np.float32(scale), b, "cosine", np.ones(2, np.float32))
    np.testing.assert_allclose(got * scale, da, rtol=1e-5, atol=1e-6)  # roundings of float32
    all_pairs, _ = vjp.cosine_vjp(a * np.float32(scale), b, np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(all_pairs * scale, da, rtol=1e-5, atol=1e-6)


def test_an_unknown_pooling_mode():
    with pytest.raises(UnsupportedModelError, match="pooling mode 'median' is unknown"):
        vjp.pool_vjp(np.ones((1, 1)), np.array([0, 1]), ["median"], 0, np.ones((1, 1)))
