"""AdamW in one pass over the memory: the functions of minembed.train.optim, with the same operations in order.

Nothing is fused or reordered, so the bits are the same as NumPy's.
"""

import math

from numba import njit

from minembed.kernels.compiled.cache import on_disk


@njit
def _element(p, m, v, g, c):
    p = p * c[0]
    m = m + (g - m) * c[1]
    v = v * c[2] + g * g * c[3]
    return p - c[4] * (m / (math.sqrt(v) / c[5] + c[6])), m, v


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def update(p, m, v, g, constants):
    """One step on flat arrays, in place."""
    for i in range(len(p)):
        p[i], m[i], v[i] = _element(p[i], m[i], v[i], g[i], constants)


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def replay(p, m, v, rows, last, first, table):
    """Apply the steps without a gradient that some rows have missed."""
    zero = p.dtype.type(0)  # in the table's precision, without allocating
    for row in rows:
        for step in range(last[row] + 1, first + 1 + len(table)):
            constants = table[step - first - 1]
            for j in range(p.shape[1]):
                p[row, j], m[row, j], v[row, j] = _element(p[row, j], m[row, j], v[row, j], zero, constants)
