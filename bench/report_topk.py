"""The report's section on exact top-k."""

from matplotlib.figure import Figure

from report_common import machine, table
from search_peers import OWN

LEAST = {1: 1.2, 10: 2.0, 100: 2.0, 1000: 1.0}  # by queries: the target
INT8_LEAST = {1: 2.0, 10: 2.0}
FEW = 10  # queries up to here leave the memory as the limit, more the multipliers
NOTE = """Inner products of unit vectors with {width} numbers, which are generated with a spectrum like that of real
embeddings. Times are milliseconds per call, medians of the few laps that fit into some seconds. Every contestant's
scores are first checked against minembed's. All contestants search exactly, but by different scores: minembed
orders rows by float64 scores, with ties by index, the others by their float32 sums. minembed-int8 scans a quantised
copy with an error bound for each row, and returns the same rows and scores. *ratio* is the best peer's time divided
by minembed's in float32. The targets are {least} with 1, 10, 100 and 1,000 queries, and int8 twice as fast as
float32 with 1 and 10; a missed target is **bold**. *limit* is the share of the machine's limit that minembed
reaches in float32. With few queries the limit is memory: {bandwidth} GB/s, which {threads} threads reach when they
only compute the maximum of large arrays. (The memory of this virtual machine is sometimes faster, so more than 100
% was seen too.) With many queries the limit is computation: {peak} GF/s, {threads} times what the register tile
reaches on numbers in the first-level cache. *slow*: processes queries one by one and would take more than 2 s,
judged by a tenth of them."""


def topk(result: dict, plots: dict[str, Figure]) -> str:
    """A table for each size of corpus."""
    parts = ["## Exact top-k", machine(result)]
    for size, found in result["sizes"].items():
        parts += [f"### {int(size):,} rows", table(*rows(int(size), found, result), left=1)]
    bandwidth, peak = (
        " and ".join(f"{found[name]:.0f}" for found in result["sizes"].values())
        for name in ("bandwidth_gb_s", "peak_gf_s")
    )
    threads, least = result["settings"]["threads"], ", ".join(map(str, LEAST.values()))
    text = NOTE.format(width=result["width"], threads=threads, least=least, bandwidth=bandwidth, peak=peak)
    parts.insert(2, " ".join(text.split()))
    if result["absent"]:
        parts.append(
            "Did not take part: " + "; ".join(f"{name} ({why})" for name, why in result["absent"].items()) + "."
        )
    return "\n\n".join(parts)


def rows(size: int, found: dict, result: dict) -> tuple[list[str], list[list[str]]]:
    """Times, ratios and shares of one corpus."""
    names, lines = list(found["versions"]), []
    for cell, timed in found["cells"].items():
        own, best, queries = timed["minembed"]["median_s"], best_peer(timed), int(cell.split()[0])
        int8 = timed.get("minembed-int8", {}).get("median_s")
        done = size * result["width"] / own / 1e9
        peak = result["settings"]["threads"] * found["peak_gf_s"]
        share = 4 * done / found["bandwidth_gb_s"] if queries <= FEW else 2 * queries * done / peak
        lines.append(
            [
                cell,
                *(time_of(timed.get(name)) for name in names),
                judged(best / own, LEAST[queries]),
                judged(own / int8, INT8_LEAST.get(queries, 0.0)) if int8 else "",
                f"{100 * share:.0f} % of the {'memory' if queries <= FEW else 'peak'}",
            ]
        )
    return ["queries x k", *names, "ratio", "int8 over float32", "limit"], lines


def judged(value: float, least: float) -> str:
    """A ratio, in bold where it is less than was asked for."""
    return f"{value:.2f}" if value >= least else f"**{value:.2f}**"


def time_of(row: dict | None) -> str:
    """Milliseconds; or why there are none."""
    if row is None:
        return "slow"
    return f"{1e3 * row['median_s']:.1f}" if "median_s" in row else "wrong"


def best_peer(timed: dict) -> float:
    """The fastest of the others, by its median."""
    return min(row["median_s"] for name, row in timed.items() if name not in OWN and "median_s" in row)
