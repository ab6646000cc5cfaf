"""REPORT.md and its plots, written from results/*.json and from nothing else. Standard library only."""

import json
from argparse import Namespace
from pathlib import Path

from report_encode import encode
from report_kernels import growth, kernels
from report_memory import coldstart, stream
from report_missed import missed
from report_targets import targets
from report_topk import topk
from report_train import train
from words import HEAD

SECTIONS = {
    "encode": ("Throughput", encode),
    "kernels": ("Kernels", kernels),
    "growth": ("Growth", growth),
    "coldstart": ("Cold start", coldstart),
    "stream": ("Memory while streaming", stream),
    "topk": ("Exact top-k", topk),
    "train": ("Training", train),
}


def run(options: Namespace) -> int:
    """Write REPORT.md and results/*.svg."""
    results = load(options.out / "results")
    text, plots = render(results)
    for name, plot in plots.items():
        (options.out / "results" / name).write_text(plot, encoding="utf-8")
    (options.out / "REPORT.md").write_text(text, encoding="utf-8")
    print("wrote REPORT.md,", ", ".join(plots) or "no plots")
    return 0


def load(folder: Path) -> dict[str, dict]:
    """The results that there are, by benchmark."""
    paths = {name: folder / f"{name}.json" for name in SECTIONS}
    return {name: json.loads(path.read_text(encoding="utf-8")) for name, path in paths.items() if path.exists()}


def render(results: dict[str, dict]) -> tuple[str, dict[str, str]]:
    """The report's text, and its plots by file name."""
    plots: dict[str, str] = {}
    parts = [part for part in (HEAD, targets(results), missed(results)) if part]
    for name, (title, section) in SECTIONS.items():
        if name in results:
            parts.append(section(results[name], plots))
        else:
            parts.append(f"## {title}\n\nNot measured yet: `python bench {name}`.")
    return "\n\n".join(parts) + "\n", plots
