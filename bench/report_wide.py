"""The report's section on wider encoders."""

from matplotlib.figure import Figure

from peers import OURS
from report_common import BUSY, TITLES, best_peer, faster, machine, missing, noisy, share_of_tiles, table
from report_encode import quarter, said
from words import WIDE

COLUMNS = ("tokens/s", "over the best peer", "mean cosine")


def wide(result: dict, plots: dict[str, Figure]) -> str:
    """A row for each encoder and length, and the times of all contestants."""
    results = result["results"]
    busy = [who for rows in results.values() for who in noisy(rows)]
    warning = f"{BUSY} (During: {', '.join(dict.fromkeys(busy))}.)" if busy else ""
    parts = ["## Wide encoders", machine(result), WIDE, overview(result), warning, details(results)]
    return "\n\n".join(part for part in [*parts, missing(result["contestants"])] if part)


def overview(result: dict) -> str:
    """Speed and ratio in each precision."""
    header = ["", *(f"{precision}, {column}" for precision in OURS for column in COLUMNS), "share of the tiles' peak"]
    lines = [
        [
            name,
            *(cell for precision in OURS for cell in cells(rows, precision)),
            share_of_tiles(result, result["models"][name.partition(",")[0]], rows),
        ]
        for name, rows in result["results"].items()
    ]
    return table(header, lines)


def cells(rows: dict[str, dict], precision: str) -> list[str]:
    """Tokens a second, the ratio (int8: over the best peer in bfloat16, none being measured in int8), the cosine."""
    ours = OURS[precision]
    row = rows.get(ours, {})
    if "median_s" not in row:
        return ["", "", ""]
    ratio = faster(rows, ours, best_peer(rows, precision) or best_peer(rows, "bfloat16"))
    cosine = f"{row['mean_cosine']:.5f}" if "mean_cosine" in row else ""
    return [f"{row['tokens_per_s']:,.0f}", "" if ratio is None else f"{ratio:.2f}", cosine]


def details(results: dict[str, dict]) -> str:
    """The times of all contestants."""
    lines = [
        [
            workload, TITLES[who], said(row.get("setting", {})),
            *(f"{1e3 * value:.1f}" for value in (row["median_s"], quarter(row), row["best_s"])),
            f"{row['tokens_per_s']:,.0f}", f"{row['mean_cosine']:.6f}", f"{row['peak_mb'] or 0:,.0f}",
        ]
        for workload, rows in results.items()
        for who, row in rows.items()
        if "mean_cosine" in row and "median_s" in row
    ]  # fmt: skip
    header = ["", "", "run as", "median ms", "p25 ms", "best ms", "tokens/s", "mean cosine", "peak MB"]
    return table(header, lines, left=3)
