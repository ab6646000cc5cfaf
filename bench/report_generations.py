"""The report's table of ratios on every generation of processors that was measured, side by side."""

from peers import PRECISIONS, WORKLOADS
from report_common import Generations, by_date, generation, over_best, revision, table

NOTE = """Speed of minembed divided by that of the best peer of the same precision, in that peer's best setting, by
medians. Each column is a separate run on another machine. Two threads unless stated."""


def side_by_side(generations: Generations) -> str:
    """The section; empty where nothing was measured."""
    encodes, wides = by_date(generations, "encode"), by_date(generations, "wide")
    columns = [*encodes, *(results for results in wides if results not in encodes)]
    if not columns:
        return ""
    firsts = [results.get("encode") or results["wide"] for results in columns]
    lines = [["processor", *(first["machine"]["cpu"].partition(", avx")[0] for first in firsts)]]
    lines.append(["measured", *map(when, firsts)])
    for precision in PRECISIONS:
        lines += [
            [f"{workload}, {precision}", *(cell(results.get("encode"), workload, precision) for results in columns)]
            for workload in WORKLOADS
        ]
    for workload in dict.fromkeys(name for results in wides for name in results["wide"]["results"]):
        lines += [
            [f"{workload}, {precision}", *(cell(results.get("wide"), workload, precision) for results in columns)]
            for precision in ("float32", "bfloat16")
        ]
    return "\n\n".join(["## Generations side by side", NOTE, table(["", *map(generation, firsts)], lines)])


def when(result: dict) -> str:
    """When, at which revision, and with how many threads where these are not two."""
    threads = result["settings"]["threads"]
    return f"{result['date'][:10]}, {revision(result)}" + (f", threads: {threads}" if threads != 2 else "")


def cell(result: dict | None, workload: str, precision: str) -> str:
    """A ratio; empty where it was not measured."""
    rows = (result or {}).get("results", {}).get(workload, {})
    value, _ = over_best(rows, precision)
    return "" if value is None else f"{value:.2f}"
