"""Draw docs/demo.svg, the heat map of `minembed demo`, from the real model: run `python docs/make_pictures.py`."""

from pathlib import Path

import numpy as np

from minembed import Embedder
from minembed.cli.demo import COOKING, PROGRAMMING
from minembed.cli.heatmap import colour, luminance

CELL, LEFT, TOP = 44, 420, 40


def heat_map(labels: list[str], texts: list[str], scores: np.ndarray) -> str:
    """Write the matrix as SVG, each row with its sentence."""
    n = len(texts)
    top = scores[~np.eye(n, dtype=bool)].max()  # the ramp ends at the largest value off the diagonal
    width, height = LEFT + n * CELL + 10, TOP + n * CELL + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif"'
        ' font-size="13" role="img" aria-label="Cosines of ten sentences: high within a topic, near 0 across">',
        "<style>.ink{fill:#1f2328}@media (prefers-color-scheme: dark){.ink{fill:#e6edf3}}</style>",
    ]
    for i in range(n):
        y, x = TOP + i * CELL, LEFT + i * CELL
        parts.append(f'<text class="ink" x="{LEFT - 10}" y="{y + 27}" text-anchor="end">{texts[i]}  {labels[i]}</text>')
        parts.append(f'<text class="ink" x="{x + CELL / 2}" y="{TOP - 12}" text-anchor="middle">{labels[i]}</text>')
        for j in range(n):
            rgb = colour(min(max(float(scores[i, j]) / top, 0), 1))
            background, ink = f"rgb{rgb}", "#000000" if luminance(rgb) > 0.2 else "#ffffff"
            left = LEFT + j * CELL
            parts.append(f'<rect x="{left}" y="{y}" width="{CELL}" height="{CELL}" fill="{background}"/>')
            middle, score = left + CELL / 2, round(float(scores[i, j]), 2) + 0.0
            parts.append(f'<text x="{middle}" y="{y + 27}" text-anchor="middle" fill="{ink}">{score:.2f}</text>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    texts = [*COOKING, *PROGRAMMING]
    labels = [f"{letter}{i + 1}" for letter, topic in (("C", COOKING), ("P", PROGRAMMING)) for i in range(len(topic))]
    vectors = Embedder.load().encode(texts)
    picture = heat_map(labels, texts, vectors @ vectors.T)
    Path(__file__).with_name("demo.svg").write_text(picture, encoding="utf-8")
