"""The report's section on exact top-k."""

from matplotlib.figure import Figure

from report_common import machine, table
from search_peers import OWN

LEAST = {1: 1.2, 10: 2.0, 100: 2.0, 1000: 1.0}  # by queries: the ratio that is asked for
INT8_LEAST = {1: 2.0, 10: 2.0}
FEW = 10  # queries up to here leave the memory as the limit, more the multipliers
NOTE = """Inner products of unit vectors, {width} wide, made (their spectrum falls as that of real embeddings);
milliseconds a call, medians of the few laps that fit into some seconds; every contestant's scores are checked against
minembed's first. *Exact* is said of all: minembed's order is that of float64 scores with ties by index, the others'
that of their float32 sums. minembed-int8 scans a quantised copy, with an error bound for each row, and gives the same
rows and scores. *ratio* is the best peer's time over minembed's in float32; asked for are {least} with 1, 10, 100 and
1,000 queries, and twice the speed of float32 from int8 with 1 and 10; what is less is **bold**. *limit* is the share
of what the machine can do that minembed reaches in float32: with few queries, of the {bandwidth} GB/s that {threads}
threads read in plain maxima over large arrays (the memory of this virtual machine is faster at some times than at
others, so more than all of it was seen too); with many, of the {peak} GF/s that the register tile makes of numbers in
the first-level cache, {threads} times. *slow*: who goes query by query and, by the time for a tenth of them, would take
more than 2 s."""


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
        parts.append("Took no part: " + "; ".join(f"{name} ({why})" for name, why in result["absent"].items()) + ".")
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
