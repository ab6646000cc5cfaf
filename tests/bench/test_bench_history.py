"""The race of a revision against its parent: what is slower is found, what is not is not."""

import json
import random
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from places import ROOT

sys.path.insert(0, str(ROOT / "bench"))
try:
    import history
finally:
    sys.path.remove(str(ROOT / "bench"))


class Runner:
    """One that takes what it is told, give or take some noise."""

    def __init__(self, seconds, seed=1, noise=0.1):
        self.seconds, self.dice, self.noise = seconds, random.Random(seed), noise
        self.cases = list(seconds)

    def lap(self, case):
        return self.seconds[case] * (1 + self.dice.random() * self.noise)


@pytest.mark.parametrize(("factor", "found"), [(1.0, []), (1.02, []), (1.12, ["a"]), (0.8, [])])
def test_only_what_is_slower_is_found(factor, found):
    """Under noise of 10 %."""
    ratios, slower = history.verdict(Runner({"a": 1, "b": 1}, 1), Runner({"a": factor, "b": 1, "new": 1}, 2))
    assert slower == found
    assert set(ratios) == {"a", "b"} and abs(ratios["a"] - factor) < 0.04


def test_who_begins_takes_turns():
    calls = []

    class Named(Runner):
        def lap(self, case):
            calls.append(self.noise)
            return 1.0

    history.race(Named({"a": 1}, noise="old"), Named({"a": 1}, noise="new"), ["a"], 4)
    assert calls == ["new", "old", "old", "new"] * 2


def test_the_table_has_the_last_race_of_each_revision(tmp_path):
    path = tmp_path / "history.jsonl"
    told = [("1", {"a": 1.5}), ("2", {"a": 1, "b": 0.9}), ("1", {"a": 1.01})]
    path.write_text("".join(json.dumps({"revision": name, "ratios": ratios}) + "\n" for name, ratios in told))
    assert history.table(history.read(path)).splitlines() == [
        "| revision | a | b |",
        "| --- | --- | --- |",
        "| 1 | 1.010 |  |",
        "| 2 | 1.000 | 0.900 |",
    ]


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.skipif(not find_spec("numba"), reason="Numba's tier is raced")
def test_a_slower_one_is_found_among_real_ones():
    """This very package against itself, and against itself with one measure that takes longer."""
    import minembed

    site = Path(minembed.__file__).parents[1]
    runners = [history.Runner(site, "all-MiniLM-L6-v2", slow) for slow in ("{}", "{}", '{"tokens": 1.0}')]
    try:
        assert history.verdict(*runners[:2], laps=7)[1] == []
        assert history.verdict(runners[0], runners[2], laps=5)[1] == ["tokens"]
    finally:
        for runner in runners:
            runner.close()
