"""Forward propagation of small changes: the tangent of every rule, for many changes of the same text at once.

If y = rule(x) and x changes by dx, y changes by J dx, the Jacobian-vector product.  It is the counterpart of
backward.py, which gives J^T dy: (J dx) dy = dx (J^T dy).  Linear rules are shared with frozen.py.
R changes, N tokens, H heads of width K, G of them with keys of their own.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minembed.study import rules
from minembed.study.backward import OF_ACTIVATION
from minembed.study.frozen import FREEZE
from minembed.study.graph import Graph
from minembed.train.backward.vjp_vectors import DENSE_VJP
from minembed.transformer.config import Config
from minembed.transformer.modules import LAYER_NORM_EPS, Dense, DenseParams, LayerNorm
from minembed.transformer.ops import linear
from minembed.transformer.params import Norm
from minembed.transformer.positions import rotate
from minembed.types import Array


def pushforward(graph: Graph, values: Mapping[str, Array], name: str, dx: Array) -> Array:  # (R, ...) -> (R, V)
    """The changes of the last step for R changes of one step.

    >>> from minembed.study.step import Step
    >>> double = {"x": Step("x", (), (), (), "", None), "y": Step("y", ("x", "x"), (), (), "", rules.Sum())}
    >>> pushforward(double, {"x": np.ones(2), "y": 2 * np.ones(2)}, "x", np.float64([[1, 0]])).tolist()
    [[2.0, 0.0]]
    """
    moved = {name: dx}
    last = {i: step.name for step in graph.values() for i in step.inputs}
    for step in graph.values():
        if step.name in moved or not any(i in moved for i in step.inputs):
            continue
        inputs = [values[i] for i in step.inputs]
        tangents = [moved.get(i) for i in step.inputs]
        if type(step.rule) in TANGENTS:
            moved[step.name] = TANGENTS[type(step.rule)](step.rule, values[step.name], inputs, *tangents)
        else:
            there = [d for d in tangents if d is not None]
            moved[step.name] = FREEZE[type(step.rule)](step.rule, values[step.name], *inputs)(False, *there)
        for before in step.inputs:
            if last[before] == step.name:
                moved.pop(before, None)
    return moved[next(reversed(list(graph)))]


def norm_tangent(x: Array, p: Norm | None, config: Config, dx: Array) -> Array:  # (..., D), (R, ..., D)
    """The tangent of a norm of either kind.

    >>> norm_tangent(np.ones(2), None, None, np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """
    if p is None:
        return dx
    return _norm(x, p, config.layer_norm_eps, config.norm_type != "rms_norm", dx)


def _norm(x: Array, p: Norm, eps: float, centred: bool, dx: Array) -> Array:
    z = x - x.mean(axis=-1, keepdims=True) if centred else x
    inverse = 1 / np.sqrt((z * z).mean(axis=-1, keepdims=True) + x.dtype.type(eps))
    z = z * inverse
    dz = dx - dx.mean(axis=-1, keepdims=True) if centred else dx
    out: Array = (dz - z * (z * dz).mean(axis=-1, keepdims=True)) * (inverse * p.weight)
    return out


def _normalise(rule: rules.Normalise, y: Array, inputs: list[Array], dx: Array) -> Array:
    return norm_tangent(inputs[0], rule.p, rule.config, dx)


def _heads(rule: rules.Heads, y: Array, inputs: list[Array], dx: Array) -> Array:  # -> (R, H, N, K)
    H, G, K, which = rule.config.num_attention_heads, rule.config.key_value_heads, rule.config.head_size, rule.which
    part = (slice(0, H), slice(H, H + G), slice(H + G, H + 2 * G))[which]
    R, N = dx.shape[:2]
    own = dx.reshape(R, N, H + 2 * G, K)[:, :, part].copy()
    if which < 2:
        raw = inputs[0].reshape(N, H + 2 * G, K)[:, part]
        own = norm_tangent(raw, (rule.p.query_norm, rule.p.key_norm)[which], rule.config, own)
        if rule.pattern.rotary is not None:
            rotate(own.reshape(R * N, -1, K), np.tile(np.arange(N), R), rule.pattern.rotary)
    if which == 0:
        own /= np.sqrt(own.dtype.type(K))
    return np.ascontiguousarray(own.transpose(0, 2, 1, 3).repeat(H // own.shape[2], axis=1))


def _scores(rule: rules.Scores, y: Array, inputs: list[Array], dq: Array, dk: Array) -> Array:
    q, k = inputs
    out: Array = dq @ k.transpose(0, 2, 1) + q @ dk.transpose(0, 1, 3, 2)
    return out


def _softmax(rule: rules.Softmax, y: Array, inputs: list[Array], dx: Array) -> Array:
    out: Array = y * (dx - (y * dx).sum(axis=-1, keepdims=True))
    return out


def _mix(rule: rules.Mix, y: Array, inputs: list[Array], dp: Array, dv: Array) -> Array:  # -> (R, N, H K)
    p, v = inputs
    dcontext = dp @ v + p @ dv  # (R, H, N, K)
    return np.ascontiguousarray(dcontext.transpose(0, 2, 1, 3)).reshape(len(dp), p.shape[1], -1)


def _activate(rule: rules.Activate, y: Array, inputs: list[Array], dx: Array) -> Array:
    x, vjp = inputs[0], OF_ACTIVATION[rule.activation]
    if not rule.gated:
        return dx * vjp(x, np.ones_like(x))
    F = x.shape[1] // 2
    left, right = x[:, :F].copy(), x[:, F:]
    return dx[..., :F] * (vjp(left, np.ones_like(left)) * right) + dx[..., F:] * rule.activation(left)


def _after(rule: rules.After, y: Array, inputs: list[Array], dx: Array) -> Array:
    [x], module, p = inputs, rule.module, rule.p
    if isinstance(module, Dense) and isinstance(p, DenseParams):
        z = linear(x[None], p.linear)
        out: Array = (dx @ p.linear.weight) * DENSE_VJP[module.activation](z, np.ones_like(z))
        if module.use_residual:
            out = out + (dx if p.residual is None else dx @ p.residual.weight)
        return out
    if isinstance(module, LayerNorm) and isinstance(p, Norm):
        return _norm(x, p, LAYER_NORM_EPS, True, dx)
    return _unit(x, dx)


def _unit(x: Array, dx: Array) -> Array:
    length = np.sqrt((x * x).sum())
    if length == 0:
        return np.zeros_like(dx)
    y = x / length
    return (dx - y * (dx @ y)[:, None]) / length


def _finish(rule: rules.Finish, y: Array, inputs: list[Array], dx: Array) -> Array:
    cut, x = dx[:, : rule.dim], inputs[0][: rule.dim]
    return _unit(x, cut) if rule.normalise else cut


TANGENTS: dict[type[Any], Callable[..., Array]] = {  # of rules that are not linear
    rules.Normalise: _normalise,
    rules.Heads: _heads,
    rules.Scores: _scores,
    rules.Softmax: _softmax,
    rules.Mix: _mix,
    rules.Activate: _activate,
    rules.After: _after,
    rules.Finish: _finish,
}
