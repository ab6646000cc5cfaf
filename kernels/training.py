"""What training computes in the numba tier: linear layers forward and backward, and GELU's slope, in float32.

Weights change at every step, so they are not packed ahead: a panel of columns is copied together just before all rows
are multiplied with it.  Sums run over k in order, so the bits do not depend on how many rows there are.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numba import njit

from minembed.kernels.cached import on_disk
from minembed.kernels.elementwise import HALF, ONE, ZERO, exp, normal_tail
from minembed.kernels.elementwise import gelu as gelu_of
from minembed.kernels.simd import absolute, address, load, maximum, minimum, splat, store
from minembed.kernels.tiles import PANEL, TILE_ROWS, tile_floats
from minembed.params import Array, Linear

f32 = np.float32
DENSITY = f32(1 / math.sqrt(2 * math.pi))
MINUS_TWO = f32(-2.0)


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


@njit
def _slope_of_gelu(x):
    """Phi(x) + x phi(x) of a vector: minembed.train.vjp.gelu_vjp."""
    a = minimum(absolute(x) * splat(HALF), splat(f32(6.5)))  # beyond, the tail is 0 and exp is not asked for less
    tail = normal_tail(a) * splat(HALF)
    density = exp(a * a * splat(MINUS_TWO)) * splat(DENSITY)
    # Phi(|x|) = 1 - tail; the slope at -x is 1 - the slope at x
    slope = splat(ONE) - tail + absolute(x) * density
    return slope


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def gelu_rows(x, n, out):
    """GELU of n numbers, a multiple of 16."""
    for j in range(0, n, 16):
        store(address(out, j), gelu_of(load(address(x, j))))


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def gelu_vjp_rows(x, dy, n, out):
    """dy times GELU's slope at x, of n numbers, a multiple of 16."""
    for j in range(0, n, 16):
        v = load(address(x, j))
        s = _slope_of_gelu(v)
        positive = maximum(splat(ZERO), minimum(v * splat(f32(1e38)), splat(ONE)))  # 1 where x > 0, else 0
        slope = positive * (s + s - splat(ONE)) + splat(ONE) - s  # s, or 1 - s
        store(address(out, j), slope * load(address(dy, j)))


@dataclass(frozen=True, slots=True)
class Tier:
    """The operations of one step; weights that are needed transposed are turned once, and forgotten with it."""

    turned: dict[int, Array] = field(default_factory=dict)

    def linear(self, x: Array, p: Linear) -> Array:  # (T, in) -> (T, out)
        """As minembed.train.vjp.linear."""
        return _multiply(x, p.weight, p.bias)

    def linear_vjp(self, x: Array, p: Linear, dy: Array) -> tuple[Array, Linear]:
        """As minembed.train.vjp.linear_vjp."""
        weight = self.turned.get(id(p.weight))
        if weight is None:
            weight = self.turned[id(p.weight)] = _turn(p.weight)
        dx = _multiply(dy, weight, None)
        return dx, Linear(_multiply_transposed(x, dy), None if p.bias is None else dy.sum(axis=0))

    @staticmethod
    def gelu(x: Array, out: Array | None = None) -> Array:
        """As minembed.ops.gelu."""
        out = np.empty_like(x, order="C") if out is None else out
        return _elementwise(lambda x, _, n, y: gelu_rows(x, n, y), x, x, out)

    @staticmethod
    def gelu_vjp(x: Array, dy: Array) -> Array:
        """As minembed.train.vjp.gelu_vjp."""
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
