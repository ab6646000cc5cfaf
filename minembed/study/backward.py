"""The backward pass over the steps of a trace: a vjp for every rule, from those of `minembed.train.backward`.

If y = rule(x, ...) and dy is the gradient of a number with respect to y, a vjp gives those with respect to x, ...: it
is called with the rule, y, dy and the inputs.  N tokens, D width, H heads of queries of width K, G heads of keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minembed.study import rules
from minembed.study.graph import Graph
from minembed.train.backward.vjp import (
    ACTIVATION_VJP,
    gate_vjp,
    layer_norm_vjp,
    linear_vjp,
    rms_norm_vjp,
    softmax_vjp,
)
from minembed.train.backward.vjp_vectors import (
    DENSE_VJP,
    l2_normalize_vjp,
    pool_vjp,
    transform_vjp,
    truncate_embeddings_vjp,
)
from minembed.transformer.config import Config
from minembed.transformer.heads import through
from minembed.transformer.ops import ACTIVATION, linear
from minembed.transformer.params import Norm
from minembed.transformer.positions import rotate
from minembed.transformer.vectors import truncate_embeddings
from minembed.types import Array

Slopes = tuple[Array, ...]  # with respect to each input, in its shape
Vjp = Callable[..., Slopes]
OF_HEAD = {**ACTIVATION_VJP, "tanh": DENSE_VJP["Tanh"], "identity": DENSE_VJP["Identity"]}
OF_ACTIVATION = {function: ACTIVATION_VJP[name] for name, function in ACTIVATION.items()}


def slopes_by(graph: Graph, values: Mapping[str, Array], of: str, dy: Array) -> dict[str, Array]:
    """Propagate back from a step to all steps that it depends on: gradients by name, in the shape of each.

    `values` are the arrays of the steps.  Steps that `of` does not depend on are left out.

    >>> from minembed.study.step import Step
    >>> two = {"x": Step("x", (), ("N",), (1,), "", None), "y": Step("y", ("x", "x"), ("N",), (1,), "", rules.Sum())}
    >>> slopes_by(two, {"x": np.ones(1), "y": 2 * np.ones(1)}, "y", np.float64([3]))["x"].tolist()
    [6.0]
    """
    slopes = {of: dy}
    for name, step in reversed(list(graph.items())):
        if name not in slopes or not step.inputs:
            continue
        vjp = VJPS[type(step.rule)]
        for before, dx in zip(
            step.inputs,
            vjp(step.rule, values[name], slopes[name], *(values[i] for i in step.inputs)),
            strict=True,
        ):
            slopes[before] = slopes[before] + dx if before in slopes else dx
    return slopes


def normalise_vjp(x: Array, p: Norm | None, config: Config, dy: Array) -> Array:  # (..., D), (..., D) -> (..., D)
    """The gradient with respect to the input of a norm of either kind; dy if there is no norm.

    >>> normalise_vjp(np.ones(2), None, None, np.float64([1, 2])).tolist()
    [1.0, 2.0]
    """
    if p is None:
        return dy
    return (rms_norm_vjp if config.norm_type == "rms_norm" else layer_norm_vjp)(x, p, config.layer_norm_eps, dy)[0]


def _sum(rule: rules.Sum, y: Array, dy: Array, *inputs: Array) -> Slopes:
    return (dy,) * len(inputs)


def _affine(rule: rules.Affine, y: Array, dy: Array, x: Array) -> Slopes:
    return (linear_vjp(x, rule.p, dy)[0],)


def _normalise(rule: rules.Normalise, y: Array, dy: Array, x: Array) -> Slopes:
    return (normalise_vjp(x, rule.p, rule.config, dy),)


def _heads(rule: rules.Heads, y: Array, dy: Array, qkv: Array) -> Slopes:
    """Sum the gradients of heads that share keys or values, undo the rotation, then go through the norm."""
    H, G, which = rule.config.num_attention_heads, rule.config.key_value_heads, rule.which
    part = (slice(0, H), slice(H, H + G), slice(H + G, H + 2 * G))[which]
    heads = H if which == 0 else G
    dx = dy.reshape(heads, H // heads, *dy.shape[1:]).sum(axis=1).transpose(1, 0, 2).copy()  # (N, heads, K)
    if which == 0:
        dx /= np.sqrt(dy.dtype.type(dy.shape[-1]))
    if which < 2:
        if rule.pattern.rotary is not None:  # a rotation's transpose is its inverse
            back = rule.pattern.rotary * np.array([[[1]], [[-1]]], np.float32)
            rotate(dx, np.arange(len(dx)), back)
        raw = qkv.reshape(len(qkv), H + 2 * G, -1)[:, part]
        dx = normalise_vjp(raw, (rule.p.query_norm, rule.p.key_norm)[which], rule.config, dx)
    dqkv = np.zeros_like(qkv)
    dqkv.reshape(len(qkv), H + 2 * G, -1)[:, part] = dx
    return (dqkv,)


def _scores(rule: rules.Scores, y: Array, dy: Array, q: Array, k: Array) -> Slopes:
    dy = np.where(np.isneginf(y), dy.dtype.type(0), dy)  # the gradient of masked scores is 0
    return dy @ k, dy.transpose(0, 2, 1) @ q


def _softmax(rule: rules.Softmax, y: Array, dy: Array, x: Array) -> Slopes:
    return (softmax_vjp(y, dy),)


def _mix(rule: rules.Mix, y: Array, dy: Array, p: Array, v: Array) -> Slopes:
    dcontext = dy.reshape(len(dy), len(v), -1).transpose(1, 0, 2)  # (H, N, K)
    return dcontext @ v.transpose(0, 2, 1), p.transpose(0, 2, 1) @ dcontext


def _activate(rule: rules.Activate, y: Array, dy: Array, x: Array) -> Slopes:
    vjp = OF_ACTIVATION[rule.activation]
    return (gate_vjp(x, rule.activation, vjp, dy) if rule.gated else vjp(x, dy),)


def _pool(rule: rules.Pool, y: Array, dy: Array, x: Array) -> Slopes:
    return (pool_vjp(x, np.array([0, len(x)]), rule.modes, rule.skipped, dy[None]),)


def _of_table(rule: rules.OfTable, y: Array, dy: Array, x: Array) -> Slopes:
    return (np.repeat(dy[None] / dy.dtype.type(max(len(x), 1)), len(x), axis=0),)


def _after(rule: rules.After, y: Array, dy: Array, x: Array) -> Slopes:
    return (transform_vjp(x[None], [rule.module], [rule.p], dy[None])[0][0],)


def _finish(rule: rules.Finish, y: Array, dy: Array, x: Array) -> Slopes:
    cut = truncate_embeddings(x[None], rule.dim)
    dcut = l2_normalize_vjp(cut, dy[None]) if rule.normalise else dy[None]
    return (truncate_embeddings_vjp(x[None], cut.shape[1], dcut)[0],)


def _classify(rule: rules.Classify, y: Array, dy: Array, x: Array) -> Slopes:
    entered = [x[None]]
    for block in rule.blocks[:-1]:
        entered.append(through(entered[-1], [block]))
    dx = dy[None]
    for block, before in reversed(list(zip(rule.blocks, entered, strict=True))):
        z = linear(before, block.linear)
        if block.norm is not None:
            bare = through(before, [replace(block, norm=None)])
            dx = layer_norm_vjp(bare, block.norm, block.eps, dx)[0]
        dx = linear_vjp(before, block.linear, OF_HEAD[block.activation](z, dx))[0]
    return (dx[0],)


VJPS: dict[type[Any], Vjp] = {
    rules.Sum: _sum,
    rules.Affine: _affine,
    rules.Normalise: _normalise,
    rules.Heads: _heads,
    rules.Scores: _scores,
    rules.Softmax: _softmax,
    rules.Mix: _mix,
    rules.Activate: _activate,
    rules.Pool: _pool,
    rules.OfTable: _of_table,
    rules.After: _after,
    rules.Finish: _finish,
    rules.Classify: _classify,
}
