"""The report's sections on the kernels by themselves and on growth."""

from matplotlib.figure import Figure

import plots as draw
from peers import PRECISIONS
from report_common import machine, table
from words import GROWTH, KERNELS

UNITS = {"float32": "GF/s", "bfloat16": "GF/s", "int8": "Gop/s"}


def kernels(result: dict, plots: dict[str, Figure]) -> str:
    """Peaks, shares of them, and attention."""
    tile = f"{result['target']}, tile of {result['tile'][0]} rows and {16 * result['tile'][1]} columns."
    rows = sorted({product["rows"] for row in result["linear"].values() for product in row["products"]}, reverse=True)
    header = ["", "peak of one core", *[f"share, {n} rows" for n in rows], *[f"with encoding, {n} rows" for n in rows]]
    lines = []
    for dtype, row in result["linear"].items():
        shares = [row["shares"][f"{n}{kind}"] for kind in ("", " with encoding") for n in rows]
        peak = f"{result['peaks'][dtype]['peak']:.0f} {UNITS[dtype]}"
        lines.append([dtype, peak, *(f"{100 * share:.0f} %" for share in shares)])
    parts = ["## Kernels", machine(result) + " " + tile, KERNELS, table(header, lines), tiles(result)]
    parts += [products(result["linear"]), attention(result["attention"])]
    return "\n\n".join(part for part in parts if part)


def tiles(result: dict) -> str:
    """What one core's tile units can do; empty where there are none."""
    parts = [
        f"{peak:,.0f} {UNITS[dtype]} in {dtype} ({peak / result['peaks'][dtype]['peak']:.1f} times the register tile's)"
        for dtype, peak in (result.get("tile_peaks") or {}).items()
        if dtype in result["peaks"]
    ]
    return f"Tile units on random numbers, nothing loaded in the loop: {', '.join(parts)}." if parts else ""


def products(linear: dict[str, dict]) -> str:
    """Each product's rate, in every precision."""
    first = next(iter(linear.values()))["products"]
    header = ["product", "shape", "rows", *[f"{dtype}, {UNITS[dtype]}" for dtype in linear]]
    lines = [
        [
            product["product"],
            " x ".join(map(str, product["shape"])),
            str(product["rows"]),
            *[f"{row['products'][number]['rate']:.0f}" for row in linear.values()],
        ]
        for number, product in enumerate(first)
    ]
    return table(header, lines, left=2)


def attention(by_dtype: dict[str, dict]) -> str:
    """Attention by length of text, one layer."""
    header = ["attention of one layer: tokens a text"]
    header += [f"{dtype}, {unit}" for dtype in by_dtype for unit in ("microseconds a token", "GF/s")]
    lines = [
        [length, *(cell for rows in by_dtype.values() for cell in cells(rows[length]))]
        for length in next(iter(by_dtype.values()))
    ]
    return table(header, lines)


def cells(row: dict) -> tuple[str, str]:
    """Time and rate of one length."""
    return f"{row['us_per_token']:.2f}", f"{row['rate']:.0f}"


def growth(result: dict, plots: dict[str, Figure]) -> str:
    """Tokens per second by length and threads."""
    series, lines = [], []
    lengths = [str(length) for length in result["lengths"]]
    for precision in [precision for precision in PRECISIONS if precision in result["tokens_per_s"]]:
        by_threads = result["tokens_per_s"][precision]
        fewest = min(by_threads, key=int)
        for threads, rates in by_threads.items():
            name = f"{precision}, {threads} thread{'s' * (threads != '1')}"
            points = [(float(length), rates[length]) for length in lengths]
            series.append(draw.Series(name, points, PRECISIONS.index(precision), threads == fewest))
            lines.append([name, *(f"{rates[length]:,.0f}" for length in lengths)])
    title, labels = "Throughput by length of text", ("tokens in each text", "tokens per second")
    plots["growth.svg"] = draw.growth(title, series, labels)
    parts = ["## Growth", machine(result), "![Tokens per second by length](results/growth.svg)"]
    return "\n\n".join([*parts, table(["tokens per second; tokens a text:", *lengths], lines), GROWTH])
