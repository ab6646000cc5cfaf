"""The report's section on kernels that were compiled ahead of time, beside Numba's."""

from matplotlib.figure import Figure

from peers import SINGLE
from report_common import machine, table

LEAST, LEAST_OF_SINGLE = 0.98, 0.95  # the targets
NOTE = """Throughput of the kernels that a wheel contains, over that of the same kernels compiled by Numba on this
machine. Each backend has its own process, and they take turns. The first number is from the wall clock, the second
from CPU time (medians of {laps} laps, or of at least 3 that fit into some seconds). Bits were compared first: {bits}.
Texts: {texts}. The targets are {least}, and {single} for single queries; where the wall clock misses one, it is
**bold**."""


def native(result: dict, plots: dict[str, Figure]) -> str:
    """A table of workloads, and one of searches."""
    cells = [cell for part in ("encode", "topk") for row in result[part].values() for cell in row.values()]
    other = sum(not cell["same_bits"] for cell in cells)
    bits = f"they differ in {other} of {len(cells)} cells" if other else f"they are the same in all {len(cells)} cells"
    settings = result["settings"]
    texts = ", ".join(f"{count:,} {name}" for name, count in settings["texts"].items())
    note = NOTE.format(laps=settings["laps"], bits=bits, texts=texts, least=LEAST, single=LEAST_OF_SINGLE)
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


def ratios(cell: dict, least: float) -> str:
    """Both ratios; the first in bold if it misses the target."""
    wall = f"{cell['ratio']:.2f}"
    return f"{wall if cell['ratio'] >= least else f'**{wall}**'}, {cell['cpu_ratio']:.2f}"
