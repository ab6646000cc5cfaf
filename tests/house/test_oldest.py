"""make test-oldest installs what pyproject.toml promises."""

import re

import oldest
from places import ROOT

TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_dependency_has_a_lower_bound_that_is_tried():
    tried = oldest.oldest(TEXT, [])
    assert len(tried) == len(oldest.requirements(TEXT, "dependencies")) and tried["numpy"] >= "2.0"
    named = re.search(r"^OLDEST_EXTRAS = (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1].split()
    assert {"numba", "arrow", "viz", "serve"} <= set(named)
    assert set(oldest.oldest(TEXT, named)) > set(tried)


def test_the_highest_of_two_bounds_counts():
    assert oldest.oldest('dependencies = ["a>=1.9"]\nx = ["a>=1.10", "b>=2"]', ["x"]) == {"a": "1.10", "b": "2"}
