"""Draw the pictures of the docs from the real model: run `python docs/make_pictures.py`.

demo.svg is the heat map of `minembed demo`; cosine.svg shows the cosines of unrelated sentences and of paraphrases.
"""

import csv
from pathlib import Path

import numpy as np

from minembed import Embedder, cosine_similarity
from minembed.cli.demo import COOKING, PROGRAMMING
from minembed.cli.heatmap import colour, luminance
from minembed.search.similarity import pairwise

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


SCALE, ROW, BINS = 520, 150, np.linspace(-0.2, 1.0, 49)


def pooled(model: Embedder, texts: list[str], layer: str) -> np.ndarray:
    """The mean of each text's hidden states after a layer."""
    tokens, states = model.tokenize(texts), {}
    model.forward(tokens, observe=lambda name, hidden: states.update({name: hidden.copy()}))
    return np.add.reduceat(states[layer], tokens.cu_seqlens[:-1], axis=0) / tokens.lengths()[:, None]


def histograms(rows: list[tuple[str, np.ndarray, np.ndarray]]) -> str:
    """Write, for each title, a histogram of unrelated cosines, and a dot for each cosine of paraphrases."""
    width, height = SCALE + 60, ROW * len(rows) + 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif"'
        ' font-size="13" role="img" aria-label="Histograms of cosines: unrelated sentences around 0.05 and paraphrases'
        ' around 0.75 at the last layer; around 0.6 and 0.9 one layer before">',
        "<style>.ink{fill:#1f2328}.line{stroke:#1f2328}@media (prefers-color-scheme: dark)"
        "{.ink{fill:#e6edf3}.line{stroke:#e6edf3}}</style>",
    ]

    def x(cosine: float) -> float:
        return 30 + SCALE * (cosine - BINS[0]) / (BINS[-1] - BINS[0])

    for i, (title, unrelated, alike) in enumerate(rows):
        base = ROW * (i + 1)
        counts, _ = np.histogram(unrelated, BINS)
        for count, left, right in zip(counts, BINS[:-1], BINS[1:], strict=True):
            tall = 80 * count / counts.max()
            parts.append(
                f'<rect x="{x(left):.1f}" y="{base - tall:.1f}" width="{x(right) - x(left) - 1:.1f}"'
                f' height="{tall:.1f}" fill="#8b949e"/>'
            )
        for cosine in alike:
            parts.append(f'<circle cx="{x(cosine):.1f}" cy="{base - 6}" r="5" fill="#0072b2" fill-opacity="0.7"/>')
        parts.append(f'<line class="line" x1="30" x2="{30 + SCALE}" y1="{base}" y2="{base}"/>')
        parts.append(f'<text class="ink" x="30" y="{base - ROW + 30}">{title}</text>')
        for cosine in np.arange(-0.2, 1.01, 0.2):
            place = f'x="{x(cosine):.1f}" y="{base + 16}"'
            parts.append(f'<text class="ink" {place} text-anchor="middle">{round(cosine, 1) + 0.0:.1f}</text>')
    y = height - 6
    parts.append(f'<rect x="30" y="{y - 10}" width="10" height="10" fill="#8b949e"/>')
    parts.append(f'<text class="ink" x="46" y="{y}">630 pairs of unrelated sentences</text>')
    parts.append(f'<circle cx="300" cy="{y - 5}" r="5" fill="#0072b2" fill-opacity="0.7"/>')
    parts.append(f'<text class="ink" x="311" y="{y}">12 pairs of paraphrases</text>')
    return "\n".join([*parts, "</svg>", ""])


def cosine_rows(model: Embedder) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Cosines of docs/cosine_pairs.csv at the last layer and one before: unrelated first sentences, and paraphrases."""
    with Path(__file__).with_name("cosine_pairs.csv").open(encoding="utf-8", newline="") as file:
        pairs = [(row["sentence1"], row["sentence2"], float(row["score"])) for row in csv.DictReader(file)]
    first, second, scores = (list(column) for column in zip(*pairs, strict=True))
    found = []
    for title, layer in (("The vectors of all-MiniLM-L6-v2", "layer.5"), ("One layer before", "layer.4")):
        a, b = pooled(model, first, layer), pooled(model, second, layer)
        unrelated = cosine_similarity(a, a)[np.triu_indices(len(a), 1)]
        found.append((title, unrelated, pairwise(a, b)[np.array(scores) >= 4]))
    return found


if __name__ == "__main__":
    texts = [*COOKING, *PROGRAMMING]
    labels = [f"{letter}{i + 1}" for letter, topic in (("C", COOKING), ("P", PROGRAMMING)) for i in range(len(topic))]
    model = Embedder.load()
    vectors = model.encode(texts)
    picture = heat_map(labels, texts, vectors @ vectors.T)
    Path(__file__).with_name("demo.svg").write_text(picture, encoding="utf-8")
    picture = histograms(cosine_rows(model))
    Path(__file__).with_name("cosine.svg").write_text(picture, encoding="utf-8")
