"""A small function that is compiled and kept on disk as the kernels are."""

import numba

from minembed.kernels.compiled import cache as cached

SIGNATURE = (numba.int64,)


def twice():
    """A function as a new process would find it: compiled for nothing yet."""

    @cached.on_disk
    @numba.njit
    def kernel(x):
        return 2 * x

    return kernel


def loaded():
    """Compile, or load from disk; tells which, and that the function works."""
    kernel = twice()
    stored = cached.is_stored(kernel, SIGNATURE)
    kernel.compile(SIGNATURE)
    assert kernel(21) == 42 and cached.is_stored(kernel, SIGNATURE)
    hits = sum(kernel.stats.cache_hits.values())
    assert (hits == 1) == stored
    return "from disk" if hits else "compiled"
