"""Numbers that the README and other pages quote from the bench are those of its stored results."""

import json
import re

import pytest
from places import ROOT

ZEN5, GRANITE, EMERALD = "zen5", "intel-amx-480", "emerald-rapids"
PRECISIONS = ("float32", "bfloat16", "int8")
TABLES = ("short", "mixed", "long", "arrival")


def result(machine, benchmark):
    return json.loads((ROOT / "bench" / "results" / machine / f"{benchmark}.json").read_text(encoding="utf-8"))


def page(name):
    """A page, with single spaces."""
    return " ".join((ROOT / name).read_text(encoding="utf-8").split())


@pytest.fixture
def ratio(bench):
    """A function to minembed's speed over that of the best peer of the same precision, to so many decimals."""

    def over_best(machine, work, precision, decimals=2, benchmark="encode"):
        rows = result(machine, benchmark)["results"][work]
        return f"{bench.report_common.over_best(rows, precision)[0]:.{decimals}f}"

    return over_best


def started(machine, name):
    return f"{result(machine, 'coldstart')['contestants'][name]['median_s']:.2f}"


def test_the_tables_of_the_readme(ratio):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\| (float32|bfloat16|int8) \| (.+) \|$", text, re.M)
    wanted = [
        (precision, " | ".join(f"{ratio(machine, work, precision)} ×" for work in TABLES))
        for machine in (ZEN5, GRANITE)
        for precision in PRECISIONS
    ]
    assert found == wanted


def test_the_best_peers_of_the_readme(bench):
    best = [
        bench.report_common.best_peer(result(machine, "encode")["results"][work], precision)
        for machine in (ZEN5, GRANITE)
        for work in TABLES
        for precision in PRECISIONS
    ]
    assert sum(not name.startswith("openvino") for name in best) == 2
    assert "OpenVINO was the best peer in all cells but two" in page("README.md")


def test_the_ratios_that_the_readme_says_in_words(ratio):
    readme = page("README.md")
    floats, halves = ([ratio(EMERALD, work, precision) for work in TABLES] for precision in PRECISIONS[:2])
    assert "{}, {}, {} and {} in float32, and {}, {}, {} and {} in bfloat16".format(*floats, *halves) in readme
    singles = [[ratio(machine, "single", precision, 1) for precision in PRECISIONS] for machine in (ZEN5, GRANITE)]
    said = "the factors are {} (float32), {} (bfloat16) and {} (int8) on Zen 5, and {}, {} and {} with AMX"
    assert said.format(*singles[0], *singles[1]) in readme
    wide = [ratio(GRANITE, "BERT-base, 512 tokens", precision, benchmark="wide") for precision in PRECISIONS[:2]]
    assert "float32 has {} times OpenVINO's speed on the Granite Rapids ({} in bfloat16)".format(*wide) in readme
    assert f"int8 has {ratio(EMERALD, 'single', 'int8')} times ONNX Runtime's on the Emerald Rapids" in readme


def test_the_cosines_of_the_readme():
    ours, *theirs = (
        f"{result(ZEN5, 'encode')['results']['short'][f'{name}-int8']['mean_cosine']:.4f}"
        for name in ("minembed", "openvino", "onnxruntime")
    )
    tiles = result(GRANITE, "encode")["results"]["short"]["minembed-int8"]["mean_cosine"]
    said = "mean cosine {} on short texts ({:.4f} with AMX), against {} for OpenVINO and {} for ONNX Runtime"
    assert said.format(ours, tiles, *theirs) in page("README.md")
    for machine in (ZEN5, GRANITE, EMERALD):
        rows = result(machine, "encode")["results"]["short"]
        assert abs(rows["minembed-int8"]["spearman"] - rows["minembed-float32"]["spearman"]) <= 0.05


def test_the_searches_of_the_readme():
    cells = result(ZEN5, "topk")["sizes"]["1000000"]["cells"]
    one, many = (
        [cells[f"{queries} x 10"][name]["median_s"] for name in ("minembed", "minembed-int8")] for queries in (1, 1000)
    )
    said = (
        f"a million rows of 384 numbers take {1e3 * one[0]:.0f} ms for one query and {many[0]:.1f} s for a thousand;"
        f" from an int8 copy, with the same rows and scores, {1e3 * one[1]:.0f} ms and {many[1]:.2f} s."
    )
    assert said in page("README.md")
    assert f"{1e3 * one[0]:.0f} ms for a query among a million" in page("docs/limits.md")


def test_first_vectors():
    floats = started("zen4", "minembed-float32-native"), started("zen4", "onnxruntime-float32")
    bytes_ = started("zen4", "minembed-int8-native"), started("zen4", "onnxruntime-int8")
    readme = page("README.md")
    assert f"its first vector after {floats[0]} s on a Zen 4, with the compiled kernels or without" in readme
    assert started("zen4", "minembed-numpy") == floats[0] and f"ONNX Runtime takes {floats[1]} s" in readme
    said = "in float32 {} s, with ONNX Runtime {} s; in int8 {} s and 77 MB at the peak, with ONNX Runtime {} s"
    assert said.format(*floats, *bytes_) in page("docs/kernels.md")
    others = [
        started(EMERALD, f"{name}-{dtype}{own}")
        for dtype in ("int8", "float32")
        for name, own in (("minembed", "-native"), ("onnxruntime", ""))
    ]
    said = "{} s against {} s on a Zen 4 (float32: {} against {}), {} s against {} s on an Emerald Rapids"
    said = (said + " (float32: {} against {})").format(*bytes_, *floats, *others)
    assert said in page("docs/limits.md")


def test_what_is_slower_than_a_peer_is_a_known_limit(ratio):
    limits = page("docs/limits.md")
    shapes = [*result(GRANITE, "wide")["results"]]
    floats, halves = (
        sorted(ratio(GRANITE, shape, precision, benchmark="wide") for shape in shapes) for precision in PRECISIONS[:2]
    )
    assert floats[0] == ratio(GRANITE, "BERT-base, 512 tokens", "float32", benchmark="wide")
    said = f"BERT-base with 512 tokens a text: {floats[0]} × its speed, the largest loss measured with kernels;"
    assert f"{said} the other five shapes: {floats[1]} × to {floats[-1]} ×" in limits
    assert f'bfloat16 there (`dtype="auto"`): {halves[0]} × to {halves[-1]} ×' in limits
    queries = sorted(ratio(machine, "single", "int8") for machine in (GRANITE, EMERALD))
    assert "{} × and {} × its speed, on two CPUs".format(*queries) in limits
    known = {("single", "int8")}
    for machine in (ZEN5, GRANITE, EMERALD):
        for work in (*TABLES, "single"):
            slow = {precision for precision in PRECISIONS if float(ratio(machine, work, precision)) < 1}
            assert {(work, precision) for precision in slow} <= known, machine


def test_training_on_its_page():
    rows = result(ZEN5, "train")["results"]
    quick, small = [], []
    for name in ("minembed", "minembed-numpy"):
        for work in ("pairs", "equal"):
            ours, theirs = rows[work][name], rows[work]["sentence_transformers"]
            quick.append(ours["tokens_per_s"] / theirs["tokens_per_s"])
            small.append(ours["peak_mb"] / theirs["peak_mb"])
    text = page("docs/training.md")
    assert f"training is {quick[0]:.1f} times as fast on sentences of mixed lengths" in text
    assert f"and {quick[1]:.1f} times on texts of equal length. It needs {small[0]:.2f} and {small[1]:.2f} of" in text
    assert f"Without Numba it is {quick[2]:.1f} and {quick[3]:.2f} times as fast." in text


def test_the_promise_of_the_first_page(ratio):
    ratios = sorted(ratio(ZEN5, work, "float32") for work in TABLES if work != "arrival")
    assert f"{ratios[0]} to {ratios[-1]} times as fast as the best of four other" in page("docs/index.md")
