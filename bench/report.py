"""REPORT.md and its plots, written from results/*.json and from nothing else. Standard library only."""

import json
from argparse import Namespace
from pathlib import Path

import svg
from svg import Bar
from words import BUSY, COLD, HEAD, METHOD, TITLES

OURS = "minembed"
SORTED = ("onnxruntime-32", "onnxruntime-64")  # the better of the two is the peer
ARRIVAL, TORCH, COUNTER = "onnxruntime-arrival", "sentence-transformers", "tokenizers"
NAMES = {
    OURS: "minembed",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime-32": "ONNX Runtime, sorted, 32",
    "onnxruntime-64": "ONNX Runtime, sorted, 64",
    ARRIVAL: "ONNX Runtime, arrival order",
    TORCH: "sentence-transformers",
    COUNTER: "tokenising alone",
}
COLOURS = {OURS: 0, "onnxruntime": 1, "onnxruntime-32": 1, "onnxruntime-64": 2, ARRIVAL: 3, TORCH: 4}
NOISY = 0.05  # a lap during which others used more than this share of the machine is not to be trusted


def run(options: Namespace) -> int:
    """Write REPORT.md and results/*.svg."""
    results = load(options.out / "results")
    text, plots = render(results)
    for name, plot in plots.items():
        (options.out / "results" / name).write_text(plot, encoding="utf-8")
    (options.out / "REPORT.md").write_text(text, encoding="utf-8")
    print("wrote REPORT.md,", ", ".join(plots) or "no plots")
    return 0


def load(folder: Path) -> dict[str, dict]:
    """The results that there are, by benchmark."""
    names = ("encode", "coldstart", "stream")
    paths = {name: folder / f"{name}.json" for name in names}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def render(results: dict[str, dict]) -> tuple[str, dict[str, str]]:
    """The report's text, and its plots by file name."""
    plots: dict[str, str] = {}
    parts = [HEAD, targets(results)]
    for name, section in (("encode", encode), ("coldstart", coldstart), ("stream", stream)):
        if name in results:
            parts.append(section(results[name], plots))
        else:
            parts.append(f"## {TITLES[name]}\n\nNot measured yet: `python bench {name}`.")
    return "\n\n".join(parts) + "\n", plots


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table, its first column left-aligned, the others right-aligned."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [header, rule, *rows])


def best_sorted(rows: dict[str, dict]) -> str | None:
    """ONNX Runtime's better batch size on this workload."""
    measured = [name for name in SORTED if "median_s" in rows.get(name, {})]
    return min(measured, key=lambda name: rows[name]["median_s"], default=None)


def targets(results: dict[str, dict]) -> str:
    """What the project asks of itself, and what was measured."""
    rows = [
        [
            what,
            "not measured" if value is None else f"{value:.2f}{unit}",
            f"{sign} {limit}{unit}",
            verdict(value, sign, limit),
        ]
        for what, value, sign, limit, unit in figures(results)
    ]
    warning = f"\n\n{BUSY}" if any(noisy(rows) for rows in timings(results)) else ""
    return "## Targets\n\n" + table(["", "measured", "target", ""], rows) + warning


def timings(results: dict[str, dict]) -> list[dict[str, dict]]:
    """Every table of timed contestants."""
    cold = results.get("coldstart", {}).get("contestants", {})
    return [*results.get("encode", {}).get("results", {}).values(), cold]


def noisy(rows: dict[str, dict]) -> list[str]:
    """The contestants during whose runs others used the machine."""
    return [NAMES[who] for who, row in rows.items() if (row.get("disturbance") or 0) > NOISY and who != COUNTER]


def verdict(value: float | None, sign: str, limit: float) -> str:
    """Whether a figure is on the right side of its limit."""
    if value is None:
        return ""
    return "held" if (value <= limit if sign == "≤" else value >= limit) else "**missed**"


def figures(results: dict[str, dict]) -> list[tuple[str, float | None, str, float, str]]:
    """Each target: what, measured, sign, limit, unit."""
    mixed = results.get("encode", {}).get("results", {}).get("mixed", {})
    cold = results.get("coldstart", {})
    starts, imports = cold.get("contestants", {}), cold.get("imports") or {}
    ours, peer = starts.get(OURS, {}), starts.get("onnxruntime", {})
    run = results.get("stream", {})
    memory = ours["peak_mb"] / peer["peak_mb"] if ours.get("peak_mb") and peer.get("peak_mb") else None
    extra = run["peak_mb"] - run["loaded_mb"] if run.get("peak_mb") and run.get("loaded_mb") else None
    sorted_peer = mixed.get(best_sorted(mixed) or "", {})
    return [
        ("throughput on mixed texts, over ONNX Runtime's sorted by tokens", sorted_peer.get("ratio"), "≥", 0.9, " x"),
        ("the same, over ONNX Runtime's in arrival order", mixed.get(ARRIVAL, {}).get("ratio"), "≥", 1.3, " x"),
        ("`import minembed` over `import numpy`", imports.get("ratio"), "≤", 1.3, " x"),
        ("start of the process to the first vector", ours.get("median_s"), "≤", 0.45, " s"),
        ("peak memory of that process over ONNX Runtime's", memory, "≤", 0.85, " x"),
        ("memory above the loaded model while texts stream by", extra, "≤", 100, " MB"),
    ]


def machine(result: dict, pools: list[dict]) -> str:
    """Where, when and on what, in one paragraph."""
    on, commit = result["machine"], result["commit"]
    revision = (commit["id"] or "unknown")[:10] + (" with uncommitted changes" if commit["changed"] else "")
    blas = [pool for pool in pools if pool.get("user_api") == "blas"]
    kernel = "; ".join(f"{p['internal_api']} {p.get('version', '')}, kernel {p.get('architecture', '?')}" for p in blas)
    return (
        f"{on['cpu']}; {on['usable_cores']} of {on['cores']} cores, {on['memory_gb']} GB; "
        f"{on['system']}; {on['python']}"
        + (f"; minembed's BLAS: {kernel}" if kernel else "")
        + f". {result['settings']['threads']} threads for everybody. {result['date']}, revision {revision}."
    )


def missing(contestants: dict[str, dict]) -> list[str]:
    """A line for each contestant that took no part."""
    return [
        f"- {who.get('title', NAMES.get(name, name))}: {kind}, {who[kind]}"
        for name, who in contestants.items()
        for kind in ("absent", "failed", "refused")
        if kind in who
    ]


def encode(result: dict, plots: dict[str, str]) -> str:
    """The section on throughput."""
    contestants = result["contestants"]
    parts = [f"## {TITLES['encode']}", machine(result, contestants.get(OURS, {}).get("pools", []))]
    groups = []
    for name, rows in result["results"].items():
        parts.append(encode_table(name, result["workloads"][name], rows))
        drawn = [who for who in NAMES if who in COLOURS and "tokens_per_s" in rows.get(who, {})]
        groups.append((name, [bar(who, rows[who]["tokens_per_s"], "{:,.0f}") for who in drawn]))
    plots["encode.svg"] = svg.bars("Tokens per second", groups, "Real tokens, tokenising included. Longer is better.")
    parts.insert(2, "![Tokens per second, by workload and contestant](results/encode.svg)")
    if out := missing(contestants):
        parts.append("Took no part:\n\n" + "\n".join(out))
    return "\n\n".join([*parts, METHOD.format(**result["settings"]), versions(contestants)])


def bar(who: str, value: float, form: str) -> Bar:
    """A contestant's bar."""
    return Bar(NAMES[who], value, form.format(value), COLOURS[who])


def encode_table(name: str, work: dict, rows: dict[str, dict]) -> str:
    """One workload's table and the sentence that sums it up."""
    lines, best = [], best_sorted(rows)
    for who in [name for name in NAMES if name in rows]:
        row, label = rows[who], f"**{NAMES[who]}**" if who in (OURS, best) else NAMES[who]
        if "refused" in row:
            lines.append([label, f"refused: {row['refused']}", *[""] * 6])
            continue
        timed = [
            f"{row['median_s']:.3f}",
            f"{row['best_s']:.3f}",
            f"{row['texts_per_s']:,.0f}",
            f"{row['tokens_per_s']:,.0f}",
        ]
        ratio = "" if row["ratio"] is None or who in (OURS, COUNTER) else f"{row['ratio']:.2f}"
        peak = "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}"
        lines.append([label, *timed, ratio, peak, f"{row['max_abs_diff']:.1e}" if "max_abs_diff" in row else ""])
    header = ["", "median s", "best s", "texts/s", "tokens/s", "ratio", "peak MB", "max diff"]
    about = (
        f"{work['texts']:,} texts ({work['source']}), {work['tokens']:,} tokens, {work['mean_tokens']} on average, "
        f"{work['most']} at most."
    )
    judge = work.get("checked_by")
    about += f" Vectors checked against {NAMES[judge]}." if judge else " **No peer was there to check the vectors.**"
    warning = f"\n\n{BUSY} (During: {', '.join(noisy(rows))}.)" if noisy(rows) else ""
    said = f"{about} {conclusion(rows, best)}".strip()
    return f"### {name}\n\n{said}\n\n{table(header, lines)}{warning}"


def conclusion(rows: dict[str, dict], best: str | None) -> str:
    """Who is faster than whom, in words, whichever way it went."""
    if "median_s" not in rows.get(OURS, {}):
        return ""
    said = []
    for who in (best, ARRIVAL, TORCH):
        ratio = rows.get(who or "", {}).get("ratio")
        if who and ratio is not None:
            faster = f"{ratio:.2f} times as fast as" if ratio >= 1 else f"slower ({ratio:.2f} times the speed) than"
            said.append(f"{faster} {NAMES[who]}")
    return f"minembed is {'; '.join(said)}." if said else ""


def coldstart(result: dict, plots: dict[str, str]) -> str:
    """The section on cold start."""
    rows = {name: row for name, row in result["contestants"].items() if "median_s" in row}
    header = ["", "in all, s", "best s", *next(iter(rows.values()), {"parts_s": {}})["parts_s"], "peak MB", "runs"]
    lines = [
        [
            NAMES[name],
            f"**{row['median_s']:.3f}**",
            f"{row['best_s']:.3f}",
            *[f"{seconds:.3f}" for seconds in row["parts_s"].values()],
            "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
            str(row["runs"]),
        ]
        for name, row in rows.items()
    ]
    plots["coldstart.svg"] = svg.bars(
        "From the start of the process to the first vector",
        [("", [bar(name, row["median_s"], "{:.2f} s") for name, row in rows.items()])],
        "Median of fresh processes, files in the system's cache. Shorter is better.",
    )
    plots["memory.svg"] = svg.bars(
        "Peak resident memory of that process",
        [("", [bar(name, row["peak_mb"], "{:.0f} MB") for name, row in rows.items() if row["peak_mb"]])],
        "Interpreter, libraries, model and one text. Shorter is better.",
    )
    parts = [f"## {TITLES['coldstart']}", machine(result, []), "![Seconds](results/coldstart.svg)"]
    parts += ["![Megabytes](results/memory.svg)", table(header, lines), COLD]
    if result.get("imports"):
        seconds, ratio = result["imports"]["median_s"], result["imports"]["ratio"]
        ours, numpy = seconds[OURS], seconds["numpy"]
        parts.append(f"`import minembed` takes {ours:.3f} s, `import numpy` {numpy:.3f} s: {ratio:.2f} times as long.")
    if noisy(rows):
        parts.append(f"{BUSY} (During: {', '.join(noisy(rows))}.)")
    if out := missing(result["contestants"]):
        parts.append("Took no part:\n\n" + "\n".join(out))
    return "\n\n".join(parts)


def stream(result: dict, plots: dict[str, str]) -> str:
    """The section on memory while texts stream by."""
    text = (
        f"{result['texts']:,} short texts from a generator through `model.stream`, vectors dropped as they come: "
        f"{result['seconds']:.0f} s, {result['texts_per_s']:.0f} texts/s."
    )
    if result["peak_mb"]:
        extra = result["peak_mb"] - result["loaded_mb"]
        text += (
            f" {result['loaded_mb']:.0f} MB are resident once the model is loaded and has answered once, "
            f"{result['peak_mb']:.0f} MB at most afterwards: {extra:.0f} MB more."
        )
    parts = [f"## {TITLES['stream']}", machine(result, []), text]
    if result["resident_mb"] and result["loaded_mb"]:
        limit = (result["loaded_mb"] + 100, "the loaded model and 100 MB")
        title = "Resident memory while texts stream by"
        plots["stream.svg"] = svg.line(title, result["resident_mb"], limit, ("seconds", "MB"))
        parts.append("![Megabytes over seconds](results/stream.svg)")
    parts.append(f"One text in 1,000 was embedded again afterwards: max |difference| {result['max_abs_diff']:.1e}.")
    return "\n\n".join(parts)


def versions(contestants: dict[str, dict]) -> str:
    """Every library's version."""
    found = {name: version for who in contestants.values() for name, version in who.get("versions", {}).items()}
    return "Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(found.items())) + "."
