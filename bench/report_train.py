"""The report's section on training."""

from matplotlib.figure import Figure

from report_common import BUSY, NOISY, machine, table

NOTE = """Fine-tuning with CoSENT: 16 scored pairs per batch, AdamW, dropout 0.1, clipped gradients. Tokens without
padding; tokenising included; medians of {rounds} new processes each, which take turns. The losses of 10 steps
without dropout are within {apart:.0e} of those of sentence-transformers. *pairs*: sentences in their given order;
*equal*: 128 tokens each, so nobody pads. Targets: 2 x on pairs, 1.5 x on equal lengths, half of the memory."""
TITLES = {
    "minembed": "**minembed**",
    "minembed-numpy": "minembed, NumPy tier",
    "sentence_transformers": "sentence-transformers, torch",
}


def train(result: dict, plots: dict[str, Figure]) -> str:
    """A table of speeds and peaks, and the scores of the whole recipe."""
    apart, reference = max(result["losses_apart"].values()), "sentence_transformers"
    text = " ".join(NOTE.format(rounds=result["settings"]["rounds"], apart=apart).split())
    rows = []
    for workload, found in result["results"].items():
        for name, row in found.items():
            speed = row["tokens_per_s"] / found[reference]["tokens_per_s"]
            memory = row["peak_mb"] / found[reference]["peak_mb"]
            own = name != reference
            cells = [f"{row['tokens_per_s']:,.0f}", f"{speed:.2f}" if own else "", f"{row['peak_mb']:,.0f}"]
            rows.append([workload, TITLES[name], *cells, f"{memory:.2f}" if own else ""])
    header = ["", "", "tokens/s", "ratio", "peak MB", "share"]
    parts = ["## Training", machine(result), text, table(header, rows, left=2)]
    if any((row["disturbance"] or 0) > NOISY for found in result["results"].values() for row in found.values()):
        parts.append(BUSY)
    if result["whole"]:
        lines = [
            [TITLES[name], *(f"{100 * score:.2f}" for score in found["spearman"])]
            for name, found in result["whole"].items()
        ]
        parts.append("The whole recipe: Spearman x 100 on the development pairs, before and after every epoch.")
        parts.append(table(["", "before", "1", "2", "3"], lines))
    return "\n\n".join(parts)
