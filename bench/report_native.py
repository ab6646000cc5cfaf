"""The report's section on kernels that were compiled ahead of time, beside Numba's."""

import statistics

from matplotlib.figure import Figure

from peers import SINGLE
from report_common import machine, table

LEAST, LEAST_OF_SINGLE = 0.98, 0.95  # the targets
NOTE = """Throughput of the kernels that a wheel contains, over that of the same kernels compiled by Numba on this
machine. Both are in one process and take turns, a lap of one beside a lap of the other: {fewest} to {pairs} pairs in
each of two processes, whose median counts. The first number is from the wall clock, the second from CPU time. In
brackets: how far the two processes' medians by CPU time are apart, which is due to where the system puts code and
weights in memory. Bits were compared first: {bits}. Texts: {texts}. The targets are {least}, and {single} for single
queries; where CPU time misses one, it is **bold**. By CPU time the median of all cells is {cpu}, by the wall clock
{wall}; {missed} of {cells} cells miss their target by CPU time, {both} of them in both processes."""


def native(result: dict, plots: dict[str, Figure]) -> str:
    """A table of workloads, and one of searches."""
    cells = [cell for part in ("encode", "topk") for row in result[part].values() for cell in row.values()]
    other = sum(not cell["same_bits"] for cell in cells)
    bits = f"they differ in {other} of {len(cells)} cells" if other else f"they are the same in all {len(cells)} cells"
    settings = result["settings"]
    texts = ", ".join(f"{count:,} {name}" for name, count in settings["texts"].items())
    note = NOTE.format(
        pairs=settings["pairs"],
        fewest=settings["fewest"],
        bits=bits,
        texts=texts,
        least=LEAST,
        single=LEAST_OF_SINGLE,
        **counted(result),
    )
    workloads = list(next(iter(result["encode"].values())))
    rows = [
        [kind, *(ratios(row[name], least_of(name)) for name in workloads)] for kind, row in result["encode"].items()
    ]
    sizes = list(result["topk"])
    names = list(result["topk"][sizes[0]])
    searches = [[name, *(ratios(result["topk"][size][name], LEAST) for size in sizes)] for name in names]
    return "\n\n".join(
        [
            "## Native kernels",
            machine(result),
            " ".join(note.split()),
            table(["", *workloads], rows),
            table(["queries x k", *(f"{int(size):,} rows" for size in sizes)], searches),
        ]
    )


def least_of(workload: str) -> float:
    """The target of a workload."""
    return LEAST_OF_SINGLE if workload == SINGLE else LEAST


def counted(result: dict) -> dict:
    """Medians of all cells, and how many miss their targets by CPU time."""
    named = [(name, cell) for part in ("encode", "topk") for row in result[part].values() for name, cell in row.items()]
    missed = [(least_of(name), cell) for name, cell in named if cell["cpu_ratio"] < least_of(name)]
    return {
        "cpu": f"{statistics.median(cell['cpu_ratio'] for _, cell in named):.2f}",
        "wall": f"{statistics.median(cell['ratio'] for _, cell in named):.2f}",
        "missed": len(missed),
        "cells": len(named),
        "both": sum(max(cell["cpu_ratios"]) < least for least, cell in missed),
    }


def ratios(cell: dict, least: float) -> str:
    """Both ratios, the second in bold if it misses the target; and how far its processes are apart."""
    cpu = f"{cell['cpu_ratio']:.2f}"
    cpu = cpu if cell["cpu_ratio"] >= least else f"**{cpu}**"
    apart = max(cell["cpu_ratios"]) / min(cell["cpu_ratios"]) - 1
    return f"{cell['ratio']:.2f}, {cpu} ({apart:.0%})"
