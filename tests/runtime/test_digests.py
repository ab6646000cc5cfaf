"""Digests on disk: the same answers as sets and dicts in memory, in however many runs."""

from tempfile import TemporaryFile

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from minembed.runtime import digests
from minembed.runtime.digests import Digests, digests_of, ranges_of, rows_in_both

CONTENTS = st.lists(st.sampled_from([b"", b"a", b"b", b"c", b"dd", b"e" * 100]) | st.binary(max_size=2), max_size=60)


def added(file, contents, again, step):
    found = Digests(file, lambda rows, firsts: again.extend(zip(rows.tolist(), firsts.tolist(), strict=True)))
    for start in range(0, len(contents), step):
        some = contents[start : start + step]
        found.add(digests_of(some), np.arange(start, start + len(some)))
    return found


@pytest.fixture
def small(monkeypatch):
    def set_run(rows):
        monkeypatch.setattr(digests, "RUN", rows)

    return set_run


@examples(100)
@given(contents=CONTENTS, run=st.sampled_from([1, 2, 7, 1000]), step=st.sampled_from([1, 3, 50]))
def test_repeats(contents, run, step):
    before, again = digests.RUN, []
    digests.RUN = run
    try:
        with TemporaryFile() as file:
            added(file, contents, again, step).compare()
    finally:
        digests.RUN = before
    first = {}
    for row, content in enumerate(contents):
        first.setdefault(content, row)
    assert {row for row, _ in again} == {row for row, content in enumerate(contents) if first[content] != row}
    assert all(earlier < row and contents[earlier] == contents[row] for row, earlier in again)


@examples(100)
@given(one=CONTENTS, other=CONTENTS, run=st.sampled_from([1, 3, 1000]))
def test_what_both_have(one, other, run):
    one, other = list(dict.fromkeys(one)), list(dict.fromkeys(other))
    before, found = digests.RUN, []
    digests.RUN = run
    try:
        with TemporaryFile() as first, TemporaryFile() as second:
            for parts in ranges_of([added(first, one, [], 4), added(second, other, [], 5)]):
                found += zip(*(rows.tolist() for rows in rows_in_both(*parts)), strict=True)
    finally:
        digests.RUN = before
    assert sorted(found) == sorted((one.index(x), other.index(x)) for x in one if x in other)


def test_a_row_that_comes_again_and_again_fills_no_range(small):
    """Of one run only the first goes to the disk."""
    small(100)
    again = []
    with TemporaryFile() as file:
        found = added(file, [b"same"] * 10_000, again, 1000)
        assert [len(part) for part in found.ranges() if len(part)] == [100]
        found.compare()
        assert file.seek(0, 2) == 100 * 24
    assert {row for row, _ in again} == set(range(1, 10_000))
