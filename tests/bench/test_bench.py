"""The measuring instruments themselves: no peer is needed and nothing is timed."""

import argparse
import json
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from places import ROOT

BENCH = ROOT / "bench"


# --- no number for a wrong answer ------------------------------------------------------------------------------------


def test_compare_measures_difference_and_cosine(bench):
    ours, theirs = np.float32([[1.0, 0.0], [0.6, 0.8]]), np.float32([[1.0, 0.0], [0.0, 0.5]])
    found = bench.harness.compare(ours, theirs, bench.peers.Limit(max_abs_diff=0.7))
    assert found.max_abs_diff == pytest.approx(0.6)
    assert (found.mean_cosine, found.min_cosine) == (pytest.approx(0.9), pytest.approx(0.8))


@pytest.mark.parametrize("limit", ["FLOAT32", "ROUNDED"])
@pytest.mark.parametrize("wrong", [[[1.0, 0.3]], [[float("nan"), 0.0]], [[1.0, 0.0, 0.0]], [[1.0, 0.0]] * 2])
def test_compare_refuses_wrong_vectors(bench, wrong, limit):
    with pytest.raises(bench.harness.WrongAnswer):
        bench.harness.compare(np.float32(wrong), np.float32([[1.0, 0.0]]), getattr(bench.peers, limit))


def test_rounded_vectors_may_be_further_away_than_float32_ones(bench):
    near, reference = np.float32([[1.0, 1e-3]]), np.float32([[1.0, 0.0]])
    assert bench.harness.compare(near, reference, bench.peers.ROUNDED).max_abs_diff == np.float32(1e-3)
    with pytest.raises(bench.harness.WrongAnswer, match="above 2e-06"):
        bench.harness.compare(near, reference, bench.peers.FLOAT32)


def test_a_contestant_with_a_wrong_answer_gets_no_time(bench, capsys):
    encode = bench.bench_encode
    right = np.eye(3, dtype=np.float32)
    answers = {"sentence-transformers": right, "openvino-int8": right, "minembed-float32": right[::-1]}
    rows, truth = encode.check(
        answers, bench.workloads.Workload("short", ("a", "b", "c"), pairs=((0, 0, 5.0), (0, 1, 0.5)))
    )
    assert truth == "sentence-transformers"
    assert "max |difference| 1 " in rows["minembed-float32"]["refused"]
    assert rows["openvino-int8"] == {"max_abs_diff": 0.0, "mean_cosine": 1.0, "min_cosine": 1.0, "spearman": 100.0}


class FakeWorker:
    """Answers what a worker would, with the vectors it is given and laps of its own length."""

    def __init__(self, bench, vectors, seconds):
        self.bench, self.vectors, self.seconds = bench, vectors, seconds

    def ask(self, task, *arguments):
        return {"give": None, "vectors": self.vectors, "peak": 100.0}[task]

    def lap(self, workload):
        return self.bench.harness.Lap(self.seconds)


def test_contest_times_only_those_that_are_right(bench, capsys):
    encode = bench.bench_encode
    work = bench.workloads.Workload("long", ("a", "b"))
    right, lengths = np.eye(2, dtype=np.float32), np.array([[3], [5]])
    workers = {
        "minembed-float32": FakeWorker(bench, right, 2.0),
        "minembed-int8": FakeWorker(bench, right, 1.0),
        "onnxruntime-float32": FakeWorker(bench, right, 5.0),
        "openvino-float32": FakeWorker(bench, -right, 1.0),
        "openvino-int8": FakeWorker(bench, right, 4.0),
        "tokenizers": FakeWorker(bench, lengths, 0.1),
    }
    about, rows = encode.contest(work, workers, argparse.Namespace(laps=3, settle=0.0, budget=9.0))
    assert (about["tokens"], about["most"], about["checked_by"]) == (8, 5, "onnxruntime-float32")
    assert rows["onnxruntime-float32"]["ratio"] == 2.5 and rows["minembed-float32"]["ratio"] == 1.0
    assert rows["openvino-int8"]["ratio"] == 4.0  # over minembed in the same precision
    assert list(rows["openvino-float32"]) == ["refused"]


def test_single_texts_count_as_one(bench, capsys):
    encode = bench.bench_encode
    work = bench.workloads.single(bench.workloads.short())
    vectors, lengths = np.ones((220, 2), np.float32), np.full((220, 1), 12)
    workers = {"onnxruntime-float32": FakeWorker(bench, vectors, 0.5), "tokenizers": FakeWorker(bench, lengths, 0.1)}
    _, rows = encode.contest(work, workers, argparse.Namespace(laps=1, settle=0.0, budget=9.0))
    assert (rows["onnxruntime-float32"]["texts_per_s"], rows["onnxruntime-float32"]["tokens_per_s"]) == (2.0, 24.0)


class Recorder:
    """A peer that notes how it was called."""

    libraries = ()

    def __init__(self):
        self.calls = []

    def encode(self, texts):
        self.calls.append(len(texts))
        return np.ones((len(texts), 2), np.float32)


def test_a_worker_gives_single_texts_one_at_a_time(bench):
    servant = bench.worker.Servant()
    servant.peer = Recorder()
    texts = [f"text {number}" for number in range(30)]
    servant.give("single", texts, True)
    assert servant.vectors("single").shape == (30, 2) and servant.lap("single") > 0
    assert servant.peer.calls == [1] * 60
    servant.give("short", texts, False)
    servant.warm_up("short")
    servant.lap("short")
    assert servant.peer.calls[60:] == [4, 30]


# --- settings --------------------------------------------------------------------------------------------------------


def test_peers_get_their_best_setting_and_minembed_its_defaults(bench):
    peers = bench.peers.CONTESTANTS
    stages = {work: peers["openvino-int8"].stages(work, 2) for work in bench.peers.WORKLOADS}
    assert {work: list(map(len, found)) for work, found in stages.items()} == {
        "short": [4, 4, 2],  # streams and shapes, then batches, then precisions
        "mixed": [4, 4, 2],
        "long": [4, 4, 2],
        "arrival": [4, 2],
        "single": [4, 2],
    }
    arrival = peers["ctranslate2-int8"].stages("arrival", 2)
    assert all(not setting["sort"] and setting["batch"] == 32 for stage in arrival for setting in stage)
    assert all(peers[name].stages("mixed", 2) == [[peers[name].options]] for name in bench.peers.OURS.values())
    (combined, _) = peers["onnxruntime-float32"].stages("mixed", 1)
    assert {setting["streams"] for setting in combined} == {1}


class HeatWorker:
    """A worker whose laps take what its setting says."""

    def __init__(self, name, threads):
        self.process = SimpleNamespace(poll=lambda: None)

    def ask(self, task, *arguments):
        if task == "load":
            self.setting = arguments[-1]

    def lap(self, workload):
        if self.setting["batch"] == 64:
            raise self.failed("out of memory")
        best = {"batch": 16, "streams": 2, "shapes": "fixed", "hint": "bfloat16"}
        return SimpleNamespace(seconds=1 + sum(self.setting[name] != value for name, value in best.items()))

    def close(self):
        pass


def test_the_fastest_setting_races_and_the_others_stay_on_record(bench, monkeypatch):
    monkeypatch.setattr(bench.heats, "Worker", HeatWorker)
    monkeypatch.setattr(HeatWorker, "failed", bench.harness.Failed, raising=False)
    who, work = bench.peers.CONTESTANTS["openvino-int8"], bench.workloads.Workload("mixed", ("a",))
    model = bench.harness.Model(Path("model"))
    found = bench.heats.choose(who, "x", work, model, argparse.Namespace(threads=2, heats=1))
    assert found["setting"] == {
        "graph": "int8", "sort": True, "batch": 16, "streams": 2, "shapes": "fixed", "hint": "bfloat16"
    }  # fmt: skip
    assert [heat["seconds"] is None for heat in found["heats"]].count(True) == 1 and len(found["heats"]) == 4 + 3 + 1
    earlier = {"results": {"mixed": {"x": found | {"median_s": 1.0}}}}
    assert bench.heats.known("x", "mixed", earlier) == found
    assert bench.heats.known("x", "long", earlier) is None


def test_who_takes_long_makes_do_with_three_laps(bench):
    seconds = {"slow": 5.0, "quick": 1.0}
    runners = {name: lambda name=name: bench.harness.Lap(seconds[name]) for name in seconds}
    laps = bench.harness.race(runners, laps=5, budget=8.0)
    assert {name: len(found) for name, found in laps.items()} == {"slow": 3, "quick": 5}


def test_the_closest_race_alone(bench):
    encode, everybody = bench.bench_encode, argparse.Namespace(closest=False, contestants=None)
    few = argparse.Namespace(closest=True, contestants=None)
    assert all(encode.wanted(name, everybody) for name in encode.TABLE)
    assert not encode.wanted("minembed-numpy", few) and encode.wanted("tokenizers", few)
    assert encode.takes_part("onnxruntime-float32", "single", few)
    assert not encode.takes_part("onnxruntime-float32", "short", few)
    assert encode.takes_part("onnxruntime-float32", "short", everybody)


def test_a_pipeline_puts_vectors_back_in_order(bench, monkeypatch):
    class Lengths(bench.pipeline.Pipeline):
        def tokenise(self, texts):
            return [[1] * len(text) for text in texts]

        def run(self, ids):
            padded, mask = bench.pipeline.pad(ids)
            assert padded.shape == mask.shape == (len(ids), max(map(len, ids)))
            return mask.sum(axis=1, keepdims=True).astype(np.float32)

    monkeypatch.setattr(bench.pipeline, "load_tokenizer", lambda folder: None)
    texts = ["a" * (1 + number * 7 % 11) for number in range(11)]
    for options in ({"batch": 2}, {"batch": 3, "sort": False}, {"batch": 2, "streams": 2}, {}):
        vectors = Lengths(Path(), 2, options).encode(texts)
        assert vectors[:, 0].tolist() == [len(text) for text in texts]


def test_what_was_converted_is_kept_until_its_origin_changes(bench, tmp_path):
    made, target = [], tmp_path / "graph.onnx"

    def make():
        made.append(target.write_text("graph"))
        return {"nodes": 3}

    for origin in ("a", "a", "b"):
        found = bench.prepared.ensure(target, {"weights": origin}, ("numpy",), make)
        assert found == {"weights": origin, "numpy": np.__version__, "nodes": 3}
    assert len(made) == 2


@pytest.mark.slow
def test_calibration_texts_are_varied_and_repeatable(bench, monkeypatch):
    prose = []  # which takes seconds to find: the standard library is read once
    found = bench.calibration.docstrings
    monkeypatch.setattr(bench.calibration, "docstrings", lambda files: prose or prose.extend(found(files)) or prose)
    texts = bench.calibration.texts()
    assert texts == bench.calibration.texts() and len(set(texts)) == 300
    lengths = sorted(len(text.split()) for text in texts)
    assert lengths[0] >= 5 and lengths[-1] <= 150 and 40 < np.mean(lengths) < 100


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
    assert (row["p10_s"], row["p25_s"], row["ratio_of_p25"]) == (3.2, 3.5, 2.333)
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


def test_settings_are_chosen_by_runs_of_texts_of_like_length(bench):
    short, mixed = bench.workloads.short(), bench.workloads.mixed()
    for work in (short, mixed):
        part, lengths = work.sample(), sorted(map(len, work.texts), reverse=True)
        assert set(part.texts) <= set(work.texts) and 0.3 < len(part.texts) / len(work.texts) < 0.4
        for start in range(0, len(part.texts) - 64, 64):  # each batch of 64 is as even as one of the whole
            assert list(map(len, part.texts[start : start + 64])) == lengths[3 * start : 3 * start + 64]
    assert bench.workloads.arrival().sample().texts == mixed.texts[:160]
    assert len(bench.workloads.long().sample().texts) == 64
    assert bench.workloads.single(short).sample() == bench.workloads.single(short)


def test_short_texts_can_come_from_a_file(bench, tmp_path):
    pairs = tmp_path / "pairs.csv"
    pairs.write_text('sentence1,sentence2,score\n"One, two.",Three.,4\nThree.,Four.,1\n', encoding="utf-8")
    work = bench.workloads.from_pairs(pairs)
    assert (work.texts, work.pairs) == (("One, two.", "Three.", "Four."), ((0, 1, 4.0), (1, 2, 1.0)))
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
        "settings": {"threads": 2, "laps": 5, "heats": 1, "settle_s": 0.3, "runs": 15},
        "model": {"name": "tiny", "weights_sha256": "0" * 64, "max_tokens": 256},
    }


def row(seconds, ratio, disturbance=0.0, cosine=1.0):
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
        "mean_cosine": cosine,
        "min_cosine": cosine,
        "setting": {"batch": 32, "streams": 2},
        "heats": [
            {"setting": {"batch": 32, "streams": 2}, "seconds": seconds},
            {"setting": {"batch": 64}, "seconds": None},
        ],
    }


def encode_results():
    rows = {
        "minembed-float32": row(6.0, 1.0),
        "minembed-int8": row(2.0, 1.0, cosine=0.9994),
        "minembed-numpy": row(9.0, 1.5),
        "onnxruntime-float32": row(9.0, 1.5, disturbance=0.4),
        "openvino-float32": row(6.6, 1.1),
        "ctranslate2-int8": row(5.0, 2.5, cosine=0.996),
        "openvino-int8": row(1.7, 0.85, cosine=0.997),
        "sentence-transformers": {"refused": "max |difference| 1 is above 2e-06"},
    }
    work = {"source": "generated", "texts": 512, "tokens": 40000, "mean_tokens": 78.1, "most": 256}
    pools = [{"user_api": "blas", "internal_api": "openblas", "version": "0.3", "architecture": "Zen"}]
    return {
        **head("encode"),
        "contestants": {
            "minembed-numpy": {"title": "minembed", "versions": {"numpy": "2.0"}, "pools": pools},
            "sentence-transformers": {"title": "sentence-transformers", "absent": "No module named 'torch'"},
        },
        "workloads": {"mixed": work, "single": work},
        "results": {"mixed": rows, "single": {"minembed-int8": row(0.002, 1.0), "openvino-int8": row(0.004, 2.0)}},
    }


def kernel_results():
    product = {"rows": 37, "product": "qkv", "shape": [384, 1152], "rate": 250.0, "rate_with_encoding": 240.0}
    linear = {"products": [product], "shares": {"37": 0.9, "37 with encoding": 0.8}}
    return {
        **head("kernels"),
        "target": "AVX-512",
        "tile": [14, 2],
        "peaks": {
            "float32": {"peak": 270.0, "by_rows": {"1": 80.0}},
            "int8": {"peak": 1000.0, "by_rows": {"1": 400.0}},
        },
        "linear": {"float32": linear, "int8": {**linear, "shares": {"37": 0.7, "37 with encoding": 0.6}}},
        "attention": {"float32": {"16": {"us_per_token": 1.0, "rate": 20.0}}},
    }


@pytest.fixture
def results():
    start = {
        "runs": 15,
        "median_s": 0.4,
        "best_s": 0.38,
        "parts_s": {"interpreter": 0.03, "load": 0.2},
        "peak_mb": 140.0,
    }
    growing = {"1": {"8": 9000.0, "512": 8000.0}, "2": {"8": 18000.0, "512": 15000.0}}
    return {
        "encode": encode_results(),
        "kernels": kernel_results(),
        "growth": {
            **head("growth"),
            "lengths": [8, 512],
            "tokens": 8192,
            "tokens_per_s": {"float32": growing, "int8": growing},
        },
        "coldstart": {
            **head("coldstart"),
            "contestants": {
                "minembed-numpy": start,
                "minembed-int8": {**start, "median_s": 1.4, "peak_mb": 220.0},
                "onnxruntime-float32": {**start, "peak_mb": 200.0},
            },
            "numba_mb": 165.0,
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
    text, _ = bench.report.render({"here": results})
    assert "1.10 times as fast as OpenVINO, float32; slower (0.85 times the speed) than OpenVINO, int8" in text
    assert "sentence-transformers, torch: absent, No module named 'torch'" in text
    assert "refused: max |difference| 1" in text
    assert "batch 32, 2 at a time 6.6000; batch 64 failed" in text  # what was tried stays listed
    assert text.count("Others used the machine") == 2  # beside its table, and beside the targets


def test_report_holds_the_targets_against_the_figures(bench, results):
    text = bench.report_targets.targets({"here": results}, results)
    speed = next(line for line in text.splitlines() if line.startswith("| mixed"))
    assert speed.split(" | ")[1:] == [
        "1.10 (≥ 1.35) over OpenVINO: **missed**",
        "not measured (≥ 1.3)",
        "0.85 (≥ 1.7) over OpenVINO: **missed** |",
    ]
    assert "| single | not measured (≥ 1.2) | not measured (≥ 1.3) | 2.00 (≥ 1.3) over OpenVINO: met |" in text
    said = dict(
        re.findall(r"\| (.*?) \| [^|]* \| [^|]* \| ?(met|\*\*missed\*\*|) \|", text.partition("Other targets")[2])
    )
    assert said["float32: linear layers' share of peak"] == "met"
    assert said["int8: linear layers' share of peak"] == "**missed**"
    assert said["int8: memory above NumPy and Numba at the first vector"] == "met"
    assert said["kernels, compiled before: start of the process to the first vector"] == "**missed**"
    assert said["int8: mean cosine"] == ""  # only of the short texts, which were not measured


def test_report_renders_whatever_there_is(bench, results):
    for names in ((), *((name,) for name in results)):
        text, plots = bench.report.render({"here": {name: results[name] for name in names}})
        assert text.count("Not measured yet") == len(bench.report.SECTIONS) - len(names)
        assert all(f"results/{name}" in text for name in plots)


def test_the_report_tells_what_tile_units_could_do(bench, results):
    results["kernels"]["tile_peaks"] = {"bfloat16": 3000.0, "int8": 6000.0}
    text, _ = bench.report.render({"here": results})
    assert "nothing loaded in the loop: 6,000 Gop/s in int8 (6.0 times the register tile's)." in text


def test_the_report_tells_where_a_start_takes_longer(bench, results):
    """Beside ONNX Runtime's, part by part; nothing is said without both."""
    cold = results["coldstart"]
    assert "longer than ONNX Runtime" not in bench.report.coldstart(cold, {})
    theirs = cold["contestants"]["onnxruntime-float32"]
    slower = {part: seconds + 0.01 for part, seconds in theirs["parts_s"].items()}
    cold["contestants"]["minembed-float32-native"] = {**theirs, "parts_s": slower, "median_s": theirs["median_s"] - 0.2}
    lines = bench.report.coldstart(cold, {}).partition("longer than ONNX Runtime")[2].splitlines()
    assert "| float32 |" + " +10 |" * len(slower) + " -200 |" in lines


def test_plots_are_well_formed_and_nothing_overlaps(bench, results):
    _, plots = bench.report.render({"here": results})
    assert sorted(plots) == ["coldstart.svg", "encode.svg", "fidelity.svg", "growth.svg", "memory.svg", "stream.svg"]
    for figure in plots.values():
        svg = bench.plots.as_svg(figure)
        ElementTree.fromstring(svg)
        assert "prefers-color-scheme:dark" in svg and svg == bench.plots.as_svg(figure)
        assert all(colour in bench.plots.DARK for colour in re.findall(r"(?:fill|stroke): (#\w+)", svg))
        FigureCanvasAgg(figure).draw()
        every = [(found.get_text(), Text.get_window_extent(found)) for found in figure.findobj(Text)]
        boxes = [(text, box) for text, box in every if f">{escape(text)}</text>" in svg and box.width > 1]
        assert len(boxes) > 5
        whole = figure.bbox.padded(1)
        assert not [text for text, box in boxes if not whole.contains(*box.min) or not whole.contains(*box.max)]
        assert not [(a, b) for i, (a, box) in enumerate(boxes) for b, other in boxes[:i] if box.overlaps(other)]


def test_report_command_writes_its_files(bench, results, tmp_path, capsys):
    (tmp_path / "results" / "here").mkdir(parents=True)
    for name, content in results.items():
        (tmp_path / "results" / "here" / f"{name}.json").write_text(bench.harness.to_json(content), encoding="utf-8")
    assert json.loads((tmp_path / "results" / "here" / "stream.json").read_text(encoding="utf-8")) == results["stream"]
    assert bench.report.run(argparse.Namespace(out=tmp_path)) == 0
    assert (tmp_path / "REPORT.md").read_text(encoding="utf-8") == bench.report.render({"here": results})[0]
    assert len(list((tmp_path / "results").glob("*.svg"))) == 6


def test_committed_results_hold_no_path_of_a_machine(bench):
    for path in [*(BENCH / "results").glob("*/*.json"), BENCH / "REPORT.md"]:
        if path.exists():
            text = path.read_text(encoding="utf-8")
            assert not [word for word in ("/home/", "/root/", "/Users/", "/tmp/", "\\Users\\") if word in text], path


def test_memory_is_read(bench):
    before = bench.memory.peak_mb()
    assert before is None or before > 1  # a Python process with NumPy has more than a megabyte


def test_top_k_report(bench, results):
    timed = {"minembed": 0.01, "minembed-int8": 0.004, "minembed-numpy": 0.03, "faiss": 0.05, "numpy": 0.02}
    cell = {name: {"median_s": seconds} for name, seconds in timed.items()} | {"usearch": {"wrong": True}}
    found = {
        "versions": {name: {} for name in cell},
        "bandwidth_gb_s": 40.0,
        "peak_gf_s": 200.0,
        "cells": {"1 x 10": cell, "10 x 10": cell | {"minembed-int8": {"median_s": 0.006}}, "100 x 10": cell},
    }
    about = next(iter(results.values()))
    result = {"machine": about["machine"], "commit": about.get("commit"), "date": about["date"]} | {
        "settings": {"threads": 2},
        "width": 384,
        "sizes": {"100000": found},
        "absent": {"numkong": "not installed"},
    }
    text, _ = bench.report.render({"here": {"topk": result}})
    lines = [line for line in text.splitlines() if line.startswith(("| 1 x 10", "| 10 x 10", "| 100 x 10"))]
    assert lines[0].split(" | ")[-3:] == ["2.00", "2.50", "38 % of the memory |"] and "| wrong |" in lines[0]
    assert lines[1].split(" | ")[-3:] == ["2.00", "**1.67**", "38 % of the memory |"]
    assert lines[2].split(" | ")[-3:] == ["2.00", "2.50", "192 % of the peak |"]
    assert "numkong (not installed)" in text
