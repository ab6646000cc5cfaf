"""The report's section on throughput: a table a workload, bars, and speed against fidelity."""

from matplotlib.figure import Figure

import plots as draw
from peers import CONTESTANTS, OURS, SINGLE
from report_common import (
    BUSY,
    COUNTER,
    TITLES,
    best_peer,
    colour,
    is_ours,
    machine,
    missing,
    noisy,
    share_of_tiles,
    table,
    versions,
)
from words import ABOUT, METHOD

FLOOR = 1e-7  # 1 - cosine of float32 vectors is below what float32 can tell


def encode(result: dict, plots: dict[str, Figure]) -> str:
    """The whole section."""
    contestants, results = result["contestants"], result["results"]
    pools = next((who["pools"] for who in contestants.values() if who.get("pools")), [])
    parts = ["## Throughput", machine(result, pools), result.get("note", "")]
    groups = [(name, bars_of(rows)) for name, rows in results.items() if name != SINGLE]
    if any(bars for _, bars in groups):
        note = "Real tokens, including tokenising. Longer is better."
        plots["encode.svg"] = draw.bars("Tokens per second", groups, note)
        parts.append("![Tokens per second, by workload and contestant](results/encode.svg)")
    if points := scatter_points(results):
        title, labels = "Speed against fidelity", ("tokens per second, mixed texts", "1 - mean cosine to float32")
        plots["fidelity.svg"] = draw.scatter(title, points, labels, FLOOR)
        parts.append("![Speed against fidelity](results/fidelity.svg)")
    parts += [workload_section(name, result, rows) for name, rows in results.items()]
    parts += [missing(contestants), METHOD.format(**result["settings"]), tried(results), versions(contestants)]
    return "\n\n".join(part for part in parts if part)


def bars_of(rows: dict[str, dict]) -> list[draw.Bar]:
    """A bar for each contestant that was timed."""
    drawn = [name for name in CONTESTANTS if "tokens_per_s" in rows.get(name, {})]
    return [
        draw.Bar(TITLES[name], rows[name]["tokens_per_s"], f"{rows[name]['tokens_per_s']:,.0f}", colour(name))
        for name in drawn
    ]


def scatter_points(results: dict[str, dict]) -> list[draw.Point]:
    """Tokens per second on mixed texts against the distance to float32."""
    rows = results.get("mixed", {})
    return [
        draw.Point(TITLES[name], rows[name]["tokens_per_s"], 1 - rows[name]["mean_cosine"], colour(name))
        for name in CONTESTANTS
        if {"tokens_per_s", "mean_cosine"} <= rows.get(name, {}).keys()
    ]


def workload_section(name: str, result: dict, rows: dict[str, dict]) -> str:
    """One workload's table and the sentences that sum it up."""
    work, share = result["workloads"][name], share_of_tiles(result, result.get("model", {}), rows)
    about = (
        f"{ABOUT[name]} {work['texts']:,} texts ({work['source']}), {work['tokens']:,} tokens, "
        f"{work['mean_tokens']} on average, {work['most']} at most."
    )
    judge = work.get("checked_by")
    about += (
        f" Vectors checked against {TITLES[judge]}." if judge else " **No peer was available to check the vectors.**"
    )
    tiles = f" bfloat16's linear layers reach {share} of the tile units' peak." if share else ""
    warning = f"\n\n{BUSY} (During: {', '.join(noisy(rows))}.)" if noisy(rows) else ""
    return f"### {name}\n\n{f'{about} {conclusion(rows)}{tiles}'.strip()}\n\n{encode_table(name, rows)}{warning}"


def encode_table(name: str, rows: dict[str, dict]) -> str:
    """A row for each contestant: how it ran, how fast, how near."""
    unit, factor, form = ("ms", 1000, ".2f") if name == SINGLE else ("s", 1, ".3f")
    judged = any("spearman" in row for row in rows.values())
    header = ["", "run as", *(f"{kind} {unit}" for kind in ("median", "p25", "best"))]
    header += ["tokens/s", "ratio", "mean cosine", "min cosine"]
    header += ["max diff", *["STS-B"] * judged, "peak MB"]
    bold = {*OURS.values(), *(best_peer(rows, precision) for precision in OURS)}
    lines = []
    for who in [who for who in TITLES if who in rows]:
        row, label = rows[who], f"**{TITLES[who]}**" if who in bold else TITLES[who]
        if "refused" in row:
            lines.append([label, f"refused: {row['refused']}", *[""] * (len(header) - 2)])
            continue
        ratio = "" if row["ratio"] is None or who in (*OURS.values(), COUNTER) else f"{row['ratio']:.2f}"
        times = [f"{value * factor:{form}}" for value in (row["median_s"], quarter(row), row["best_s"])]
        lines.append([label, said(row.get("setting", {})), *times, f"{row['tokens_per_s']:,.0f}", ratio])
        lines[-1] += [f"{row[key]:.{digits}f}" if key in row else "" for key, digits in COSINES]
        lines[-1].append(f"{row['max_abs_diff']:.1e}" if "max_abs_diff" in row else "")
        lines[-1] += [f"{row['spearman']:.2f}" if "spearman" in row else ""] * judged
        lines[-1].append("" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}")
    return table(header, lines, left=2)


def quarter(row: dict) -> float:
    """The quarter below which the quick laps are; computed where an older record lacks it."""
    laps = sorted(row["laps_s"])
    place = (len(laps) - 1) / 4
    low, part = int(place), place % 1
    return row.get("p25_s") or laps[low] * (1 - part) + laps[min(low + 1, len(laps) - 1)] * part


COSINES = (("mean_cosine", 6), ("min_cosine", 5))


def said(setting: dict) -> str:
    """A setting in words."""
    graphs = {"int8-raw": "as exported", "int8-fused": "fused"}
    parts = [graphs.get(setting.get("graph", ""), "")]
    if setting.get("graph") == "int8" and "hint" in setting:
        parts.append(f"rest {setting['hint']}")
    if setting.get("batch", 1) > 1:
        parts.append(f"batch {setting['batch']}")
    if "streams" in setting:
        parts.append("one at a time" if setting["streams"] == 1 else f"{setting['streams']} at a time")
    if "threads" in setting:
        parts.append("1 thread" if setting["threads"] == 1 else f"{setting['threads']} threads")
    if setting.get("shapes") == "fixed":
        parts.append("fixed shapes")
    return ", ".join(part for part in parts if part)


def conclusion(rows: dict[str, dict]) -> str:
    """The comparison of speeds, in words."""
    sentences = []
    for precision, ours in OURS.items():
        peer = best_peer(rows, precision)
        ratio = rows[peer].get("ratio") if peer else None
        if "median_s" in rows.get(ours, {}) and ratio is not None:
            faster = f"{ratio:.2f} times as fast as" if ratio >= 1 else f"slower ({ratio:.2f} times the speed) than"
            sentences.append(f"{faster} {TITLES[peer]}")
    return f"minembed is {'; '.join(sentences)}." if sentences else ""


def tried(results: dict[str, dict]) -> str:
    """The time of each contestant in the other settings."""
    lines = [
        f"- {name}, {TITLES[who]}: "
        + "; ".join(f"{said(heat['setting'])} {seconds(heat['seconds'])}" for heat in row["heats"])
        for name, rows in results.items()
        for who, row in rows.items()
        if row.get("heats") and not is_ours(who)
    ]
    if not lines:
        return ""
    head = "<details><summary>Every setting that was tried before the races, in seconds</summary>"
    return "\n".join([head, "", *lines, "", "</details>"])


def seconds(value: float | None) -> str:
    """A heat's time; one that could not be run has none."""
    return "failed" if value is None else f"{value:.4f}"
