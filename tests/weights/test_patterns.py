"""Patterns of strangers: what `re` says, in time that is bounded."""

import re
import time
import warnings

import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from minembed.weights.patterns import LONGEST, matches

ATOMS = st.sampled_from(
    ["a", "b", ".", r"\.", r"\d", r"\w", "[ab]", "[^a]", "[a-b.]", "[]a]", "^", "$", "(?:a|b)", "(a|ab|)"]
)
QUANTIFIERS = st.sampled_from(["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,}", "{,2}", "{0,1}", "{2,3}?"])
SEQUENCES = st.lists(st.tuples(ATOMS, QUANTIFIERS), max_size=5).map(lambda parts: "".join(map("".join, parts)))
PATTERNS = st.recursive(
    SEQUENCES,
    lambda inner: st.tuples(inner, inner, QUANTIFIERS, SEQUENCES).map(lambda t: f"({t[0]}|{t[1]}){t[2]}{t[3]}"),
    max_leaves=4,
)
NAMES = st.text("ab.1", max_size=9)


@examples(1000, usual=60)
@given(PATTERNS, NAMES)
def test_as_the_standard_library(pattern, name):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = re.fullmatch(pattern, name) is not None
    except re.error:
        with pytest.raises(ValueError, match=r"."):
            matches(pattern, name)
        return
    assert matches(pattern, name) == expected


BUSY = [
    "(a*)*b",
    "(a|a)*b",
    "(a|aa)+b",
    "a?" * 60 + "b",
    ".*" * 60 + "b",
    "((a{60}){60}){60}b",
    "(((a?){60}){60}){60}b",
]
BUSY += ["(" * 7 + "a*" + ")*" * 7 + "b", "(a|a)" * 60 + "b"]


@pytest.mark.parametrize("pattern", BUSY)
def test_what_would_keep_re_busy(pattern):
    start = time.process_time()
    assert not matches(pattern, "a" * 80)
    assert time.process_time() - start < 1  # milliseconds; re would take longer than the sun shines


REFUSED = ["(", ")", "a)", "(a", "[a", "*", "a**", "a{2}{3}", "a{3,2}", "a*+", "^*", "(?i)a", "(?=a)", "(?P<n>a)"]
REFUSED += [r"(a)\1", "\\", r"\b", "(" * 9 + "a" + ")" * 9, "a" * (LONGEST + 1), "{", "[z-a]"]


@pytest.mark.parametrize("pattern", REFUSED)
def test_what_is_not_read(pattern):
    with pytest.raises(ValueError, match=r"."):
        matches(pattern, "a")
