"""How much of a long test is usual: the rest is for `make fuzz`."""

import pytest
from hypothesis import settings

FULL = False  # set by conftest.py, before tests are imported, where heavy tests are asked for


def examples(number, usual=None, fixed=False):
    """Decorate a property test: it usually sees a quarter of so many examples, or `usual` ones, and all of them under
    `make fuzz`; `fixed` ones are the same in every usual run."""

    def decorate(test):
        seen = number if FULL else usual or number // 4
        return pytest.mark.fuzz(settings(max_examples=seen, deadline=None, derandomize=fixed and not FULL)(test))

    return decorate


def thinned(values, step):
    """Parameters of which every step-th is usual, and the rest for `make fuzz`."""
    values = list(values)
    return [*values[::step], *heavy(x for i, x in enumerate(values) if i % step)]


def heavy(values):
    """Parameters that `make fuzz` alone goes through."""
    return [pytest.param(*(x if isinstance(x, tuple) else (x,)), marks=pytest.mark.slow) for x in values]
