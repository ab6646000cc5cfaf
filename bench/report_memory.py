"""The report's sections on cold start and on memory while texts stream by."""

from matplotlib.figure import Figure

import plots as draw
from peers import NATIVE, NUMPY
from report_common import BUSY, TITLES, colour, machine, missing, noisy, table
from words import COLD, START


def coldstart(result: dict, plots: dict[str, Figure]) -> str:
    """From the start of a process to its first vector."""
    rows = {name: row for name, row in result["contestants"].items() if "median_s" in row}
    header = ["", "in all, s", "best s", *next(iter(rows.values()), {"parts_s": {}})["parts_s"], "peak MB", "runs"]
    lines = [
        [
            TITLES[name],
            f"**{row['median_s']:.3f}**",
            f"{row['best_s']:.3f}",
            *[f"{seconds:.3f}" for seconds in row["parts_s"].values()],
            "" if row["peak_mb"] is None else f"{row['peak_mb']:.0f}",
            str(row["runs"]),
        ]
        for name, row in rows.items()
    ]
    draw_bars(rows, plots)
    parts = ["## Cold start", machine(result), "![Seconds](results/coldstart.svg)"]
    parts += ["![Megabytes](results/memory.svg)", table(header, lines), COLD, beside_onnxruntime(rows)]
    if result.get("imports"):
        seconds, ratio = result["imports"]["median_s"], result["imports"]["ratio"]
        ours, numpy = seconds["minembed"], seconds["numpy"]
        parts.append(f"`import minembed` takes {ours:.3f} s, `import numpy` {numpy:.3f} s: {ratio:.2f} times as long.")
    if result.get("numba_mb"):
        parts.append(f"A process that only imports NumPy and Numba peaks at {result['numba_mb']:.0f} MB.")
    if noisy(rows):
        parts.append(f"{BUSY} (During: {', '.join(noisy(rows))}.)")
    return "\n\n".join(part for part in [*parts, missing(result["contestants"])] if part)


def beside_onnxruntime(rows: dict[str, dict]) -> str:
    """Where native kernels lose time to ONNX Runtime, and where they gain it; empty without both."""
    lines = []
    for precision, name in NATIVE.items():
        ours, theirs = rows.get(name), rows.get(f"onnxruntime-{precision}")
        if ours and theirs:
            apart = {part: seconds - theirs["parts_s"][part] for part, seconds in ours["parts_s"].items()}
            apart["in all"] = ours["median_s"] - theirs["median_s"]
            lines.append([precision, *(f"{1000 * seconds:+.0f}" for seconds in apart.values())])
    if not lines:
        return ""
    header = ["", *next(iter(rows.values()))["parts_s"], "in all"]
    return f"Milliseconds that native kernels take longer than ONNX Runtime:\n\n{table(header, lines)}\n\n{START}"


def draw_bars(rows: dict[str, dict], plots: dict[str, Figure]) -> None:
    """Bars of seconds and of megabytes."""

    def bars(key: str, form: str) -> list[draw.Bar]:
        return [
            draw.Bar(TITLES[name], row[key], form.format(row[key]), colour(name))
            for name, row in rows.items()
            if row[key]
        ]

    plots["coldstart.svg"] = draw.bars(
        "From the start of the process to the first vector",
        [("", bars("median_s", "{:.2f} s"))],
        "Median of fresh processes, files in the system's cache. Shorter is better.",
    )
    plots["memory.svg"] = draw.bars(
        "Peak resident memory of that process",
        [("", bars("peak_mb", "{:.0f} MB"))],
        "Interpreter, libraries, model and one text. Shorter is better.",
    )


def stream(result: dict, plots: dict[str, Figure]) -> str:
    """Memory while texts stream by."""
    text = (
        f"{result['texts']:,} short texts from a generator through `model.stream`, vectors dropped as they come "
        f"({TITLES[NUMPY]}): {result['seconds']:.0f} s, {result['texts_per_s']:.0f} texts/s."
    )
    if result["peak_mb"]:
        extra = result["peak_mb"] - result["loaded_mb"]
        text += (
            f" {result['loaded_mb']:.0f} MB are resident once the model is loaded and has answered once, "
            f"{result['peak_mb']:.0f} MB at most afterwards: {extra:.0f} MB more."
        )
    parts = ["## Memory while streaming", machine(result), text]
    if result["resident_mb"] and result["loaded_mb"]:
        limit = (result["loaded_mb"] + 100, "the loaded model and 100 MB")
        title = "Resident memory while texts stream by"
        plots["stream.svg"] = draw.line(title, result["resident_mb"], limit, ("seconds", "MB"))
        parts.append("![Megabytes over seconds](results/stream.svg)")
    parts.append(f"One text in 1,000 was embedded again afterwards: max |difference| {result['max_abs_diff']:.1e}.")
    return "\n\n".join(parts)
