"""The backward pass: for each function f of ops.py, attention.py and encoder.py, its vector-Jacobian product f_vjp.

If y = f(x, p), and dy is the gradient of the loss with respect to y, f_vjp returns the gradients for x and for p.  `dx`
always means dL/dx.  A gradient of parameters is a tree of the parameters' own types.

Intermediate results of the forward pass come from `Tape` (tape.py), which observes the encoder; results that are cheap
to compute again (activations, norms, attention's probabilities) are not kept.  It is one file, longer than others, so
that the whole backward pass can be read from end to end.

T tokens of all texts end to end, D hidden_size, F intermediate_size, H heads of width K, G heads of keys and values.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from minembed.train.backward.tape import Tape
from minembed.train.backward.trees import Rows, gather
from minembed.transformer.attention import Drop, Softmax, blocks, by_heads, probabilities, runs_of_equal_length
from minembed.transformer.config import Config
from minembed.transformer.encoder import normalize, transformer_layer
from minembed.transformer.operations import Operations
from minembed.transformer.ops import LOG_TAIL, erf, gate, sigmoid, softmax
from minembed.transformer.params import Embeddings, Layer, Linear, Norm, Params
from minembed.transformer.positions import AttentionPattern, positions, relative_buckets, rotate
from minembed.transformer.tokens import Tokens
from minembed.types import Array

LayerGradients = dict[str, Linear | Norm | None]  # by the fields of Layer

# --- ops.py


def linear(x: Array, p: Linear) -> Array:  # (T, in) -> (T, out)
    """x @ weight + bias, as ops.linear except for the last bits, which here may depend on the number of rows.

    >>> linear(np.ones((1, 2)), Linear(np.ones((2, 1)), np.ones(1))).tolist()
    [[3.0]]
    """
    y: Array = x @ p.weight
    if p.bias is not None:
        y += p.bias
    return y


def linear_vjp(x: Array, p: Linear, dy: Array) -> tuple[Array, Linear]:  # (T, in), (T, out) -> (T, in)
    """y = x W + b: dx = dy W^T, dW = x^T dy, db = the sum of dy.

    >>> dx, dp = linear_vjp(np.float32([[1, 2]]), Linear(np.float32([[3], [4]])), np.float32([[10]]))
    >>> dx.tolist(), dp.weight.tolist()
    ([[30.0, 40.0]], [[10.0], [20.0]])
    """
    return dy @ p.weight.T, Linear(x.T @ dy, None if p.bias is None else dy.sum(axis=0))


def layer_norm_vjp(x: Array, p: Norm, eps: float, dy: Array) -> tuple[Array, Norm]:  # (T, D), (T, D) -> (T, D)
    """y = z w + b with z = (x - mean) / deviation: the parts of dz = dy w that only shift or scale x are removed.

    >>> dx, dp = layer_norm_vjp(np.float64([[1, 3]]), Norm(np.ones(2), np.zeros(2)), 1e-12, np.float64([[5, 5]]))
    >>> dx.round(9).tolist(), dp.bias.tolist()
    ([[0.0, 0.0]], [5.0, 5.0])
    """
    z = x - x.mean(axis=-1, keepdims=True)
    inverse = 1 / np.sqrt((z * z).mean(axis=-1, keepdims=True) + x.dtype.type(eps))  # (T, 1)
    z *= inverse
    dz = dy * p.weight
    dx = dz - dz.mean(axis=-1, keepdims=True)
    dx -= z * (dz * z).mean(axis=-1, keepdims=True)
    dx *= inverse
    return dx, Norm(_over_rows(dy * z), None if p.bias is None else _over_rows(dy))


def rms_norm_vjp(x: Array, p: Norm, eps: float, dy: Array) -> tuple[Array, Norm]:  # (..., D), (..., D) -> (..., D)
    """y = z w with z = x / root mean square: the part of dz that only scales x is removed.

    >>> dx, _ = rms_norm_vjp(np.float64([[3, 4]]), Norm(np.ones(2)), 1e-12, np.float64([[3, 4]]))
    >>> dx.round(9).tolist()
    [[0.0, 0.0]]
    """
    inverse = 1 / np.sqrt((x * x).mean(axis=-1, keepdims=True) + x.dtype.type(eps))
    z = x * inverse
    dz = dy * p.weight
    dx = (dz - z * (dz * z).mean(axis=-1, keepdims=True)) * inverse
    return dx, Norm(_over_rows(dy * z))


def _over_rows(x: Array) -> Array:  # (..., D) -> (D,)
    return x.reshape(-1, x.shape[-1]).sum(axis=0)


def softmax_vjp(y: Array, dy: Array, kept: Array | None = None) -> Array:  # (..., N), (..., N) -> (..., N)
    """y = softmax(x): dx = y dy - y (sum of y dy).  After dropout, with `kept` its result, y dy is kept dy.

    >>> softmax_vjp(np.float64([0.5, 0.5]), np.float64([1, 0])).tolist()
    [0.25, -0.25]
    """
    dx: Array = (y if kept is None else kept) * dy
    dx -= y * dx.sum(axis=-1, keepdims=True)
    return dx


def gelu_vjp(x: Array, dy: Array) -> Array:
    """y = x Phi(x): dx = dy (Phi(x) + x phi(x)), with Phi and phi the normal distribution function and its density.

    >>> gelu_vjp(np.float64([-10, 0, 10]), np.ones(3)).round(6).tolist()
    [-0.0, 0.5, 1.0]
    """
    if x.dtype != np.float32:
        phi, normal = np.exp(-x * x / 2) / math.sqrt(2 * math.pi), (1 + erf(x * math.sqrt(0.5))) / 2
        return dy * (normal + x * phi)
    a = np.abs(x) * np.float32(0.5)
    tail = np.full_like(a, LOG_TAIL[0])
    for coefficient in LOG_TAIL[1:]:  # erfc(a sqrt(2)) = exp(a R(a)), as in ops.gelu
        tail *= a
        tail += coefficient
    tail *= a
    with np.errstate(under="ignore", over="ignore"):
        np.exp(tail, out=tail)
        a *= a
        slope = np.exp(a * np.float32(-2))
    tail *= np.float32(0.5)
    slope *= x
    slope *= np.float32(1 / math.sqrt(2 * math.pi))
    slope += np.where(x < 0, tail, 1 - tail)
    slope *= dy
    return slope


def gelu_tanh_vjp(x: Array, dy: Array) -> Array:
    """y = x s(z) with the logistic function s and z = c (x + 0.044715 x^3): dx = dy (s + x s (1 - s) z').

    >>> gelu_tanh_vjp(np.float64([0]), np.float64([1])).tolist()
    [0.5]
    """
    c = x.dtype.type(2 * math.sqrt(2 / math.pi))
    s = sigmoid(c * (x + x.dtype.type(0.044715) * x**3))
    return dy * (s + x * s * (1 - s) * c * (1 + x.dtype.type(3 * 0.044715) * x * x))


def silu_vjp(x: Array, dy: Array) -> Array:
    """y = x s(x) with the logistic function s: dx = dy s (1 + x (1 - s)).

    >>> silu_vjp(np.float64([0]), np.float64([1])).tolist()
    [0.5]
    """
    s = sigmoid(x)
    return dy * s * (1 + x * (1 - s))


def relu_vjp(x: Array, dy: Array) -> Array:
    """y = max(x, 0): dx = dy where x is positive; at 0 the gradient is 0.

    >>> relu_vjp(np.float64([-1, 0, 2]), np.ones(3)).tolist()
    [0.0, 0.0, 1.0]
    """
    return dy * (x > 0)


ACTIVATION_VJP: dict[str, Callable[[Array, Array], Array]] = {
    "gelu": gelu_vjp,
    "gelu_new": gelu_tanh_vjp,
    "gelu_pytorch_tanh": gelu_tanh_vjp,
    "relu": relu_vjp,
    "silu": silu_vjp,
}


def gate_vjp(
    x: Array, activation: Callable[[Array], Array], activation_vjp: Callable[[Array, Array], Array], dy: Array
) -> Array:
    """y = activation(left half of x) (right half of x): the product rule; (T, 2F), (T, F) -> (T, 2F).

    >>> gate_vjp(np.float64([[3, 5]]), lambda x: x, lambda x, dy: dy, np.float64([[1]])).tolist()
    [[5.0, 3.0]]
    """
    F = x.shape[1] // 2
    left, right = np.ascontiguousarray(x[:, :F]), x[:, F:]
    return np.concatenate([activation_vjp(left, dy * right), dy * activation(left)], axis=1)


# --- attention.py


def attend_vjp(
    qkv: Array,
    cu_seqlens: Array,
    num_heads: int,
    num_key_value_heads: int,
    pattern: AttentionPattern,
    drop: Drop | None,
    dy: Array,
    softmax: Softmax = softmax,
    softmax_vjp: Callable[..., Array] = softmax_vjp,
) -> tuple[Array, Array | None]:  # (T, (H + 2G) K), (T, H K) -> (T, (H + 2G) K), (H, 2N-1) if there is a bias
    """y = P V with P = softmax(S), S = Q K^T / sqrt(K) + bias: dV = P^T dy, dP = dy V^T, dQ = dS K, dK = dS^T Q.

    Probabilities are computed again, not kept: only their size grows with the square of the length of a text.

    >>> qkv = np.tile(np.float64([0, 0, 1]), (2, 1))
    >>> attend_vjp(qkv, np.array([0, 2]), 1, 1, AttentionPattern(), None, np.float64([[1], [3]]))[0].tolist()
    [[0.0, 0.0, 2.0], [0.0, 0.0, 2.0]]
    """
    H, G = num_heads, num_key_value_heads
    dqkv, dbias = np.empty_like(qkv), None if pattern.bias is None else np.zeros(pattern.bias.shape, np.float64)
    for n, N, start, stop in runs_of_equal_length(cu_seqlens):
        q, k, v = by_heads(qkv[start:stop], n, H, G)
        dcontext = np.ascontiguousarray(dy[start:stop].reshape(n, N, H, -1).transpose(0, 2, 1, 3)).reshape(n * H, N, -1)
        dq, dk, dv = np.zeros_like(q), np.zeros_like(v), np.zeros_like(v)
        for heads, queries, keys in blocks(n * H, N, pattern):
            p = probabilities(q, k, heads, queries, keys, pattern, softmax)  # (., queries, keys)
            kept = p if drop is None else drop(p, (start, heads.start, queries.start))
            dkept = dcontext[heads, queries] @ v[heads, keys].transpose(0, 2, 1)
            dv[heads, keys] += kept.transpose(0, 2, 1) @ dcontext[heads, queries]
            ds = softmax_vjp(p, dkept, kept)
            dq[heads, queries] += ds @ k[heads, :, keys].transpose(0, 2, 1)
            dk[heads, keys] += ds.transpose(0, 2, 1) @ q[heads, queries]
            if dbias is not None:
                _bias_vjp(ds, heads, queries, keys, dbias)
        dq /= math.sqrt(q.shape[-1])
        parts = (d.reshape(n, heads, H // heads, N, -1).sum(axis=2) for d, heads in ((dq, H), (dk, G), (dv, G)))
        rows = np.concatenate([part.transpose(0, 2, 1, 3) for part in parts], axis=2)  # (n, N, H + 2G, K)
        dqkv[start:stop] = rows.reshape(n * N, -1)
    return dqkv, dbias


def _bias_vjp(ds: Array, heads: slice, queries: slice, keys: slice, dbias: Array) -> None:
    """Add the gradient of every score to that of its head's bias for its distance."""
    distance = np.arange(keys.start, keys.stop) - np.arange(queries.start, queries.stop)[:, None] + dbias.shape[1] // 2
    for head, slopes in zip(range(heads.start, heads.stop), ds, strict=True):
        counted = np.bincount(distance.reshape(-1), slopes.reshape(-1), minlength=dbias.shape[1])
        dbias[head % len(dbias)] += counted


# --- encoder.py


@dataclass(frozen=True, slots=True)
class Backward:
    """The functions that compute the backward steps: the counterpart of Operations."""

    linear: Callable[..., tuple[Array, Linear]] = linear_vjp
    layer_norm: Callable[..., tuple[Array, Norm]] = layer_norm_vjp
    activation: Mapping[str, Callable[..., Array]] = field(default_factory=lambda: ACTIVATION_VJP)
    attend: Callable[..., tuple[Array, Array | None]] = attend_vjp


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over texts: the architecture, the operations of both directions, and the recorded results."""

    tokens: Tokens
    config: Config
    ops: Operations
    back: Backward
    tape: Tape

    @property
    def seen(self) -> Mapping[str, Array]:
        """The recorded results of the encoder, by name."""
        return self.tape.seen


def embed_vjp(p: Embeddings, run: Pass, dy: Array) -> Embeddings:  # (T, D)
    """Three rows were added: each gets the gradient of the sum; a row shared by several tokens gets all of theirs."""
    dprojection = None
    summed = run.seen["embeddings.sum"]
    if p.projection is not None:
        dy, dprojection = run.back.linear(normalize(summed, p.norm, run.config), p.projection, dy)
    dx, dnorm = normalize_vjp(summed, p.norm, run, dy)  # (T, E)
    dposition = None if p.position is None else _scatter(p.position, positions(run.tokens, run.config.padding_idx), dx)
    dtypes = None if p.token_type is None else _scatter(p.token_type, run.tokens.types, dx)
    word: Rows = gather(run.tokens.ids, dx)
    return Embeddings(word, dposition, dtypes, dnorm, dprojection)  # type: ignore[arg-type]


def _scatter(table: Array, indices: Array, dx: Array) -> Array:
    rows, dtable = gather(indices, dx), np.zeros_like(table)
    dtable[rows.indices] = rows.values
    return dtable


def normalize_vjp(x: Array, p: Norm | None, run: Pass, dy: Array) -> tuple[Array, Norm | None]:
    """The backward step of `normalize`, for either kind of norm."""
    if p is None:
        return dy, None
    vjp = rms_norm_vjp if run.config.norm_type == "rms_norm" else run.back.layer_norm
    return vjp(x, p, run.config.layer_norm_eps, dy)


def _post_norm_vjp(p: Norm | None, name: str, run: Pass, dy: Array) -> tuple[Array, Norm | None]:
    """The end of a block: dropout, then its post-norm, if there is one."""
    dy, dnorm = (dy, None) if p is None else normalize_vjp(run.seen[name], p, run, dy)
    return run.tape.drop(name, dy), dnorm


def feed_forward_vjp(x: Array, p: Layer, run: Pass, place: str, dy: Array) -> tuple[Array, LayerGradients]:
    """The steps of `feed_forward`, in reverse order."""
    dy, dpost = _post_norm_vjp(p.output_post_norm, f"{place}.feed_forward", run, dy)
    h, name = run.seen[f"{place}.intermediate"], run.config.hidden_act
    activation, activation_vjp = run.ops.activation[name], run.back.activation[name]
    activated = gate(h, activation) if run.config.gated else activation(h)
    dactivated, doutput = run.back.linear(activated, p.output, dy)
    dh = gate_vjp(h, activation, activation_vjp, dactivated) if run.config.gated else activation_vjp(h, dactivated)
    dx, dintermediate = run.back.linear(x, p.intermediate, dh)
    return dx, {"intermediate": dintermediate, "output": doutput, "output_post_norm": dpost}


def self_attention_vjp(
    x: Array, p: Layer, run: Pass, pattern: AttentionPattern, place: str, dy: Array, dbias: list[Array]
) -> tuple[Array, LayerGradients]:
    """The steps of `self_attention`, in reverse order; if distance has a bias, its gradient is appended to `dbias`."""
    dy, dpost = _post_norm_vjp(p.attention_post_norm, f"{place}.attention", run, dy)
    H, G, config = run.config.num_attention_heads, run.config.key_value_heads, run.config
    dcontext, dattention_output = run.back.linear(run.seen[f"{place}.context"], p.attention_output, dy)
    raw = run.seen[f"{place}.qkv"].reshape(len(x), H + 2 * G, -1)
    turned, of_heads = raw.copy(), ((slice(0, H), p.query_norm), (slice(H, H + G), p.key_norm))
    for part, norm in of_heads:
        turned[:, part] = normalize(turned[:, part], norm, config)
    if pattern.rotary is not None:
        rotate(turned[:, : H + G], run.tokens.positions(), pattern.rotary)
    drop = run.tape.drop_of(f"{place}.")
    dqkv, slopes = run.back.attend(turned.reshape(len(x), -1), run.tokens.cu_seqlens, H, G, pattern, drop, dcontext)
    if slopes is not None:
        dbias.append(slopes)
    dturned, dnorms = dqkv.reshape(raw.shape), []
    if pattern.rotary is not None:  # the transpose of a rotation is the inverse rotation
        rotate(dturned[:, : H + G], run.tokens.positions(), pattern.rotary * np.array([[[1]], [[-1]]], np.float32))
    for part, norm in of_heads:
        dturned[:, part], dnorm = normalize_vjp(raw[:, part], norm, run, dturned[:, part])
        dnorms.append(dnorm)
    dx, dp = run.back.linear(x, p.qkv, dturned.reshape(len(x), -1))
    norms = {"query_norm": dnorms[0], "key_norm": dnorms[1], "attention_post_norm": dpost}
    return dx, {"qkv": dp, "attention_output": dattention_output, **norms}


def transformer_layer_vjp(
    x: Array, p: Layer, run: Pass, pattern: AttentionPattern, place: str, dy: Array, dbias: list[Array]
) -> tuple[Array, Layer]:  # (T, D), (T, D) -> (T, D)
    """The formulas of `transformer_layer`, in reverse order: a sum passes its gradient to both of its parts."""
    config, ops, middle = run.config, run.ops, run.seen[f"{place}.attention.sum"]
    if config.pre_norm:
        h = normalize(middle, p.output_norm, config, ops)
        dh, theirs = feed_forward_vjp(h, p, run, place, dy)
        dx, doutput_norm = normalize_vjp(middle, p.output_norm, run, dh)
        dmiddle = dx + dy
        h = normalize(x, p.attention_norm, config, ops)
        dh, ours = self_attention_vjp(h, p, run, pattern, place, dmiddle, dbias)
        dx, dattention_norm = normalize_vjp(x, p.attention_norm, run, dh)
        dx = dx + dmiddle
    else:
        dsum, doutput_norm = normalize_vjp(run.seen[f"{place}.feed_forward.sum"], p.output_norm, run, dy)
        h = normalize(middle, p.attention_norm, config, ops)
        dh, theirs = feed_forward_vjp(h, p, run, place, dsum)
        dmiddle, dattention_norm = normalize_vjp(middle, p.attention_norm, run, dh + dsum)
        dx, ours = self_attention_vjp(x, p, run, pattern, place, dmiddle, dbias)
        dx = dx + dmiddle
    norms = {"attention_norm": dattention_norm, "output_norm": doutput_norm}
    return dx, Layer(**ours, **theirs, **norms)  # type: ignore[arg-type]


def encode_vjp(params: Params, patterns: tuple[AttentionPattern, ...], run: Pass, dy: Array) -> Params:  # (T, D)
    """From the gradients of the hidden states to those of every parameter: the layers of `encode`, in reverse order."""
    last = len(params.layers) - 1
    dx, dfinal = dy, None
    if params.final_norm is not None:
        dx, dfinal = normalize_vjp(_output(params, last, run), params.final_norm, run, dy)
    dlayers: list[Layer] = []
    dbias: list[Array] = []
    for i in range(last, -1, -1):
        p, pattern, place = params.layers[i], patterns[i], f"layer.{i}"
        x, inner = _output(params, i - 1, run), run
        if f"{place}.qkv" not in run.seen:  # only the input of the layer was kept
            inner = _again(x, p, run, pattern, place)
        dx, dlayer = transformer_layer_vjp(x, p, inner, pattern, place, dx, dbias)
        dlayers.append(dlayer)
    dembeddings = embed_vjp(params.embeddings, run, run.tape.drop("embeddings", dx))
    relative = params.relative_attention_bias
    drelative = None if relative is None else _buckets_vjp(relative, run.config, dbias)
    return Params(dembeddings, tuple(reversed(dlayers)), dfinal, drelative)


def _output(params: Params, i: int, run: Pass) -> Array:
    """The output of layer i; layer -1 are the embeddings.  Norms of kept results are computed again."""
    if i < 0:
        return run.seen["embeddings"]
    if f"layer.{i}" in run.seen:
        return run.seen[f"layer.{i}"]
    summed = run.seen[f"layer.{i}.feed_forward.sum"]
    return summed if run.config.pre_norm else normalize(summed, params.layers[i].output_norm, run.config, run.ops)


def _again(x: Array, p: Layer, run: Pass, pattern: AttentionPattern, place: str) -> Pass:
    """Compute a layer again, to record the results that were not kept."""
    tape = Tape(run.tape.dropout, post_norms=run.tape.post_norms)
    transformer_layer(x, p, run.tokens, run.config, pattern, tape.watch(run.ops, f"{place}."))
    return replace(run, tape=tape)


def _buckets_vjp(relative: Array, config: Config, dbias: list[Array]) -> Array:  # (buckets, H)
    """The gradient of the buckets, which distances share, and all layers."""
    total = sum(dbias[1:], dbias[0])
    N = total.shape[1] // 2 + 1
    buckets = relative_buckets(np.arange(1 - N, N), config.relative_attention_num_buckets)
    drelative = np.zeros(relative.shape, np.float64)
    np.add.at(drelative, buckets, total.T)
    return drelative.astype(relative.dtype)
