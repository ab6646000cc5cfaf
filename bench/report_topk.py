"""The report's section on exact top-k."""

from report_common import machine, table
from search_peers import OWN

NOTE = """Inner products of unit vectors, {width} wide, made (their spectrum falls as that of real embeddings);
milliseconds a call, medians of the few laps that fit into some seconds; every contestant's scores are checked against
minembed's first. *Exact* is said of all: minembed's order is that of float64 scores with ties by index, the others'
that of their float32 sums. minembed-int8 reads a quantised copy first, with an error bound, and gives the same rows; it
is for up to 16 queries at a time, beyond which it is minembed. *ratio* is the best peer's time over minembed's. Of the
bytes read, *bandwidth* is the share of what {threads} threads read in plain maxima over large arrays ({bandwidth}
GB/s); it is told where few queries leave the memory as the limit. *slow*: who goes query by query and, by the time for
a tenth of them, would take more than 2 s."""


def topk(result: dict, plots: dict[str, str]) -> str:
    """A table for each size of corpus."""
    parts = ["## Exact top-k", machine(result)]
    for size, found in result["sizes"].items():
        parts += [f"### {int(size):,} rows", table(*rows(int(size), found, result["width"]), left=1)]
    bandwidths = " and ".join(str(found["bandwidth_gb_s"]) for found in result["sizes"].values())
    text = NOTE.format(width=result["width"], threads=result["settings"]["threads"], bandwidth=bandwidths)
    parts.insert(2, " ".join(text.split()))
    if result["absent"]:
        parts.append("Took no part: " + "; ".join(f"{name} ({why})" for name, why in result["absent"].items()) + ".")
    return "\n\n".join(parts)


def rows(size: int, found: dict, width: int) -> tuple[list[str], list[list[str]]]:
    """Times, ratios and shares of one corpus."""
    names = list(found["versions"])
    header = ["queries x k", *names, "ratio", "int8 over float32", "bandwidth"]
    lines = []
    for cell, timed in found["cells"].items():
        own, best = timed["minembed"]["median_s"], best_peer(timed)
        int8 = timed.get("minembed-int8", {}).get("median_s")
        few = int(cell.split()[0]) <= 10
        share = 4 * size * width / own / 1e9 / found["bandwidth_gb_s"]
        lines.append(
            [
                cell,
                *(time_of(timed.get(name)) for name in names),
                f"{best / own:.2f}",
                f"{own / int8:.2f}" if int8 and few else "",
                f"{100 * share:.0f} %" if few else "",
            ]
        )
    return header, lines


def time_of(row: dict | None) -> str:
    """Milliseconds; or why there are none."""
    if row is None:
        return "slow"
    return f"{1e3 * row['median_s']:.1f}" if "median_s" in row else "wrong"


def best_peer(timed: dict) -> float:
    """The fastest of the others, by its median."""
    return min(row["median_s"] for name, row in timed.items() if name not in OWN and "median_s" in row)
