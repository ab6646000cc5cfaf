"""The backward pass of pooling, modules and similarities against central differences in float64."""

import itertools

import numpy as np
import pytest
from test_vjp import CLOSE, numbers, slope

from minembed.modules import ACTIVATIONS, Dense, DenseParams, LayerNorm, Normalize, transform
from minembed.params import Linear, Norm
from minembed.pooling import POOLING, l2_normalize, pool
from minembed.similarity import SIMILARITY, pairwise
from minembed.train import vjp_vectors as vjp


@pytest.mark.parametrize("skipped", [0, 1])
@pytest.mark.parametrize("modes", [*([mode] for mode in POOLING), ["mean", "max", "cls"]], ids="+".join)
def test_pooling(modes, skipped):
    x, cu_seqlens = numbers(9, 4), np.array([0, 2, 6, 9])
    dy = numbers(3, 4 * len(modes), seed=1)
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
def test_chains_of_modules(residual, width):
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


@pytest.mark.parametrize(("name", "f"), [("cosine", vjp.cosine_vjp), ("dot", vjp.dot_vjp)])
def test_all_pairs(name, f):
    a, b, dscores = numbers(3, 4), numbers(5, 4, seed=1), numbers(3, 5, seed=2)
    for got, x in zip(f(a, b, dscores), (a, b), strict=True):
        np.testing.assert_allclose(got, slope(lambda: (SIMILARITY[name](a, b) * dscores).sum(), x), **CLOSE)


@pytest.mark.parametrize("name", SIMILARITY)
def test_pairs(name):
    a, b, dscores = numbers(6, 4), numbers(6, 4, seed=1), numbers(6, seed=2)
    for got, x in zip(vjp.pairwise_vjp(a, b, name, dscores), (a, b), strict=True):
        np.testing.assert_allclose(got, slope(lambda: (pairwise(a, b, name) * dscores).sum(), x), **CLOSE)


@pytest.mark.parametrize(("name", "zero"), list(itertools.product(SIMILARITY, ["both", "equal"])))
def test_where_there_is_no_slope(name, zero):
    a = np.zeros((1, 3)) if zero == "both" else np.ones((1, 3))
    for got in vjp.pairwise_vjp(a, a.copy(), name, np.ones(1)):
        assert np.isfinite(got).all()
