"""Results of several generations of processors, kept apart and shown side by side."""

import json

import pytest

ZEN5 = "AMD EPYC, family 26 model 2, avx2 avx512f avx512_vnni avx512_bf16"
TILES = ["avx2", "avx512f", "avx512_bf16", "amx_tile"]


def intel(model, flags, l3_mb=None):
    return {"vendor": "GenuineIntel", "family": 6, "model": model, "flags": flags, "l3_mb": l3_mb}


@pytest.mark.parametrize(
    ("facts", "folder", "title"),
    [
        (intel(0xAD, TILES), "granite-rapids", "Granite Rapids (AMX)"),
        (intel(0x8F, TILES, 105), "sapphire-rapids", "Sapphire Rapids (AMX)"),
        (intel(0x6A, TILES[:2]), "ice-lake-sp", "Ice Lake SP"),
        # family and model are hidden: Rocket Lake has no tiles, and a Sapphire Rapids without them is not itself
        (intel(167, TILES, 480), "intel-amx-480", "Intel with AMX, 480 MB L3"),
        (intel(0x8F, TILES[:3], 105), "intel-avx-512-bf16-105", "Intel with AVX-512 BF16, 105 MB L3"),
        ({"vendor": None, "flags": ["asimd", "sve"]}, "unknown-sve", "unknown with SVE"),
        ({}, "unknown", "unknown with unknown features"),
    ],
)
def test_a_generation_is_named_only_where_its_features_fit(bench, facts, folder, title):
    assert bench.generations.generation(facts) == {"folder": folder, "title": title}


def test_older_records_are_told_by_the_processors_name(bench):
    of_record, tiled = bench.generations.of_record, bench.generations.tiled
    assert of_record({"cpu": ZEN5})["folder"] == "zen5"
    assert of_record({"cpu": ZEN5.replace("26 model 2", "25 model 17")})["title"] == "Zen 4"
    assert of_record({"cpu": "A <fast> CPU & more"})["folder"] == "unknown"
    assert of_record({"cpu": ZEN5, "generation": {"folder": "x", "title": "X"}})["title"] == "X"
    assert not tiled({"cpu": ZEN5}) and tiled({"cpu": "Intel(R) Xeon(R), family 6 model 143, avx2 amx_tile"})


def test_this_machine_has_a_generation_and_its_results_a_folder(bench, tmp_path, capsys):
    about = bench.machine.describe()
    assert about["generation"] == bench.generations.generation(about) and about["cpu"]
    bench.harness.record("encode", {"threads": 2}, {"results": {}}, tmp_path)
    (path,) = tmp_path.glob("results/*/encode.json")
    assert path.parent.name == about["generation"]["folder"]
    assert bench.harness.earlier("encode", tmp_path, 2) == json.loads(path.read_text(encoding="utf-8"))
    assert bench.harness.earlier("encode", tmp_path, 1) == {} == bench.harness.earlier("wide", tmp_path, 2)


# --- in the report


def timed(seconds, cosine=1.0, ratio=None):
    return {
        "laps_s": [seconds, seconds],
        "median_s": seconds,
        "best_s": seconds,
        "tokens_per_s": 1000 / seconds,
        "ratio": ratio,
        "disturbance": 0.0,
        "peak_mb": 100.0,
        "max_abs_diff": 0.0,
        "mean_cosine": cosine,
        "min_cosine": cosine,
    }


def measured(benchmark, date, cpu, results, **found):
    machine = {"cpu": cpu, "usable_cores": 2, "cores": 2, "memory_gb": 8, "system": "Linux", "python": "CPython"}
    work = {"source": "generated", "texts": 8, "tokens": 1000, "mean_tokens": 125.0, "most": 256}
    return {
        "benchmark": benchmark,
        "date": date,
        "commit": {"id": "0123456789ab", "changed": False},
        "machine": machine,
        "settings": {"threads": 2, "laps": 5, "heats": 1, "settle_s": 0.3},
        "contestants": {},
        "workloads": dict.fromkeys(results, work),
        "results": results,
        **found,
    }


@pytest.fixture
def two_generations(bench):
    """Zen 5, and a later run on a processor with tile units."""
    rows = {
        "minembed-float32": timed(2.0, ratio=1.0),
        "minembed-bfloat16": timed(1.0, 0.99999, 1.0),
        "minembed-int8": timed(0.9, 0.9994, 1.0),
        "openvino-float32": timed(3.0, ratio=1.5),
        "openvino-bfloat16": timed(2.1, 0.99998, 2.1),
        "openvino-int8": timed(1.5, 0.997, 1.67),
    }
    wide = {"BERT-base, 128 tokens": {name: row for name, row in rows.items() if name != "openvino-int8"}}
    models = {"BERT-base": {"multiply_adds": 84_934_656}}
    tiles = "Intel(R) Xeon(R) Processor, family 6 model 143, avx2 avx512f amx_tile"
    old, new = "2026-01-02 03:04 UTC", "2026-02-03 04:05 UTC"
    peaks, mini = {"bfloat16": 400.0}, {"multiply_adds": 10_616_832}
    return {
        "zen5": {"encode": measured("encode", old, ZEN5, {"short": rows, "mixed": rows})},
        "sapphire-rapids": {
            "encode": measured("encode", new, tiles, {"mixed": rows}, model=mini, tile_peaks=peaks),
            "wide": measured("wide", new, tiles, wide, models=models, tile_peaks=peaks),
        },
    }


def test_where_there_are_tiles_bfloat16_is_held_against_everybody_who_is_as_near(bench, two_generations):
    text, _ = bench.report.render(two_generations)
    lines = text.splitlines()
    assert (
        "| mixed | 2.10 (≥ 2.0) over OpenVINO: met | 1.50 (≥ 2.0) over OpenVINO: **missed** "
        "| 1.50 (≥ 1.3) over OpenVINO: met |"
    ) in lines
    assert "| BERT-base, 128 tokens | 2.10 (≥ 1.4) over OpenVINO: met |  |  |" in lines
    assert "| BERT-large, 128 tokens | not measured (≥ 1.3) |  |  |" in lines
    assert any(line.startswith("| mixed | 1.50 (≥ 1.35) over OpenVINO: met | 2.10 (≥ 1.3)") for line in lines)  # Zen 5
    missed = text.partition("## Missed targets")[2]
    assert "| mixed | bfloat16 over the best in int8 | 1.50 | ≥ 2.0 | 75% | 2000.0 | 3% |" in missed.splitlines()


def test_generations_stand_side_by_side_and_the_last_has_the_tables(bench, two_generations):
    text, _ = bench.report.render(two_generations)
    beside = text.partition("## Generations side by side")[2].partition("##")[0].splitlines()
    assert "|  | Sapphire Rapids (AMX) | Zen 5 |" in beside
    assert "| measured | 2026-02-03, 0123456789 | 2026-01-02, 0123456789 |" in beside
    assert "| short, bfloat16 |  | 2.10 |" in beside and "| mixed, int8 | 1.67 | 1.67 |" in beside
    assert "| BERT-base, 128 tokens, bfloat16 | 2.10 |  |" in beside
    throughput = text.partition("## Throughput")[2].partition("## Wide")[0]
    assert "**Sapphire Rapids (AMX)**: Intel" in throughput and "### short" not in throughput
    assert "bfloat16's linear layers reach 3% of the tile units' peak." in throughput
    fidelity = next(line for line in text.splitlines() if line.startswith("| float32: minimum cosine"))
    assert fidelity.endswith("| Zen 5 |")  # of the short texts, which only that one has


def test_wide_encoders_have_their_share_of_the_tiles_peak(bench, two_generations):
    text, _ = bench.report.render(two_generations)
    line = next(line for line in text.splitlines() if line.startswith("| BERT-base, 128 tokens | 500 |"))
    assert line.split(" | ")[1:] == [
        "500",
        "1.50",
        "1.00000",
        "1,000",
        "2.10",
        "0.99999",
        "1,111",
        "2.33",
        "0.99940",
        "21% |",
    ]
