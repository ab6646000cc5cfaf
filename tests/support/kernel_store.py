"""A small function that is compiled and kept on disk as the kernels are."""

import numba

from minembed.kernels.compiled import cache as cached

SIGNATURE = (numba.int64,)


def twice(variant=""):
    """A function as a new process would find it: compiled for nothing yet."""

    @numba.njit
    def kernel(x):
        return 2 * x

    return cached.on_disk(kernel, variant)


def loaded(variant=""):
    """Compile, or load from disk; tells which, and that the function works."""
    kernel = twice(variant)
    stored = cached.is_stored(kernel, SIGNATURE)
    kernel.compile(SIGNATURE)
    assert kernel(21) == 42 and cached.is_stored(kernel, SIGNATURE)
    hits = sum(kernel.stats.cache_hits.values())
    assert (hits == 1) == stored
    return "from disk" if hits else "compiled"
