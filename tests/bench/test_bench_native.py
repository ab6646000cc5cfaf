"""Native kernels beside Numba's: turns, ratios, and bits that differ; no backend is needed and nothing is timed."""

import sys

import numpy as np
import pytest
from places import ROOT


@pytest.fixture
def measuring(bench, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "bench"))
    import bench_native

    monkeypatch.setattr(bench_native, "SETTLE", 0.0)
    yield bench_native
    for name in ("bench_native", "bench_topk", "report_native", "search_peers"):
        sys.modules.pop(name, None)


class Fake:
    """A process whose laps take so long, by backend."""

    def __init__(self, log, name, digests, seconds):
        self.log, self.name, self.digests, self.seconds = log, name, digests, seconds

    def ask(self, task, module, what, backend, arguments):
        self.log.append((self.name, backend))
        return self.digests[backend], self.seconds[backend], 2 * self.seconds[backend]


def cell_of(measuring, *seconds, digests="aaaa"):
    """A cell of two processes, each with its seconds of native kernels and of Numba's."""
    log, workers = [], []
    for number, pair in enumerate(seconds or ((0.5, 0.25), (0.5, 0.25))):
        own = dict(zip(measuring.BACKENDS, digests[2 * number :], strict=False))
        workers.append(Fake(log, number, own, dict(zip(measuring.BACKENDS, pair, strict=True))))
    return measuring.compare(workers, "encode", []), log


def test_backends_take_turns_in_each_process(measuring):
    cell, log = cell_of(measuring)
    assert {backend for _, backend in log[:2]} == set(measuring.BACKENDS)  # the warm-up
    laps = [backend for name, backend in log if name == 0][2:]
    assert len(laps) == 2 * measuring.PAIRS and cell["pairs"] == 2 * measuring.PAIRS
    assert laps[:4] == ["native", "numba", "numba", "native"]  # nobody always runs first
    assert cell["ratio"] == cell["cpu_ratio"] == 0.5 and cell["same_bits"]  # native takes twice as long
    assert (cell["native_s"], cell["numba_s"], cell["native_cpu_s"]) == (0.5, 0.25, 1.0)
    assert not cell_of(measuring, digests="abaa")[0]["same_bits"]
    assert not cell_of(measuring, digests="aabb")[0]["same_bits"]


def test_long_laps_have_fewer_pairs(measuring, monkeypatch):
    monkeypatch.setattr(measuring, "BUDGET", 0.0)
    assert cell_of(measuring)[0]["pairs"] == 2 * measuring.FEWEST


def test_a_lap_that_others_disturb_does_not_count(measuring):
    pairs = [((1.0, 2.0), (1.0, 2.0))] * 3 + [((9.0, 18.0), (1.0, 2.0))]
    assert measuring.ratio(pairs, 0) == measuring.ratio(pairs, 1) == 1


def test_both_processes_are_told(measuring):
    cell = cell_of(measuring, (1.0, 1.0), (1.0, 0.9))[0]
    assert cell["ratios"] == cell["cpu_ratios"] == [1.0, 0.9] and cell["cpu_ratio"] == 0.95


def test_the_answer_and_both_clocks(measuring):
    first, wall, cpu = measuring.timed([lambda: (np.float32([1]),), lambda: (np.float32([2]), np.int64([3]))])
    assert wall >= 0 and cpu >= 0 and len(first) == 64
    assert first == measuring.timed([lambda: (np.float32([1, 2]), np.int64([3]))])[0]
    assert first != measuring.timed([lambda: (np.float32([1, 2]), np.int64([4]))])[0]


def test_the_report(measuring):
    import report_native

    good, bad = cell_of(measuring, (1.0, 1.0), (1.0, 1.0))[0], cell_of(measuring, *[(1.0, 0.96)] * 2, digests="abaa")[0]
    unclear = cell_of(measuring, (1.0, 1.0), (1.0, 0.9))[0]
    result = {
        "encode": {"int8": {"short": good, "mixed": bad, "single": bad}},
        "topk": {"100000": {"float32, 1 x 10": unclear}, "1000000": {"float32, 1 x 10": bad}},
        "settings": {"threads": 2, "pairs": 12, "fewest": 4, "texts": {"short": 1200}},
        "machine": {"cpu": "?", "usable_cores": 2, "cores": 2, "memory_gb": 1, "system": "?", "python": "?"},
        "date": "2026-11-30",
        "commit": {"id": "0123456789", "changed": False},
    }
    text = report_native.native(result, {})
    assert "| int8 | 1.00, 1.00 (0%) | 0.96, **0.96** (0%) | 0.96, 0.96 (0%) |" in text  # single texts may be slower
    assert "| float32, 1 x 10 | 0.95, **0.95** (11%) | 0.96, **0.96** (0%) |" in text
    assert "they differ in 3 of 5 cells" in text and "1,200 short" in text and "100,000 rows" in text
    assert "3 of 5 cells miss their target by CPU time, 2 of them in both processes" in text
