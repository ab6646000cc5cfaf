"""The measuring instruments themselves: no peer is needed and nothing is timed."""

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"
MODULES = ("environment", "harness", "machine", "memory", "report", "svg", "workloads", "peers", "peers.onnx_graph")


@pytest.fixture(scope="module")
def bench():
    """The modules of bench/, which is no package: its folder (not the repository's root) is on the path meanwhile."""
    sys.path.insert(0, str(BENCH))
    try:
        yield SimpleNamespace(**{name.rpartition(".")[2]: importlib.import_module(name) for name in MODULES})
    finally:
        sys.path.remove(str(BENCH))
        for name, module in list(sys.modules.items()):
            if BENCH in Path(getattr(module, "__file__", None) or "/").parents:
                del sys.modules[name]


# --- no number for a wrong answer ------------------------------------------------------------------------------------


def test_compare_measures_difference_and_cosine(bench):
    found = bench.harness.compare(np.float32([[1.0, 0.0], [0.0, 1.0]]), np.float32([[1.0, 0.0], [0.0, 0.5]]), 0.5)
    assert found == bench.harness.Agreement(max_abs_diff=0.5, min_cosine=1.0)


@pytest.mark.parametrize("wrong", [[[1.0, 1e-3]], [[float("nan"), 0.0]], [[1.0, 0.0, 0.0]], [[1.0, 0.0]] * 2])
def test_compare_refuses_wrong_vectors(bench, wrong):
    with pytest.raises(bench.harness.WrongAnswer):
        bench.harness.compare(np.float32(wrong), np.float32([[1.0, 0.0]]), 1e-6)


def test_a_contestant_with_a_wrong_answer_gets_no_time(bench, capsys):
    encode = importlib.import_module("bench_encode")
    right = np.eye(3, dtype=np.float32)
    answers = {"sentence-transformers": right, "onnxruntime-32": right, "minembed": right[::-1]}
    rows, truth = encode.check(answers)
    assert truth == "sentence-transformers"
    assert "max |difference| 1 " in rows["minembed"]["refused"]
    assert rows["onnxruntime-32"] == {"max_abs_diff": 0.0, "min_cosine": 1.0}


class FakeWorker:
    """Answers what a worker would, with the vectors it is given and laps of its own length."""

    def __init__(self, bench, vectors, seconds):
        self.bench, self.vectors, self.seconds = bench, vectors, seconds

    def ask(self, task, *arguments):
        return {"give": None, "vectors": self.vectors, "peak": 100.0}[task]

    def lap(self, workload):
        return self.bench.harness.Lap(self.seconds)


def test_contest_times_only_those_that_are_right(bench, capsys):
    encode = importlib.import_module("bench_encode")
    work = bench.workloads.Workload("long", ("a", "b"))
    right, lengths = np.eye(2, dtype=np.float32), np.array([[3], [5]])
    workers = {
        "minembed": FakeWorker(bench, right, 2.0),
        "onnxruntime-32": FakeWorker(bench, right, 5.0),
        "onnxruntime-64": FakeWorker(bench, -right, 1.0),
        "tokenizers": FakeWorker(bench, lengths, 0.1),
    }
    about, rows = encode.contest(work, workers, argparse.Namespace(laps=3, settle=0.0))
    assert (about["tokens"], about["most"], about["checked_by"]) == (8, 5, "onnxruntime-32")
    assert rows["onnxruntime-32"]["ratio"] == 2.5 and rows["minembed"]["ratio"] == 1.0
    assert list(rows["onnxruntime-64"]) == ["refused"]


# --- the arithmetic --------------------------------------------------------------------------------------------------


def test_contestants_take_turns_and_the_first_moves_on(bench):
    order = []

    def runner(name):
        return lambda: order.append(name) or bench.harness.Lap(1.0)

    laps = bench.harness.race({name: runner(name) for name in "abc"}, laps=3)
    assert "".join(order) == "abcbcacab"
    assert {name: len(found) for name, found in laps.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratio_above_one_means_that_the_baseline_is_faster(bench):
    slow = [bench.harness.Lap(seconds, 0.5) for seconds in (3.0, 9.0, 4.0)]
    fast = [bench.harness.Lap(seconds) for seconds in (2.0, 1.0, 8.0)]
    row = bench.harness.summarise(slow, fast, texts=8, tokens=80)
    assert (row["median_s"], row["best_s"], row["ratio"], row["ratio_of_best"]) == (4.0, 3.0, 2.0, 3.0)
    assert (row["texts_per_s"], row["tokens_per_s"], row["disturbance"]) == (2.0, 20.0, 0.5)
    assert bench.harness.summarise(fast, None, 8, 80)["ratio"] is None


def test_a_partly_fused_graph_is_refused(bench):
    whole = {"Attention": 6, "BiasGelu": 6, "SkipLayerNormalization": 12, "LayerNormalization": 0}
    bench.onnx_graph.check_fusions(whole, layers=6)
    with pytest.raises(bench.onnx_graph.NotFused, match="BiasGelu"):
        bench.onnx_graph.check_fusions({**whole, "BiasGelu": 5}, layers=6)


def test_messages_on_record_name_no_folder(bench):
    message = "cannot read '/home/somebody/model/config.json' or C:\\models\\config.json, see bench/.work/logs/a.log"
    said = str(bench.harness.Failed(message))
    assert said == "cannot read 'config.json' or config.json, see bench/.work/logs/a.log"


# --- the texts -------------------------------------------------------------------------------------------------------


def test_texts_are_the_same_everywhere(bench):
    made = {work.name: work for work in (bench.workloads.short(), bench.workloads.mixed(), bench.workloads.long())}
    assert {name: len(work.texts) for name, work in made.items()} == {"short": 2500, "mixed": 512, "long": 160}
    assert len(set(made["short"].texts)) == 2500
    assert all(len(text.split()) == 260 for text in made["long"].texts)
    # A change here makes all earlier results incomparable: measure again and write a new report.
    assert {name: work.digest[:12] for name, work in made.items()} == DIGESTS


DIGESTS = {"short": "ec3544edd334", "mixed": "afe4c8c5e977", "long": "f04088a0dc04"}


def test_short_texts_can_come_from_a_file(bench, tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text('sentence1,sentence2,score\n"One, two.",Three.,4\nThree.,Four.,1\n', encoding="utf-8")
    assert bench.workloads.from_pairs(pairs).texts == ("One, two.", "Three.", "Four.")
    lines = tmp_path / "lines.txt"
    lines.write_text("One.\n\nTwo.\nOne.\n", encoding="utf-8")
    work = bench.workloads.from_lines(lines)
    assert (work.texts, work.source) == (("One.", "Two."), "lines.txt")


# --- the report ------------------------------------------------------------------------------------------------------


def head(benchmark):
    return {
        "benchmark": benchmark,
        "date": "2026-01-02 03:04 UTC",
        "commit": {"id": "0123456789abcdef", "changed": False},
        "machine": {
            "cpu": "A <fast> CPU & more",
            "architecture": "x86_64",
            "cores": 4,
            "usable_cores": 2,
            "memory_gb": 8.0,
            "system": "Linux 6",
            "python": "CPython 3.12.0",
        },
        "settings": {"threads": 2, "laps": 5, "settle_s": 0.3, "runs": 15},
        "model": {"name": "tiny", "weights_sha256": "0" * 64, "max_tokens": 256},
    }


def row(seconds, ratio, disturbance=0.0):
    return {
        "laps_s": [seconds],
        "median_s": seconds,
        "best_s": seconds,
        "texts_per_s": 512 / seconds,
        "tokens_per_s": 40000 / seconds,
        "ratio": ratio,
        "ratio_of_best": ratio,
        "disturbance": disturbance,
        "peak_mb": 200.0,
        "max_abs_diff": 1e-7,
        "min_cosine": 1.0,
    }


@pytest.fixture
def results():
    rows = {
        "minembed": row(6.0, 1.0),
        "onnxruntime-32": row(6.6, 1.1),
        "onnxruntime-64": row(5.1, 0.85),
        "onnxruntime-arrival": row(9.0, 1.5, disturbance=0.4),
        "sentence-transformers": {"refused": "max |difference| 1 is above 2e-06"},
    }
    work = {"source": "generated", "texts": 512, "tokens": 40000, "mean_tokens": 78.1, "most": 256}
    pools = [{"user_api": "blas", "internal_api": "openblas", "version": "0.3", "architecture": "Zen"}]
    start = {
        "runs": 15,
        "median_s": 0.4,
        "best_s": 0.38,
        "parts_s": {"interpreter": 0.03, "load": 0.2},
        "peak_mb": 140.0,
    }
    return {
        "encode": {
            **head("encode"),
            "contestants": {
                "minembed": {"title": "minembed", "versions": {"numpy": "2.0"}, "pools": pools},
                "onnxruntime-32": {"title": "ONNX Runtime", "versions": {"onnxruntime": "1.0"}},
                "sentence-transformers": {"title": "sentence-transformers", "absent": "No module named 'torch'"},
            },
            "workloads": {"mixed": work},
            "results": {"mixed": rows},
        },
        "coldstart": {
            **head("coldstart"),
            "contestants": {"minembed": start, "onnxruntime": {**start, "peak_mb": 200.0}},
            "imports": {"median_s": {"numpy": 0.1, "minembed": 0.14}, "ratio": 1.4},
        },
        "stream": {
            **head("stream"),
            "texts": 100000,
            "seconds": 200.0,
            "texts_per_s": 500.0,
            "loaded_mb": 140.0,
            "peak_mb": 190.0,
            "resident_mb": [[0.0, 140.0], [2.0, 188.0], [4.0, 170.0]],
            "max_abs_diff": 0.0,
        },
    }


def test_report_says_who_wins_and_who_was_absent(bench, results):
    text, _ = bench.report.render(results)
    assert "slower (0.85 times the speed) than ONNX Runtime, sorted, 64" in text  # the better of the two batch sizes
    assert "1.50 times as fast as ONNX Runtime, arrival order" in text
    assert "sentence-transformers: absent, No module named 'torch'" in text
    assert "refused: max |difference| 1" in text
    assert text.count("in use by others") == 2  # beside its table, and beside the targets


def test_report_holds_the_targets_against_the_figures(bench, results):
    lines = [line for line in bench.report.targets(results).splitlines() if line.startswith("|")][2:]
    assert [line.rstrip("| ").rpartition("| ")[2] for line in lines] == [
        "**missed**",
        "held",
        "**missed**",
        "held",
        "held",
        "held",
    ]


def test_report_renders_whatever_there_is(bench, results):
    for names in ((), ("encode",), ("coldstart",), ("stream",)):
        text, plots = bench.report.render({name: results[name] for name in names})
        assert text.count("Not measured yet") == 3 - len(names)
        assert all(f"results/{name}" in text for name in plots)


def test_plots_are_well_formed_and_nothing_overlaps(bench, results):
    _, plots = bench.report.render(results)
    assert sorted(plots) == ["coldstart.svg", "encode.svg", "memory.svg", "stream.svg"]
    for plot in plots.values():
        root = ElementTree.fromstring(plot)
        width, height = map(float, root.attrib["viewBox"].split()[2:])
        boxes = [box for box in map(text_box, root.iter("{http://www.w3.org/2000/svg}text"))]
        assert all(0 <= left and right <= width and bottom <= height for left, _, right, bottom in boxes)
        assert not [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if overlap(a, b)]


def text_box(element):
    """Where a text is drawn, with 7 units a letter (the plots reserve 7.4): left, top, right, bottom."""
    size, x, y = 7 * len(element.text), float(element.attrib["x"]), float(element.attrib["y"])
    left = {"start": x, "middle": x - size / 2, "end": x - size}[element.attrib["text-anchor"]]
    return left, y - 10, left + size, y + 3


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def test_report_command_writes_its_files(bench, results, tmp_path, capsys):
    (tmp_path / "results").mkdir()
    for name, content in results.items():
        (tmp_path / "results" / f"{name}.json").write_text(bench.harness.to_json(content), encoding="utf-8")
    assert json.loads((tmp_path / "results" / "stream.json").read_text(encoding="utf-8")) == results["stream"]
    assert bench.report.run(argparse.Namespace(out=tmp_path)) == 0
    assert (tmp_path / "REPORT.md").read_text(encoding="utf-8") == bench.report.render(results)[0]
    assert len(list((tmp_path / "results").glob("*.svg"))) == 4


def test_committed_results_hold_no_path_of_a_machine(bench):
    for path in [*(BENCH / "results").glob("*.json"), BENCH / "REPORT.md"]:
        if path.exists():
            text = path.read_text(encoding="utf-8")
            assert not [word for word in ("/home/", "/root/", "/Users/", "/tmp/", "\\Users\\") if word in text], path


def test_memory_is_read(bench):
    before = bench.memory.peak_mb()
    assert before is None or before > 1  # a Python process with NumPy has more than a megabyte
