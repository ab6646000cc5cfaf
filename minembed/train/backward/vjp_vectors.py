"""The backward pass after the encoder, for pooling.py, modules.py and similarity.py.

As in vjp.py: f_vjp gets the arguments of f, and dy, the gradient of the loss for the result of f; dx means dL/dx.
T tokens, B texts, D width.
"""

from collections.abc import Callable, Sequence

import numpy as np

from minembed.errors import UnsupportedModelError
from minembed.train.backward.vjp import ACTIVATION_VJP, layer_norm_vjp, linear_vjp
from minembed.transformer.modules import (
    ACTIVATIONS,
    LAYER_NORM_EPS,
    Dense,
    DenseParams,
    LayerNorm,
    Module,
    ModuleParams,
    transform,
)
from minembed.transformer.ops import linear
from minembed.transformer.params import Norm
from minembed.transformer.pooling import POOLING, drop_leading
from minembed.transformer.vectors import l2_normalize
from minembed.types import Array

# --- pooling.py


def pool_vjp(x: Array, cu_seqlens: Array, modes: Sequence[str], skipped: int, dy: Array) -> Array:
    """Give every token its share of the gradient of its text's vector: (T, D), (B, len(modes) D) -> (T, D).

    If several tokens have the largest value of a column, "max" gives the gradient to the first, as torch does.  Raises
    UnsupportedModelError for an unknown mode.

    >>> pool_vjp(np.ones((3, 1)), np.array([0, 2, 3]), ["mean"], 0, np.float64([[4], [5]]))[:, 0].tolist()
    [2.0, 2.0, 5.0]
    """
    for mode in modes:
        if mode not in POOLING:
            raise UnsupportedModelError(f"pooling mode {mode!r} is unknown; known: {', '.join(POOLING)}")
    dx = np.zeros_like(x)
    rows: Array = np.arange(len(x))
    if skipped:
        rows, inner = drop_leading(rows, cu_seqlens, skipped)
        dx[rows] = _pool_vjp(x[rows], inner, modes, skipped, dy)
        return dx
    return _pool_vjp(x, cu_seqlens, modes, skipped, dy)


def _pool_vjp(x: Array, cu_seqlens: Array, modes: Sequence[str], skipped: int, dy: Array) -> Array:
    dx, lengths = np.zeros_like(x), np.diff(cu_seqlens)
    for mode, part in zip(modes, np.split(dy, len(modes), axis=1), strict=True):
        if mode == "cls":
            dx[cu_seqlens[:-1]] += part
        elif mode == "lasttoken":
            dx[cu_seqlens[1:] - 1] += part
        elif mode == "max":
            _max_vjp(x, cu_seqlens, part, dx)
        else:
            dx += np.repeat(part, lengths, axis=0) * _shares(mode, cu_seqlens, skipped).astype(x.dtype)[:, None]
    return dx


def _shares(mode: str, cu_seqlens: Array, skipped: int) -> Array:  # -> (T,)
    """The weight of each token in the sum over its text."""
    lengths = np.diff(cu_seqlens)
    if mode == "weightedmean":
        place = np.arange(1, cu_seqlens[-1] + 1) - np.repeat(cu_seqlens[:-1], lengths) + skipped
        return place / np.repeat(lengths * (lengths + 1 + 2 * skipped) // 2, lengths)
    return np.repeat(1 / (lengths if mode == "mean" else np.sqrt(lengths)), lengths)


def _max_vjp(x: Array, cu_seqlens: Array, dy: Array, dx: Array) -> None:
    for text, (start, stop) in enumerate(zip(cu_seqlens[:-1].tolist(), cu_seqlens[1:].tolist(), strict=True)):
        first = x[start:stop].argmax(axis=0)
        dx[start + first, np.arange(x.shape[1])] += dy[text]


def l2_normalize_vjp(x: Array, dy: Array) -> Array:  # (B, D), (B, D) -> (B, D)
    """y = x / |x|: the part of dy that only scales x is removed.  A row of zeros, which stays zero, gets 0.

    >>> l2_normalize_vjp(np.float64([[0, 2], [0, 0]]), np.float64([[1, 5], [1, 1]])).tolist()
    [[0.5, 0.0], [0.0, 0.0]]
    """
    norms = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    inverse = np.divide(1, norms, out=np.zeros_like(norms), where=norms != 0)
    y = x * inverse
    return (dy - y * (y * dy).sum(axis=-1, keepdims=True)) * inverse


def truncate_embeddings_vjp(x: Array, dim: int, dy: Array) -> Array:  # (..., D), (..., dim) -> (..., D)
    """The numbers that are left out have the gradient 0.

    >>> truncate_embeddings_vjp(np.ones((1, 3)), 2, np.float64([[4, 5]])).tolist()
    [[4.0, 5.0, 0.0]]
    """
    dx = np.zeros_like(x)
    dx[..., :dim] = dy
    return dx


# --- modules.py


def transform_vjp(
    x: Array, modules: Sequence[Module], params: Sequence[ModuleParams], dy: Array
) -> tuple[Array, tuple[ModuleParams, ...]]:  # (B, D), (B, D') -> (B, D)
    """The modules after the pooling, in reverse order; their inputs are computed again.

    >>> from minembed.transformer.modules import Normalize
    >>> transform_vjp(np.float64([[3, 4]]), [Normalize()], [None], np.float64([[4, -3]]))[0].round(9).tolist()
    [[0.8, -0.6]]
    """
    entered = [x]
    for module, p in zip(modules[:-1], params[:-1], strict=True):
        entered.append(transform(entered[-1], [module], [p]))
    gradients: list[ModuleParams] = []
    for module, p, x in reversed(list(zip(modules, params, entered, strict=False))):
        if isinstance(module, Dense) and isinstance(p, DenseParams):
            dy, gradient = dense_vjp(x, module, p, dy)
        elif isinstance(module, LayerNorm) and isinstance(p, Norm):
            dy, gradient = layer_norm_vjp(x, p, LAYER_NORM_EPS, dy)
        else:
            dy, gradient = l2_normalize_vjp(x, dy), None
        gradients.append(gradient)
    return dy, tuple(reversed(gradients))


def dense_vjp(x: Array, module: Dense, p: DenseParams, dy: Array) -> tuple[Array, ModuleParams]:
    """y = activation(x W + b), plus x or x R if there is a residual.

    >>> from minembed.transformer.params import Linear
    >>> p = DenseParams(Linear(np.float64([[2]]), np.float64([1])))
    >>> dense_vjp(np.float64([[10]]), Dense("", 1, 1, "ReLU", use_residual=True), p, np.float64([[1]]))[0].tolist()
    [[3.0]]
    """
    dz = DENSE_VJP[module.activation](linear(x, p.linear), dy)
    dx, dlinear = linear_vjp(x, p.linear, dz)
    if not module.use_residual:
        return dx, DenseParams(dlinear)
    if p.residual is None:
        return dx + dy, DenseParams(dlinear)
    dother, dresidual = linear_vjp(x, p.residual, dy)
    return dx + dother, DenseParams(dlinear, dresidual)


def _by_slope(slope: Callable[[Array, Array], Array], name: str) -> Callable[[Array, Array], Array]:
    """A vjp from the derivative of an activation, as a function of x and y."""

    def vjp(x: Array, dy: Array) -> Array:
        return dy * slope(x, ACTIVATIONS[name](x)).astype(x.dtype, copy=False)

    return vjp


def _mish_slope(x: Array, y: Array) -> Array:
    t = np.tanh(ACTIVATIONS["Softplus"](x))
    return t + x * (1 - t * t) * ACTIVATIONS["Sigmoid"](x)


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
DENSE_VJP: dict[str, Callable[[Array, Array], Array]] = {  # of modules.ACTIVATIONS
    "GELU": ACTIVATION_VJP["gelu"],
    "SiLU": ACTIVATION_VJP["silu"],
    "ReLU": ACTIVATION_VJP["relu"],
    **{
        name: _by_slope(slope, name)
        for name, slope in {
            "Identity": lambda x, y: np.ones_like(x),
            "Tanh": lambda x, y: 1 - y * y,
            "Sigmoid": lambda x, y: y * (1 - y),
            "LeakyReLU": lambda x, y: np.where(x > 0, 1, 0.01),
            "ReLU6": lambda x, y: (x > 0) & (x < 6),
            "ELU": lambda x, y: np.where(x > 0, 1, y + 1),
            "SELU": lambda x, y: np.where(x > 0, SELU_SCALE, y + SELU_SCALE * SELU_ALPHA),
            "Mish": _mish_slope,
            "Softplus": lambda x, y: ACTIVATIONS["Sigmoid"](x),
            "Softsign": lambda x, y: 1 / (1 + np.abs(x)) ** 2,
            "Hardtanh": lambda x, y: (x > -1) & (x < 1),
        }.items()
    },
}

# --- similarity.py


def cosine_vjp(a: Array, b: Array, dscores: Array) -> tuple[Array, Array]:  # (N, D), (M, D), (N, M)
    """The cosines of all pairs, which are products of the vectors scaled to length 1.

    >>> da, _ = cosine_vjp(np.float64([[1, 0]]), np.float64([[0, 2]]), np.float64([[1]]))
    >>> da.tolist()
    [[0.0, 1.0]]
    """
    x, y = _unit(a), _unit(b)
    return _unit_vjp(a, dscores @ y), _unit_vjp(b, dscores.T @ x)


def _unit(x: Array) -> Array:
    """Rows of length 1, as in similarity.py: first scaled by a power of two, so that no square over- or underflows."""
    return l2_normalize(np.ldexp(x, -_exponents(x)))


def _unit_vjp(x: Array, dy: Array) -> Array:
    exponents = _exponents(x)
    return np.ldexp(l2_normalize_vjp(np.ldexp(x, -exponents), dy), -exponents)


def _exponents(x: Array) -> Array:  # (N, D) -> (N, 1)
    return np.frexp(np.abs(x).max(axis=1, keepdims=True, initial=0))[1]


def dot_vjp(a: Array, b: Array, dscores: Array) -> tuple[Array, Array]:  # (N, D), (M, D), (N, M)
    """The dot products of all pairs: each side gets the other.

    >>> dot_vjp(np.float64([[1, 2]]), np.float64([[3, 4]]), np.float64([[10]]))[0].tolist()
    [[30.0, 40.0]]
    """
    return dscores @ b, dscores.T @ a


def euclidean_vjp(a: Array, b: Array, dscores: Array) -> tuple[Array, Array]:  # (N, D), (M, D), (N, M)
    """Minus the distances of all pairs: each row is pulled straight towards the others, except equal ones.

    >>> euclidean_vjp(np.float64([[3, 4]]), np.float64([[0, 0]]), np.float64([[5]]))[0].round(9).tolist()
    [[-3.0, -4.0]]
    """
    return _by_rows_vjp(_unit, a, b, dscores)


def manhattan_vjp(a: Array, b: Array, dscores: Array) -> tuple[Array, Array]:  # (N, D), (M, D), (N, M)
    """Minus the sums of absolute differences of all pairs: each number is pulled towards the others, except equal ones.

    >>> manhattan_vjp(np.float64([[3, 4]]), np.float64([[0, 4]]), np.float64([[5]]))[0].tolist()
    [[-5.0, 0.0]]
    """
    return _by_rows_vjp(np.sign, a, b, dscores)


def _by_rows_vjp(direction: Callable[[Array], Array], a: Array, b: Array, dscores: Array) -> tuple[Array, Array]:
    da, db = np.zeros_like(a), np.zeros_like(b)
    for i, row in enumerate(a):  # row by row: all differences at once would be (N, M, D)
        pull = direction(b - row)  # (M, D)
        da[i] = dscores[i] @ pull
        db -= dscores[i][:, None] * pull
    return da, db


SIMILARITY_VJP: dict[str, Callable[[Array, Array, Array], tuple[Array, Array]]] = {  # of similarity.SIMILARITY
    "cosine": cosine_vjp,
    "dot": dot_vjp,
    "euclidean": euclidean_vjp,
    "manhattan": manhattan_vjp,
}


def pairwise_vjp(a: Array, b: Array, metric: str, dscores: Array) -> tuple[Array, Array]:  # (N, D), (N, D), (N,)
    """The scores of row i of a and row i of b; the gradient of the distance of equal rows is undefined, and 0 here.

    >>> pairwise_vjp(np.float64([[3, 4]]), np.float64([[0, 0]]), "euclidean", np.float64([5]))[0].round(9).tolist()
    [[-3.0, -4.0]]
    """
    d = dscores[:, None]
    if metric == "cosine":
        return _unit_vjp(a, d * _unit(b)), _unit_vjp(b, d * _unit(a))
    if metric == "dot":
        return d * b, d * a
    da = d * (np.sign if metric == "manhattan" else _unit)(b - a)
    return da, -da
