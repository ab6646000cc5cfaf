"""Train an encoder from random weights on Python's own documentation, and draw the pictures of from-nothing.md.

    python docs/train_from_nothing.py FOLDER

FOLDER gets the texts, and the two trainings by the commands of the page; existing results are kept.  The figures are
written to from-nothing.json, which a test compares with the page.  Needs the extra viz.
"""

import csv
import json
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from standard_library import docstrings, topics

from minembed import Embedder
from minembed.cli.demo import COOKING, PROGRAMMING, separation
from minembed.data.examples import read_examples
from minembed.maps.heat import RAMP
from minembed.maps.picture import INK, SOFT, figure, save, settings
from minembed.train.evaluation import retrieval_score
from minembed.train.masked_lm import held_out, masked_loss, unigram_entropy
from minembed.train.model import Trainee
from minembed.train.settings import Settings

HERE = Path(__file__).parent
HELD = 300  # documents that nothing is trained on
PIECE = 80  # words of a text, at most: what 128 tokens hold
SHORTEST = 3  # words of a paragraph
COMMANDS = {
    "words": "train mlm texts.txt words --init small --evaluate held-texts.txt --epochs 16 --dropout 0",
    "sentences": "train contrastive pairs.csv sentences -m words/model --evaluate held-pairs.csv --epochs 3"
    " --batch-size 64 --learning-rate 1e-3 --no-duplicates",
}
STAGES = {"nothing learned": "words/start", "words learned": "words/model", "sentences learned": "sentences/model"}
FILES = (
    "Open the file and read it line by line.",
    "Copy a directory tree to another place on the disk.",
    "Delete the temporary files when the program ends.",
    "Return the size of the file in bytes.",
    "Create a new folder if the path does not exist.",
)
TIMES = (
    "Return the current date and time as a string.",
    "Convert the timestamp to local time.",
    "The number of days between two dates.",
    "Parse the year, month and day of a date.",
    "Add one hour to the clock in the given time zone.",
)
GAPS = (
    "Return the [MASK] of the file in bytes.",
    "Raise a [MASK] if the argument is not an integer.",
    "The default encoding is [MASK].",
)
Document = tuple[str, list[str]]  # its subject in words, and its paragraphs


def documents() -> list[Document]:
    """Docstrings, and chapters of the language's reference, with paragraphs of some length; none twice."""
    found: dict[tuple[str, ...], str] = {}
    named = [(in_words(d.names), d.paragraphs()) for d in docstrings()] + [("", parts) for parts in topics().values()]
    for name, parts in named:
        long = tuple(part for part in parts if len(part.split()) >= SHORTEST)
        if long:
            found.setdefault(long, name)
    return [(name, list(parts)) for parts, name in found.items()]


def in_words(names: Iterable[str]) -> str:
    """("email", "message", "MIMEPart", "_make_boundary") as "email message mime part make boundary"."""
    parts = " ".join(names).replace("_", " ")
    return " ".join(re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", parts).lower().split())


def pieces(some: list[Document]) -> list[str]:
    """Texts to learn words from: neighbouring paragraphs together, up to PIECE words."""
    found: dict[str, None] = {}
    for _, parts in some:
        words: list[str] = []
        for part in map(str.split, parts):
            for start in range(0, len(part), PIECE):
                more = part[start : start + PIECE]
                if len(words) + len(more) > PIECE:
                    found[" ".join(words)] = None
                    words = []
                words += more
        found[" ".join(words)] = None
    return list(found)


def pairs(some: list[Document]) -> list[tuple[str, str]]:
    """Texts that belong together: a name and what it is of, a paragraph and the next, a sentence and its paragraph."""
    found: dict[tuple[str, str], None] = {}
    for name, parts in some:
        if name:
            found[name, parts[0]] = None
        found.update(dict.fromkeys(pairwise(parts)))
        for part in parts:
            first, _, rest = re.sub(r"(?<=[.!?]) (?=[A-Z])", "\n", part).partition("\n")
            if min(len(first.split()), len(rest.split())) > SHORTEST:
                found[first, rest.replace("\n", " ")] = None
    return list(found)


def write_texts(folder: Path) -> dict[str, int]:
    """Write texts and pairs, and those that are held back; the latter without those that are in both."""
    known = documents()
    random.Random(0).shuffle(known)
    held, rest = known[:HELD], known[HELD:]
    texts, judged = pieces(rest), pieces(held)
    judged = [text for text in judged if text not in set(texts)]
    learned, asked = pairs(rest), pairs(held)
    asked = [pair for pair in asked if pair not in set(learned)]
    for name, lines in (("texts.txt", texts), ("held-texts.txt", judged)):
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    for name, rows in (("pairs.csv", learned), ("held-pairs.csv", asked)):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("anchor", "positive"), *rows])
    words = sum(len(text.split()) for text in texts)
    return {"documents": len(known), "words": words, "texts": len(texts), "held_texts": len(judged)} | {
        "pairs": len(learned),
        "held_pairs": len(asked),
    }


def run(folder: Path, name: str) -> float:
    """Run a training, unless it has run already; returns its seconds."""
    took = folder / f"{name}.seconds"
    if not took.exists():
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "minembed", *COMMANDS[name].split()], cwd=folder, check=True)
        took.write_text(f"{time.perf_counter() - began:.0f}", encoding="utf-8")
    return float(took.read_text(encoding="utf-8"))


def history(folder: Path, name: str) -> list[dict[str, Any]]:
    """The lines of a training's history."""
    return [json.loads(line) for line in (folder / name / "history.jsonl").read_text(encoding="utf-8").splitlines()]


def unigrams(folder: Path) -> dict[str, float]:
    """The loss of a model that knows only word frequencies, and of the model before and after, on the same words."""
    held, texts = ((folder / f"{n}.txt").read_text(encoding="utf-8").splitlines() for n in ("held-texts", "texts"))
    new, learned = (Trainee.load(folder / "words" / n, head=True, make_head=True) for n in ("start", "model"))
    ids = new.tokenizer(texts).ids
    counts = np.bincount(ids, minlength=new.checkpoint.config.vocab_size)
    counts[:5] = 0  # special tokens are never hidden
    found = {"tokens": len(ids), "vocabulary": len(counts)}
    found["unigram_entropy"] = round(unigram_entropy(held_out(new, held, Settings()), counts), 3)
    return found | {n: round(masked_loss(m, held, Settings()), 3) for n, m in (("before", new), ("after", learned))}


def exercise(folder: Path, sentences: tuple[str, ...]) -> dict[str, Any]:
    """The cosines of ten sentences, the first five of one topic, at every stage."""
    found = {}
    for stage, place in STAGES.items():
        vectors = Embedder.load(folder / place).encode(list(sentences)).astype(np.float64)
        cosines = vectors @ vectors.T
        apart = separation(cosines, 5)
        near = np.where(np.eye(10, dtype=bool), -1, cosines).argmax(axis=1)
        found[stage] = {
            "within": round(apart.mean_within, 2),
            "across": round(apart.mean_across, 2),
            "neighbours": int(((near < 5) == (np.arange(10) < 5)).sum()),
            "cosines": cosines.round(3).tolist(),
        }
    return found


def smooth(values: list[float], width: int) -> np.ndarray:
    """Means of `width` neighbours."""
    return np.convolve(values, np.ones(width) / width, mode="valid")


def draw_curves(folder: Path, entropy: float, path: Path) -> None:
    """The losses of both trainings, step by step, and what was measured on texts held back."""
    with settings():
        fig = figure((11.0, 4.0))
        titles = ("Learning words: loss, nats a hidden word", "Learning sentences: loss of picking the right one of 64")
        for i, (name, title) in enumerate(zip(COMMANDS, titles, strict=True)):
            axes = fig.add_axes((0.05 + 0.5 * i, 0.13, 0.43, 0.72))
            lines = history(folder, name)
            losses, width = smooth([line["loss"] for line in lines], 50), 50
            axes.plot(np.arange(width, len(lines) + 1)[::10], losses[::10], color="#226a8e", lw=1.3, label="training")
            at, scores = zip(*((line["step"], line["score"]) for line in lines if "score" in line), strict=True)
            if name == "words":
                axes.plot(at, [-score for score in scores], "o-", color="#c2410c", ms=4, lw=1, label="held back")
                axes.axhline(entropy, color=SOFT, lw=1, ls="--")
                said = "knowing only how frequent words are"
                axes.text(at[-1], entropy + 0.1, said, ha="right", va="bottom", color=SOFT, fontsize=9)
            else:
                for x, score in zip(at, scores, strict=True):
                    place = x, losses[min(x - width, len(losses) - 1)]
                    axes.plot(*place, "o", color="#c2410c", ms=4)
                    side = {"textcoords": "offset points", "ha": "right" if x == at[-1] else "left"}
                    axes.annotate(
                        f"held back:\nnDCG@10 {score:.2f}", place, (2, 14), fontsize=9, color="#c2410c", **side
                    )
            axes.set_title(title, loc="left", fontsize=11, fontweight="bold", color=INK)
            axes.set_xlabel("step", fontsize=9, color=SOFT)
            axes.tick_params(labelsize=9, labelcolor=SOFT, color=SOFT)
            axes.set_ylim(bottom=0)
            axes.legend(frameon=False, fontsize=9, loc="lower left", labelcolor=INK)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
        with path.open("wb") as file:
            save(fig, file, "svg")


def draw_matrices(stages: dict[str, Any], path: Path) -> None:
    """The matrices of cosines side by side, on one scale."""
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("lighter", RAMP)
    with settings():
        fig = figure((12.4, 4.7))
        for i, (stage, facts) in enumerate(stages.items()):
            axes = fig.add_axes((0.035 + 0.325 * i, 0.05, 0.3, 0.79))
            axes.imshow(facts["cosines"], cmap=colours, vmin=0, vmax=1)
            names = [f"{topic}{k}" for topic in "FT" for k in range(1, 6)]
            axes.set_xticks(range(10), names, fontsize=9)
            axes.set_yticks(range(10), names, fontsize=9)
            axes.xaxis.tick_top()
            axes.tick_params(length=0, labelcolor=INK)
            for spine in axes.spines.values():
                spine.set_visible(False)
            for row, values in enumerate(facts["cosines"]):
                for column, value in enumerate(values):
                    ink = "white" if value < 0.5 else "black"
                    axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color=ink)
            said = f"within {facts['within']:.2f}, across {facts['across']:.2f}"
            axes.set_title(f"{stage}: {said}", loc="left", fontsize=11, fontweight="bold", color=INK, pad=20)
        with path.open("wb") as file:
            save(fig, file, "svg")


def main() -> None:
    """Make everything."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    figures: dict[str, Any] = {"python": sys.version.split()[0]} | write_texts(folder)
    figures["seconds"] = {name: run(folder, name) for name in COMMANDS}
    figures |= unigrams(folder)
    figures["ndcg"] = [round(line["score"], 4) for line in history(folder, "sentences") if "score" in line]
    learned, asked = Embedder.load(folder / STAGES["words learned"]), read_examples(folder / "held-pairs.csv")
    figures["ndcg_before"] = round(retrieval_score(learned, asked), 4)
    figures["gaps"] = {gap: [guess["token_str"] for guess in learned.fill_mask(gap, top_k=4)] for gap in GAPS}
    figures["files and times"] = exercise(folder, FILES + TIMES)
    figures["cooking and programming"] = exercise(folder, COOKING + PROGRAMMING)
    draw_curves(folder, figures["unigram_entropy"], HERE / "from-nothing-curves.svg")
    draw_matrices(figures["files and times"], HERE / "from-nothing.svg")
    for name in ("files and times", "cooking and programming"):
        for facts in figures[name].values():
            del facts["cosines"]
    (HERE / "from-nothing.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
