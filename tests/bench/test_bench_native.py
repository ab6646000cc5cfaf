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
    """A backend whose laps take so long."""

    def __init__(self, log, name, digest, seconds):
        self.log, self.name, self.digest, self.seconds = log, name, digest, seconds

    def ask(self, task, module, *arguments):
        self.log.append(self.name)
        return self.digest, self.seconds, 2 * self.seconds


def cell_of(measuring, seconds=(0.5, 0.25, 0.5, 0.25), digests="aaaa"):
    """A cell of two processes of each backend, in the order of PROCESSES."""
    log = []
    workers = {
        name: Fake(log, name, *about) for name, *about in zip(measuring.PROCESSES, digests, seconds, strict=True)
    }
    return measuring.compare(workers, "encode", []), log


def test_processes_take_turns_after_all_have_answered(measuring):
    cell, log = cell_of(measuring)
    assert log[:4] == measuring.PROCESSES and cell["laps"] == measuring.LAPS == 5
    assert all(set(log[i : i + 4]) == set(measuring.PROCESSES) for i in range(0, len(log), 4))
    assert log[4:8] == log[8:12][::-1]  # nobody always runs last
    assert cell["ratio"] == cell["cpu_ratio"] == 0.5 and cell["same_bits"]  # native takes twice as long
    assert (cell["native_s"], cell["numba_s"], cell["native_cpu_s"]) == (0.5, 0.25, 1.0)
    assert cell_of(measuring, (9.0,) * 4)[0]["laps"] == measuring.FEWEST
    assert not cell_of(measuring, digests="abaa")[0]["same_bits"]


def test_how_far_processes_of_one_backend_are_apart(measuring):
    assert cell_of(measuring)[0]["apart"] == 1
    cell = cell_of(measuring, (1.0, 1.0, 1.2, 1.1))[0]
    assert cell["apart"] == cell["cpu_apart"] == 1.2 and cell["ratio"] == 0.955


def test_the_answer_and_both_clocks(measuring):
    first, wall, cpu = measuring.timed([lambda: (np.float32([1]),), lambda: (np.float32([2]), np.int64([3]))])
    assert wall >= 0 and cpu >= 0 and len(first) == 64
    assert first == measuring.timed([lambda: (np.float32([1, 2]), np.int64([3]))])[0]
    assert first != measuring.timed([lambda: (np.float32([1, 2]), np.int64([4]))])[0]


def test_the_report(measuring):
    import report_native

    good, bad = cell_of(measuring, (1.0,) * 4)[0], cell_of(measuring, (1.0, 0.96, 1.0, 0.96), "abaa")[0]
    unclear = cell_of(measuring, (1.0, 1.0, 1.1, 1.0))[0]
    result = {
        "encode": {"int8": {"short": good, "mixed": bad, "single": bad}},
        "topk": {"100000": {"float32, 1 x 10": unclear}, "1000000": {"float32, 1 x 10": bad}},
        "settings": {"threads": 2, "laps": 7, "texts": {"short": 1200}},
        "machine": {"cpu": "?", "usable_cores": 2, "cores": 2, "memory_gb": 1, "system": "?", "python": "?"},
        "date": "2026-11-30",
        "commit": {"id": "0123456789", "changed": False},
    }
    text = report_native.native(result, {})
    assert "| int8 | 1.00, 1.00 (0%) | 0.96, **0.96** (0%) | 0.96, 0.96 (0%) |" in text  # single texts may be slower
    assert "| float32, 1 x 10 | 0.95, **0.95** (10%) | 0.96, **0.96** (0%) |" in text
    assert "they differ in 3 of 5 cells" in text and "1,200 short" in text and "100,000 rows" in text
    assert "3 of 5 cells miss their target by CPU time, 2 of them by more" in text
