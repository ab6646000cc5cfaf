"""Draw the maps of the docs from the real model, and measure them: run `python docs/make_map_pictures.py` (extra viz).

The texts are the first paragraphs of the docstrings of Python's standard library, which every machine has.
maps.png shows them by t-SNE, UMAP and PCA side by side, map.png by t-SNE with names, map-page.png is the page in
Chromium (where that is installed); maps.json has the figures, which a test compares with maps.md.
"""

import json
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from standard_library import docstrings

from minembed import Embedder
from minembed.evaluation.pairs import spearman
from minembed.maps import Groups, Map, measure, project
from minembed.maps.picture import figure, save, scatter, settings
from minembed.maps.projection import nearest
from minembed.search.similarity import pairwise

HERE = Path(__file__).parent
SHORTEST = 16  # characters
SHOWN = 7  # modules that have a colour in the comparison
PAIRS = 50_000  # random pairs, for how a map shows distances in general


def first_paragraphs() -> tuple[list[str], list[str]]:
    """The first paragraphs of all docstrings of the standard library, none twice, and the module of each."""
    found: dict[str, str] = {}
    for docstring in docstrings():
        text = " ".join(docstring.text.split("\n\n")[0].split())
        if len(text) >= SHORTEST:
            found.setdefault(text, docstring.module)
    return list(found), list(found.values())


def at_large(vectors: np.ndarray, points: np.ndarray) -> tuple[float, float]:
    """How a map shows distances in general: Spearman's correlation of true distances and those on the map, for random
    pairs, and for the distance of each point to its tenth neighbour."""
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, len(vectors), (2, PAIRS))
    drawn = np.linalg.norm(points[one] - points[two], axis=1)
    true_room = 1 - nearest(vectors, 10)[0][:, -1]
    rows = np.sort(rng.choice(len(vectors), min(2000, len(vectors)), replace=False))
    room = [np.partition(np.linalg.norm(points - points[i], axis=1), 10)[10] for i in rows]
    return spearman(1 - pairwise(vectors[one], vectors[two]), drawn), spearman(true_room[rows], np.array(room))


def torn(chart: Map) -> list[dict[str, Any]]:
    """Texts whose nearest neighbours by the vectors are farthest away on the map, and how many points lie between."""
    points, found = chart.projection.points, []
    cosines, rows = nearest(chart.vectors, 1)
    far = np.linalg.norm(points - points[rows[:, 0]], axis=1)
    for i in np.argsort(-far * (cosines[:, 0] > 0.75))[:40]:
        between = int((np.linalg.norm(points - points[i], axis=1) < far[i]).sum())
        pair = [chart.texts[i], chart.texts[rows[i, 0]]]
        if max(map(len, pair)) < 90:
            found.append({"texts": pair, "cosine": round(float(cosines[i, 0]), 2), "rank": between})
    return found[:3]


def beside(charts: list[Map], path: Path) -> None:
    """Draw maps side by side, with their trust below, and one legend."""
    with settings():
        fig = figure((15.0, 6.2))
        for i, chart in enumerate(charts):
            axes = fig.add_axes((0.01 + i * 0.332, 0.16, 0.316, 0.75))
            scatter(axes, chart)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_aspect("equal", "datalim")
            for spine in axes.spines.values():
                spine.set_color("#d0d7de")
            axes.set_title(chart.projection.name, fontsize=15, fontweight="bold", loc="left", color="#1f2328")
            trust = chart.trust
            line = f"trustworthiness {trust.trustworthiness:.3f} · continuity {trust.continuity:.3f}"
            axes.text(
                0, -0.05, f"{line} · kept {trust.kept:.0%}", transform=axes.transAxes, fontsize=11.5, color="#1f2328"
            )
        fig.legend(*key(charts[0]), loc="lower center", ncols=SHOWN + 1, frameon=False, fontsize=11, handletextpad=0.1)
        with path.open("wb") as file:
            save(fig, file, "png")
    small(path)


def key(chart: Map) -> tuple[list[Any], list[str]]:
    """The marks and names of a legend."""
    from matplotlib.lines import Line2D

    from minembed.maps.colours import GREY, LIGHT

    names = [*chart.groups.names, "other modules"]
    colours = [*LIGHT[: len(chart.groups.names)], GREY[0]]
    return [Line2D([], [], color=colour, marker="o", ls="", ms=7) for colour in colours], names


def small(path: Path) -> None:
    """Store a picture in 128 colours: a third of the bytes."""
    from PIL import Image

    Image.open(path).convert("RGB").quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


def screenshot(page: Path, path: Path, find: str) -> None:
    """Show a page in headless Chromium, with a search made and a point selected."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    flags = (
        "headless",
        "no-sandbox",
        "disable-gpu",
        "no-first-run",
        "disable-background-networking",
        "hide-scrollbars",
    )
    for flag in (*flags, "window-size=1360,900", f"user-data-dir={tempfile.mkdtemp()}"):
        options.add_argument(f"--{flag}")
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        driver.set_script_timeout(30)
        driver.get(page.as_uri())
        chosen = "minembedMap.select(minembedMap.data.texts.indexOf(arguments[0]))"
        wait = "setTimeout(() => {%s; setTimeout(arguments[arguments.length - 1], 600)}, 900)"
        driver.execute_async_script(wait % chosen, find)
        driver.save_screenshot(str(path))
    finally:
        driver.quit()
    small(path)


def main() -> None:
    """Make everything."""
    texts, modules = first_paragraphs()
    vectors = Embedder.load().encode(texts, truncation="silent")
    few = Groups.of_values(modules, "module")
    few = Groups(np.where(few.labels < SHOWN, few.labels, -1), few.names[:SHOWN], "module", "other modules")
    figures: dict[str, Any] = {"python": sys.version.split()[0], "texts": len(texts), "modules": len(set(modules))}
    charts = {}
    cases = {"t-SNE": {"method": "tsne"}, "UMAP": {"method": "umap"}, "PCA": {"method": "pca"}}
    cases["PCA, 3 axes"] = {"method": "pca", "dimensions": 3}
    cases |= {f"t-SNE, perplexity {p}": {"method": "tsne", "perplexity": p} for p in (5, 100)}
    cases |= {f"UMAP, {n} neighbours": {"method": "umap", "neighbours": n} for n in (5, 100)}
    for name, options in cases.items():
        print(name, flush=True)
        found = project(vectors, **options)
        charts[name] = Map(vectors.astype(float), tuple(texts), found, few, measure(vectors, found.points))
        large, room = at_large(charts[name].vectors, found.points)
        trust = charts[name].trust
        figures[name] = {
            "trustworthiness": round(trust.trustworthiness, 3),
            "continuity": round(trust.continuity, 3),
            "kept": round(trust.kept, 2),
            "distances": round(large, 2),
            "room": round(room, 2),
            "shares": [round(share, 3) for share in found.shares],
        }
    figures["torn"] = torn(charts["t-SNE"])
    noise = np.random.default_rng(0).normal(size=(1500, 384))
    islands = project(noise, "tsne", perplexity=5)
    trust = measure(noise, islands.points)
    figures["noise"] = {"trustworthiness": round(trust.trustworthiness, 3), "kept": round(trust.kept, 2)}
    beside([charts[name] for name in ("t-SNE", "UMAP", "PCA")], HERE / "maps.png")
    named = Groups.found(charts["t-SNE"].vectors, charts["t-SNE"].projection.points, texts)
    chart = replace(charts["t-SNE"], groups=named, model="all-MiniLM-L6-v2")
    chart.save(HERE / "map.png")
    small(HERE / "map.png")
    (HERE / "maps.json").write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if shutil.which("chromium") and shutil.which("chromedriver"):
        with tempfile.TemporaryDirectory() as folder:
            chart.save(Path(folder) / "map.html")
            screenshot(Path(folder) / "map.html", HERE / "map-page.png", "Read and write ZIP files.")


if __name__ == "__main__":
    main()
