"""The operations of training in the compiled tiers, in float32: linear, norms, GELU, softmax; forward and backward.

Weights change at every step, so they are not packed ahead: a panel of columns is packed just before all rows are
multiplied with it.  Sums run over k in order, so the bits do not depend on the number of rows.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.entries import Entries
from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.transformer.params import Linear, Norm
from minembed.types import Array


@dataclass(frozen=True, slots=True)
class StepOperations:
    """The operations of one step; transposed weights are computed once and cached for the step."""

    entries: Entries = JIT  # the source of compiled functions
    turned: dict[int, Array] = field(default_factory=dict)

    def linear(self, x: Array, p: Linear) -> Array:  # (T, in) -> (T, out)
        """As minembed.train.backward.vjp.linear."""
        return self._multiply(x, p.weight, p.bias)

    def linear_vjp(self, x: Array, p: Linear, dy: Array) -> tuple[Array, Linear]:
        """As minembed.train.backward.vjp.linear_vjp."""
        weight = self.turned.get(id(p.weight))
        if weight is None:
            weight = self.turned[id(p.weight)] = self._turn(p.weight)
        dx = self._multiply(dy, weight, None)
        return dx, Linear(self._multiply_transposed(x, dy), None if p.bias is None else self._sum_rows(dy))

    def layer_norm(self, x: Array, p: Norm, eps: float) -> Array:  # (T, D) -> (T, D)
        """As minembed.transformer.ops.layer_norm."""
        rows, out = np.ascontiguousarray(x, np.float32).reshape(-1, x.shape[-1]), np.empty(x.shape, np.float32)
        zeros = np.zeros(x.shape[-1], np.float32)
        bias = zeros if p.bias is None else p.bias
        self.entries["layer_norm_rows"](
            rows.reshape(-1), *rows.shape, p.weight, bias, np.float32(eps), zeros, out.reshape(-1)
        )
        return out

    def layer_norm_vjp(
        self, x: Array, p: Norm, eps: float, dy: Array
    ) -> tuple[Array, Norm]:  # (T, D), (T, D) -> (T, D)
        """As minembed.train.backward.vjp.layer_norm_vjp."""
        D = x.shape[-1]
        rows, slopes = (np.ascontiguousarray(a, np.float32).reshape(-1, D) for a in (x, dy))
        dx, (dweight, dbias) = np.empty(x.shape, np.float32), np.zeros((2, D), np.float32)
        self.entries["layer_norm_vjp_rows"](
            rows.reshape(-1), slopes.reshape(-1), *rows.shape, p.weight, np.float32(eps), dx.reshape(-1), dweight, dbias
        )  # fmt: skip
        return dx, Norm(dweight, None if p.bias is None else dbias)

    def softmax(self, x: Array) -> Array:  # (..., N) -> (..., N)
        """As minembed.transformer.ops.softmax."""
        x = np.ascontiguousarray(x, np.float32)
        out = np.empty_like(x)
        self.entries["softmax_rows"](x.reshape(-1), x.size // x.shape[-1], x.shape[-1], out.reshape(-1))
        return out

    def softmax_vjp(self, y: Array, dy: Array, kept: Array | None = None) -> Array:  # (..., N), (..., N) -> (..., N)
        """As minembed.train.backward.vjp.softmax_vjp."""
        y, dy, kept = (np.ascontiguousarray(a, np.float32) for a in (y, dy, y if kept is None else kept))
        out, n = np.empty_like(y), y.shape[-1]
        slopes = self.entries["softmax_vjp_rows"]
        slopes(y.reshape(-1), kept.reshape(-1), dy.reshape(-1), y.size // n, n, out.reshape(-1))
        return out

    def gelu(self, x: Array, out: Array | None = None) -> Array:
        """As minembed.transformer.ops.gelu."""
        out = np.empty_like(x, order="C") if out is None else out
        gelu_rows = self.entries["gelu_rows"]
        return _elementwise(lambda x, _, n, y: gelu_rows(x, n, y), x, x, out)

    def gelu_vjp(self, x: Array, dy: Array) -> Array:
        """As minembed.train.backward.vjp.gelu_vjp."""
        return _elementwise(self.entries["gelu_vjp_rows"], x, dy, np.empty_like(x, order="C"))

    def _multiply(self, x: Array, weight: Array, bias: Array | None) -> Array:
        K, N = weight.shape
        if not _fits(x, weight) or N % PANEL:
            y: Array = x @ weight
            return y if bias is None else y + bias
        out, room = np.empty((len(x), N), np.float32), np.empty(K * PANEL, np.float32)
        bias = np.zeros(N, np.float32) if bias is None else bias
        x = np.ascontiguousarray(x)
        self.entries["multiply_rows"](x.reshape(-1), len(x), K, weight.reshape(-1), N, bias, room, out.reshape(-1))
        return out

    def _multiply_transposed(self, x: Array, dy: Array) -> Array:  # (T, in), (T, out) -> (in, out)
        (T, K), N = x.shape, dy.shape[1]
        if not _fits(x, dy) or N % PANEL:
            return x.T @ dy
        out, rooms = np.empty((K, N), np.float32), (np.empty(T * n, np.float32) for n in (N, TILE_ROWS))
        x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
        zeros = np.zeros(PANEL, np.float32)
        self.entries["multiply_transposed"](x.reshape(-1), dy.reshape(-1), T, K, N, zeros, *rooms, out.reshape(-1))
        return out

    def _sum_rows(self, x: Array) -> Array:  # (T, D) -> (D,)
        if not _fits(x):
            total: Array = x.sum(axis=0)
            return total
        out = np.zeros(x.shape[1], np.float32)
        self.entries["sum_rows"](np.ascontiguousarray(x).reshape(-1), *x.shape, out)
        return out

    def _turn(self, weight: Array) -> Array:
        if not _fits(weight):
            return np.ascontiguousarray(weight.T)
        out = np.empty(weight.shape[::-1], np.float32)
        self.entries["transpose"](weight.reshape(-1), *weight.shape, out.reshape(-1))
        return out


def _fits(*arrays: Array) -> bool:
    return all(a.dtype == np.float32 for a in arrays)


def _elementwise(kernel: Callable[..., None], x: Array, dy: Array, out: Array) -> Array:
    """Run a kernel over all numbers; the last ones, less than a vector, in a separate call."""
    x, dy, flat = (np.ascontiguousarray(a, np.float32).reshape(-1) for a in (x, dy, out))
    whole = x.size // 16 * 16
    kernel(x, dy, whole, flat)
    if whole < x.size:
        few = np.zeros((3, 16), np.float32)
        few[:2, : x.size - whole] = x[whole:], dy[whole:]
        kernel(few[0], few[1], 16, few[2])
        flat[whole:] = few[2, : x.size - whole]
    return out if flat.base is out or flat is out else flat.reshape(out.shape)
