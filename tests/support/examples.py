"""The part of a long test that runs by default; `make fuzz` runs all of it."""

import pytest
from hypothesis import settings

FULL = False  # set by conftest.py, before tests are imported, where heavy tests are asked for


def examples(number, usual=None, fixed=False):
    """Decorate a property test: by default it runs a quarter of the examples, or `usual` ones, and all of them in
    `make fuzz`; with `fixed` they are the same in every default run."""

    def decorate(test):
        seen = number if FULL else usual or number // 4
        return pytest.mark.fuzz(settings(max_examples=seen, deadline=None, derandomize=fixed and not FULL)(test))

    return decorate


def thinned(values, step):
    """Parameters of which every step-th runs by default, and the rest in `make fuzz`."""
    values = list(values)
    return [*values[::step], *heavy(x for i, x in enumerate(values) if i % step)]


def heavy(values):
    """Parameters that run only in `make fuzz`."""
    return [pytest.param(*(x if isinstance(x, tuple) else (x,)), marks=pytest.mark.slow) for x in values]
