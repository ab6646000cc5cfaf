"""Central differences in float64, with which every gradient is compared."""

import numpy as np

H_STEP = 1e-6
# central differences are off by h^2/6 times the third derivative and by rounding, 1e-16 / h: about 1e-10 here
CLOSE = {"rtol": 1e-6, "atol": 1e-8}


def slope(f, x, entries=None):
    """The slope of the number f() by entries of the array x, which f reads; x is put back."""
    g = np.zeros(x.shape)
    for i in np.ndindex(x.shape) if entries is None else entries:
        kept = x[i]
        x[i] = kept + H_STEP
        above = f()
        x[i] = kept - H_STEP
        g[i] = (above - f()) / (2 * H_STEP)
        x[i] = kept
    return g


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)
