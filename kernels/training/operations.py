"""What training computes in the numba tier, in float32: linear layers, norms, GELU and softmax, forward and backward.

Weights change at every step, so they are not packed ahead: a panel of columns is copied together just before all rows
are multiplied with it.  Sums run over k in order, so the bits do not depend on how many rows there are.
"""

from dataclasses import dataclass, field

import numpy as np
from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.tiles.registers import PANEL, TILE_ROWS, tile_floats
from minembed.kernels.training.rows import (
    gelu_rows,
    gelu_vjp_rows,
    layer_norm_rows,
    layer_norm_vjp_rows,
    softmax_rows,
    softmax_vjp_rows,
    sum_rows,
)
from minembed.kernels.vectors.simd import address
from minembed.transformer.params import Linear, Norm
from minembed.types import Array


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def multiply_rows(x, rows, width, weight, out_width, bias, panel_room, out):
    """out = bias + x weight: (rows, width), (width, out_width); out_width is of whole panels."""
    for panel in range(out_width // PANEL):
        first = panel * PANEL
        for k in range(width):
            for j in range(PANEL):
                panel_room[k * PANEL + j] = weight[k * out_width + first + j]
        _rows_by_panel(x, rows, width, panel_room, bias, first, out, out_width)


@njit
def _rows_by_panel(x, rows, width, panel_room, bias, first, out, out_width):
    blocks = (rows + TILE_ROWS - 1) // TILE_ROWS
    i = 0
    for block in range(blocks):  # of nearly equal size
        count = (rows - i) // (blocks - block)
        a, c = address(x, i * width), address(out, i * out_width + first)
        tile_floats(
            count, a, width, address(panel_room, 0), PANEL, width, address(bias, first), c, out_width
        )  # fmt: skip
        i += count


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def multiply_transposed(x, dy, rows, width, out_width, zeros, dy_room, x_room, out):
    """out = x^T dy: (rows, width), (rows, out_width) -> (width, out_width); the sum runs over rows, in order."""
    for panel in range(out_width // PANEL):
        for t in range(rows):
            for j in range(PANEL):
                dy_room[(panel * rows + t) * PANEL + j] = dy[t * out_width + panel * PANEL + j]
    blocks = (width + TILE_ROWS - 1) // TILE_ROWS
    i = 0
    for block in range(blocks):
        count = (width - i) // (blocks - block)
        for t in range(rows):
            for r in range(count):
                x_room[r * rows + t] = x[t * width + i + r]
        for panel in range(out_width // PANEL):
            b = address(dy_room, panel * rows * PANEL)
            c = address(out, i * out_width + panel * PANEL)
            tile_floats(count, address(x_room, 0), rows, b, PANEL, rows, address(zeros, 0), c, out_width)
        i += count


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def transpose(x, rows, width, out):
    """out = x^T, by blocks that stay in the first-level cache."""
    for i in range(0, rows, 16):
        for j in range(0, width, 16):
            for r in range(i, min(i + 16, rows)):
                for c in range(j, min(j + 16, width)):
                    out[c * rows + r] = x[r * width + c]


@dataclass(frozen=True, slots=True)
class StepOperations:
    """The operations of one step; weights that are needed transposed are turned once, and forgotten with it."""

    turned: dict[int, Array] = field(default_factory=dict)

    def linear(self, x: Array, p: Linear) -> Array:  # (T, in) -> (T, out)
        """As minembed.train.backward.vjp.linear."""
        return _multiply(x, p.weight, p.bias)

    def linear_vjp(self, x: Array, p: Linear, dy: Array) -> tuple[Array, Linear]:
        """As minembed.train.backward.vjp.linear_vjp."""
        weight = self.turned.get(id(p.weight))
        if weight is None:
            weight = self.turned[id(p.weight)] = _turn(p.weight)
        dx = _multiply(dy, weight, None)
        return dx, Linear(_multiply_transposed(x, dy), None if p.bias is None else _sum_rows(dy))

    @staticmethod
    def layer_norm(x: Array, p: Norm, eps: float) -> Array:  # (T, D) -> (T, D)
        """As minembed.transformer.ops.layer_norm."""
        rows, out = np.ascontiguousarray(x, np.float32).reshape(-1, x.shape[-1]), np.empty(x.shape, np.float32)
        zeros = np.zeros(x.shape[-1], np.float32)
        bias = zeros if p.bias is None else p.bias
        layer_norm_rows(rows.reshape(-1), *rows.shape, p.weight, bias, np.float32(eps), zeros, out.reshape(-1))
        return out

    @staticmethod
    def layer_norm_vjp(x: Array, p: Norm, eps: float, dy: Array) -> tuple[Array, Norm]:  # (T, D), (T, D) -> (T, D)
        """As minembed.train.backward.vjp.layer_norm_vjp."""
        D = x.shape[-1]
        rows, slopes = (np.ascontiguousarray(a, np.float32).reshape(-1, D) for a in (x, dy))
        dx, (dweight, dbias) = np.empty(x.shape, np.float32), np.zeros((2, D), np.float32)
        layer_norm_vjp_rows(
            rows.reshape(-1), slopes.reshape(-1), *rows.shape, p.weight, np.float32(eps), dx.reshape(-1), dweight, dbias
        )  # fmt: skip
        return dx, Norm(dweight, None if p.bias is None else dbias)

    @staticmethod
    def softmax(x: Array) -> Array:  # (..., N) -> (..., N)
        """As minembed.transformer.ops.softmax."""
        x = np.ascontiguousarray(x, np.float32)
        out = np.empty_like(x)
        softmax_rows(x.reshape(-1), x.size // x.shape[-1], x.shape[-1], out.reshape(-1))
        return out

    @staticmethod
    def softmax_vjp(y: Array, dy: Array, kept: Array | None = None) -> Array:  # (..., N), (..., N) -> (..., N)
        """As minembed.train.backward.vjp.softmax_vjp."""
        y, dy, kept = (np.ascontiguousarray(a, np.float32) for a in (y, dy, y if kept is None else kept))
        out, n = np.empty_like(y), y.shape[-1]
        softmax_vjp_rows(y.reshape(-1), kept.reshape(-1), dy.reshape(-1), y.size // n, n, out.reshape(-1))
        return out

    @staticmethod
    def gelu(x: Array, out: Array | None = None) -> Array:
        """As minembed.transformer.ops.gelu."""
        out = np.empty_like(x, order="C") if out is None else out
        return _elementwise(lambda x, _, n, y: gelu_rows(x, n, y), x, x, out)

    @staticmethod
    def gelu_vjp(x: Array, dy: Array) -> Array:
        """As minembed.train.backward.vjp.gelu_vjp."""
        return _elementwise(gelu_vjp_rows, x, dy, np.empty_like(x, order="C"))


def _fits(*arrays: Array) -> bool:
    return all(a.dtype == np.float32 for a in arrays)


def _multiply(x: Array, weight: Array, bias: Array | None) -> Array:
    K, N = weight.shape
    if not _fits(x, weight) or N % PANEL:
        y: Array = x @ weight
        return y if bias is None else y + bias
    out, room = np.empty((len(x), N), np.float32), np.empty(K * PANEL, np.float32)
    bias = np.zeros(N, np.float32) if bias is None else bias
    x = np.ascontiguousarray(x)
    multiply_rows(x.reshape(-1), len(x), K, weight.reshape(-1), N, bias, room, out.reshape(-1))
    return out


def _multiply_transposed(x: Array, dy: Array) -> Array:  # (T, in), (T, out) -> (in, out)
    (T, K), N = x.shape, dy.shape[1]
    if not _fits(x, dy) or N % PANEL:
        return x.T @ dy
    out, rooms = np.empty((K, N), np.float32), (np.empty(T * n, np.float32) for n in (N, TILE_ROWS))
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    zeros = np.zeros(PANEL, np.float32)
    multiply_transposed(x.reshape(-1), dy.reshape(-1), T, K, N, zeros, *rooms, out.reshape(-1))
    return out


def _sum_rows(x: Array) -> Array:  # (T, D) -> (D,)
    if not _fits(x):
        total: Array = x.sum(axis=0)
        return total
    out = np.zeros(x.shape[1], np.float32)
    sum_rows(np.ascontiguousarray(x).reshape(-1), *x.shape, out)
    return out


def _turn(weight: Array) -> Array:
    if not _fits(weight):
        return np.ascontiguousarray(weight.T)
    out = np.empty(weight.shape[::-1], np.float32)
    transpose(weight.reshape(-1), *weight.shape, out.reshape(-1))
    return out


def _elementwise(kernel, x, dy, out):
    """Run a kernel over all numbers; the last few, which fill no vector, go by themselves."""
    x, dy, flat = (np.ascontiguousarray(a, np.float32).reshape(-1) for a in (x, dy, out))
    whole = x.size // 16 * 16
    kernel(x, dy, whole, flat)
    if whole < x.size:
        few = np.zeros((3, 16), np.float32)
        few[:2, : x.size - whole] = x[whole:], dy[whole:]
        kernel(few[0], few[1], 16, few[2])
        flat[whole:] = few[2, : x.size - whole]
    return out if flat.base is out or flat is out else flat.reshape(out.shape)
