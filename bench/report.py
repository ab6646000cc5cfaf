"""REPORT.md and its plots, written from results/*/*.json and from nothing else; the plots need matplotlib.

A folder of results is a generation of processors. Each section is of the machine that was measured last; the targets
and a table of ratios show all of them.
"""

import json
from argparse import Namespace
from pathlib import Path

from matplotlib.figure import Figure

from plots import as_svg
from report_common import Generations, by_date
from report_encode import encode
from report_generations import side_by_side
from report_kernels import growth, kernels
from report_memory import coldstart, stream
from report_missed import missed
from report_native import native
from report_serve import serve, soak
from report_targets import targets
from report_topk import topk
from report_train import train
from report_wide import wide
from words import HEAD

SECTIONS = {
    "encode": ("Throughput", encode),
    "wide": ("Wide encoders", wide),
    "kernels": ("Kernels", kernels),
    "growth": ("Growth", growth),
    "coldstart": ("Cold start", coldstart),
    "stream": ("Memory while streaming", stream),
    "topk": ("Exact top-k", topk),
    "native": ("Native kernels", native),
    "train": ("Training", train),
    "serve": ("Servers", serve),
    "soak": ("A server for a long time", soak),
}


def run(options: Namespace) -> int:
    """Write REPORT.md and results/*.svg."""
    results = load(options.out / "results")
    text, plots = render(results)
    for name, plot in plots.items():
        (options.out / "results" / name).write_text(as_svg(plot), encoding="utf-8")
    (options.out / "REPORT.md").write_text(text, encoding="utf-8")
    print("wrote REPORT.md,", ", ".join(plots) or "no plots")
    return 0


def load(folder: Path) -> Generations:
    """All results, by generation and benchmark."""
    found: Generations = {}
    for path in sorted(folder.glob("*/*.json")):
        if path.stem in SECTIONS:
            found.setdefault(path.parent.name, {})[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return found


def newest(generations: Generations) -> dict[str, dict]:
    """Each benchmark's last result, on any machine."""
    return {name: found[0][name] for name in SECTIONS if (found := by_date(generations, name))}


def render(generations: Generations) -> tuple[str, dict[str, Figure]]:
    """The report's text, and its plots by file name."""
    plots: dict[str, Figure] = {}
    results = newest(generations)
    parts = [HEAD, targets(generations, results), side_by_side(generations), missed(generations)]
    for name, (title, section) in SECTIONS.items():
        if name in results:
            parts.append(section(results[name], plots))
        else:
            parts.append(f"## {title}\n\nNot measured yet: `python bench {name}`.")
    return "\n\n".join(part for part in parts if part) + "\n", plots
