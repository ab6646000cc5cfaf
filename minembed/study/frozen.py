"""The encoder as a sum of parts: with its gates frozen each step is linear, so each part can pass through it alone.

A gate is a factor that depends on the text.  Frozen gates keep the values that they have for the whole text:

- the probabilities of attention, with everything they depend on: queries, keys, their norms, rotations and biases
- the factor of a norm, 1 / deviation or 1 / root mean square (subtracting a mean is linear anyway)
- the factor of an activation, activation(x) / x; in a gated block, the activated half
- the token that has the maximum in max pooling; the length that a vector is divided by

The rest is multiplication and addition.  Parts are R arrays of the shape of a step, (R, N, D); the last of them
collects the biases.  In the model itself the gates depend on the text: although the parts add up, leaving one out
would change the others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.errors import UnsupportedModelError
from minembed.study import rules
from minembed.study.backward import OF_ACTIVATION
from minembed.study.graph import Graph
from minembed.train.backward.vjp_vectors import DENSE_VJP
from minembed.transformer.config import Config
from minembed.transformer.modules import ACTIVATIONS, LAYER_NORM_EPS, Dense, DenseParams, LayerNorm
from minembed.transformer.ops import linear
from minembed.transformer.params import Linear, Norm
from minembed.transformer.pooling import pool
from minembed.types import Array

Carry = Callable[..., Array]  # (biases, *parts of each input) -> parts; biases: whether the last part collects biases
WITHOUT_ZERO = ("Sigmoid", "Softplus")  # activations with f(0) != 0: no gate times x can give that


@dataclass(frozen=True, slots=True)
class Stage:
    """A step with its gates frozen."""

    name: str
    inputs: tuple[str, ...]  # the inputs that have parts
    carry: Carry
    done: tuple[str, ...]  # inputs that no later stage needs


def freeze(graph: Graph, values: Mapping[str, Array], start: tuple[str, ...]) -> list[Stage]:
    """The stages through which parts of the steps `start` reach the last step of a graph.

    Raises UnsupportedModelError for an activation after pooling with f(0) != 0.

    >>> from minembed.study.step import Step
    >>> double = {"x": Step("x", (), (), (), "", None), "y": Step("y", ("x", "x"), (), (), "", rules.Sum())}
    >>> [stage] = freeze(double, {"x": np.ones(3), "y": 2 * np.ones(3)}, ("x",))
    >>> stage.carry(False, np.ones((1, 3)), np.ones((1, 3))).tolist()
    [[2.0, 2.0, 2.0]]
    """
    reached, steps = set(start), []
    for name, step in graph.items():
        if isinstance(step.rule, rules.Heads) and step.rule.which < 2:
            continue  # queries, keys, scores and probabilities are used only by gates
        through = tuple(i for i in step.inputs if i in reached)
        if name in reached or not through:
            continue
        reached.add(name)
        arrays = [values[i] for i in step.inputs]
        joint = name.endswith(".qkv")  # `_values` takes the values from it
        steps.append((name, through, _same if joint else FREEZE[type(step.rule)](step.rule, values[name], *arrays)))
    last = {i: at for at, (_, through, _) in enumerate(steps) for i in through}
    return [
        Stage(name, through, carry, tuple(i for i in through if last[i] == at))
        for at, (name, through, carry) in enumerate(steps)
    ]


def carry(stages: list[Stage], parts: dict[str, Array], biases: bool) -> Array:  # -> (R, V)
    """Send parts of the first steps, R of each, through all stages; with `biases` the last part collects the biases.

    >>> carry([Stage("y", ("x",), _same, ("x",))], {"x": np.ones((2, 3))}, False).shape
    (2, 3)
    """
    parts, out = dict(parts), np.empty(0)
    for stage in stages:
        out = stage.carry(biases, *(parts[i] for i in stage.inputs))
        for name in stage.done:
            parts.pop(name, None)
        parts[stage.name] = out
    return out


def gain(x: Array, y: Array, slope_at_0: float) -> Array:
    """The factor y / x of y = f(x) with f(0) = 0; at x = 0 the derivative.

    >>> gain(np.float64([0, 2]), np.float64([0, 1]), 0.25).tolist()
    [0.25, 0.5]
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        factor = y / x
    return np.where((x == 0) | ~np.isfinite(factor), x.dtype.type(slope_at_0), factor)


def _same(biases: bool, *x: Array) -> Array:
    return x[0]


def _sum(rule: rules.Sum, y: Array, *inputs: Array) -> Carry:
    def add(biases: bool, *parts: Array) -> Array:
        total = parts[0]
        for x in parts[1:]:
            total = total + x
        return total

    return add


def affine(p: Linear) -> Carry:
    """x W for every part, + b for the last part.

    >>> affine(Linear(np.ones((1, 1)), np.ones(1)))(True, np.zeros((2, 1, 1))).reshape(-1).tolist()
    [0.0, 1.0]
    """

    def multiply(biases: bool, x: Array) -> Array:
        y: Array = (x.reshape(-1, x.shape[-1]) @ p.weight).reshape(*x.shape[:-1], -1)
        if biases and p.bias is not None:
            y[-1] += p.bias
        return y

    return multiply


def _affine(rule: rules.Affine, y: Array, x: Array) -> Carry:
    return affine(rule.p)


def scaled(p: Norm | None, config: Config, x: Array) -> Carry:
    """A norm of x with a frozen factor: that of x, whichever part passes through.

    >>> scaled(None, None, np.ones(2))(False, np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """
    if p is None:
        return _same
    centred = config.norm_type != "rms_norm"
    return _norm(p, config.layer_norm_eps, centred, x)


def _norm(p: Norm, eps: float, centred: bool, x: Array) -> Carry:
    z = x - x.mean(axis=-1, keepdims=True) if centred else x
    factor = p.weight / np.sqrt((z * z).mean(axis=-1, keepdims=True) + x.dtype.type(eps))  # (N, D)

    def scale(biases: bool, parts: Array) -> Array:
        y: Array = (parts - parts.mean(axis=-1, keepdims=True) if centred else parts) * factor
        if biases and p.bias is not None:
            y[-1] += p.bias
        return y

    return scale


def _normalise(rule: rules.Normalise, y: Array, x: Array) -> Carry:
    return scaled(rule.p, rule.config, x)


def _values(rule: rules.Heads, y: Array, qkv: Array) -> Carry:
    """From the input of attention to the values of every head: (R, N, D) -> (H, N, R K)."""
    G, K = rule.config.key_value_heads, rule.config.head_size
    p = rule.p.qkv
    own = Linear(p.weight[:, -G * K :], None if p.bias is None else p.bias[-G * K :])
    multiply, shared = affine(own), rule.config.num_attention_heads // G

    def cut(biases: bool, x: Array) -> Array:
        v = multiply(biases, x).reshape(*x.shape[:2], G, K).transpose(2, 1, 0, 3)  # (G, N, R, K)
        return v.repeat(shared, axis=0).reshape(G * shared, x.shape[1], -1)

    return cut


def _mix(rule: rules.Mix, y: Array, p: Array, v: Array) -> Carry:
    """(H, N, R K) -> (R, N, H K)."""
    H, N, K = v.shape

    def gather(biases: bool, values: Array) -> Array:
        return (p @ values).reshape(H, N, -1, K).transpose(2, 1, 0, 3).reshape(-1, N, H * K)

    return gather


def _activate(rule: rules.Activate, y: Array, x: Array) -> Carry:
    if rule.gated:
        F = x.shape[1] // 2
        gate = rule.activation(x[:, :F].copy())
        return lambda biases, parts: parts[..., F:] * gate
    at_0 = float(OF_ACTIVATION[rule.activation](np.zeros(1), np.ones(1))[0])
    factor = gain(x, y, at_0)
    return lambda biases, parts: parts * factor


def _pool(rule: rules.Pool, y: Array, x: Array) -> Carry:
    bounds, places = np.array([0, len(x)]), np.arange(x.shape[1])
    shares = {  # the weight of each token
        mode: pool(np.eye(len(x), dtype=x.dtype), bounds, [mode], rule.skipped)[0]
        for mode in rule.modes
        if mode != "max"
    }
    first = rule.skipped + x[rule.skipped :].argmax(axis=0)

    def gather(biases: bool, parts: Array) -> Array:
        pooled = [parts[:, first, places] if mode == "max" else shares[mode] @ parts for mode in rule.modes]
        return np.concatenate(pooled, axis=1)

    return gather


def _of_table(rule: rules.OfTable, y: Array, x: Array) -> Carry:
    return lambda biases, parts: parts.sum(axis=1) / max(len(x), 1)


def _after(rule: rules.After, y: Array, x: Array) -> Carry:
    module, p = rule.module, rule.p
    if isinstance(module, Dense) and isinstance(p, DenseParams):
        return _dense(module, p, x)
    if isinstance(module, LayerNorm) and isinstance(p, Norm):
        return _norm(p, LAYER_NORM_EPS, True, x)
    return _divide(x)


def _dense(module: Dense, p: DenseParams, x: Array) -> Carry:
    if module.activation in WITHOUT_ZERO:
        raise UnsupportedModelError(
            f"{module} cannot be cut into parts: {module.activation}(0) is not 0, so no factor of x gives it; "
            "use level='deletion' or 'integrated'"
        )
    z = linear(x[None], p.linear)[0]
    at_0 = float(DENSE_VJP[module.activation](np.zeros(1), np.ones(1))[0])
    factor, multiply = gain(z, ACTIVATIONS[module.activation](z), at_0), affine(p.linear)
    beside = _same if p.residual is None else affine(p.residual)

    def dense(biases: bool, parts: Array) -> Array:
        y: Array = multiply(biases, parts) * factor
        return y + beside(biases, parts) if module.use_residual else y

    return dense


def _divide(x: Array) -> Carry:
    length = float(np.sqrt((x.astype(np.float64) ** 2).sum()))
    factor = x.dtype.type(1 / length if length else 0)
    return lambda biases, parts: parts * factor


def _finish(rule: rules.Finish, y: Array, x: Array) -> Carry:
    divide = _divide(x[: rule.dim]) if rule.normalise else _same
    return lambda biases, parts: divide(biases, parts[:, : rule.dim])


FREEZE: dict[type[Any], Callable[..., Carry]] = {
    rules.Sum: _sum,
    rules.Affine: _affine,
    rules.Normalise: _normalise,
    rules.Heads: _values,
    rules.Mix: _mix,
    rules.Activate: _activate,
    rules.Pool: _pool,
    rules.OfTable: _of_table,
    rules.After: _after,
    rules.Finish: _finish,
}
