"""The texts: generated, the same on every machine, of the project's own making.

short   single sentences, about 15 tokens each
mixed   paragraphs whose length is lognormal, about 78 tokens on average, some beyond 256
long    160 texts that all fill the model's 256 tokens
arrival the mixed texts, for those who batch them as they come
single  220 of the short texts, one a call
"""

import csv
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

WHO = (
    "a young man;the old teacher;my neighbour;her youngest child;a group of students;the doctor;"
    "an engineer from Lisbon;the orchestra;a small dog;her grandmother;the committee;a tired traveller;our cook;"
    "the apprentice;a woman in a red coat;a retired judge;the bus driver;a street musician;the librarian;somebody"
).split(";")
DOES = (
    "is reading;repaired;is slowly painting;wants to buy;described;has never seen;is carrying;carefully measured;lost;"
    "is washing;found;keeps talking about;photographed;will not sell;forgot;is looking for;translated;is drawing;"
    "explained;has just finished"
).split(";")
WHAT = (
    "an old map;the broken bicycle;a bowl of lentil soup;the wooden bridge;three letters;a theory of colour;the garden"
    " gate;a loaf of rye bread;the annual report;an unusual seashell;the kitchen table;a short program;the violin;a"
    " basket of apples;the weather station;a chapter about migrating birds;the spare key;a silver coin;the new"
    " timetable;a recipe for pancakes"
).split(";")
WHERE = (
    "in the market square;near the harbour;on the train to Vienna;at the university;behind the bakery;in a quiet"
    " laboratory;under the chestnut tree;by the river;on the second floor;at the edge of the forest;in front of the"
    " town hall;on a windy afternoon"
).split(";")
WHY = (
    "because the shop closes at noon;while it was raining;although nobody had asked;before the concert began;so that"
    " everyone could see it;when the electricity went out;after a long discussion;because winter came early;while the"
    " others were asleep;and then went home without a word"
).split(";")


RUN = 64  # texts: the largest batch that is tried


@dataclass(frozen=True)
class Workload:
    """Texts to embed, and where they come from."""

    name: str
    texts: tuple[str, ...]
    source: str = "generated"
    pairs: tuple[tuple[int, int, float], ...] = ()  # two texts and their human score

    @property
    def one_by_one(self) -> bool:
        """Whether each text is a call of its own, and a lap's time that of the median call."""
        return self.name == "single"

    @property
    def digest(self) -> str:
        """The SHA-256 of the texts, so that two runs can be told to have read the same."""
        return hashlib.sha256("\n".join(self.texts).encode()).hexdigest()

    def head(self, fraction: float) -> "Workload":
        """The first part of the texts, at least eight, for a quick look."""
        if fraction >= 1 or self.one_by_one:
            return self
        count = max(8, round(len(self.texts) * fraction))
        pairs = tuple(pair for pair in self.pairs if max(pair[:2]) < count)
        return replace(self, texts=self.texts[:count], source=f"{self.source}, cut", pairs=pairs)

    def sample(self) -> "Workload":
        """About a third of the texts, to choose settings by.

        Whole runs of texts of like length are kept or left out, so that a batch of up to 64 pads as much as among all;
        where texts are batched as they come, the first ones are kept.
        """
        if self.one_by_one or len(self.texts) <= 2 * RUN:
            return self
        if self.name == "arrival":
            return replace(self, texts=self.texts[: len(self.texts) // 3 // 32 * 32], pairs=())
        by_length = sorted(self.texts, key=len, reverse=True)
        kept = [text for start in range(0, len(by_length), 3 * RUN) for text in by_length[start : start + RUN]]
        return replace(self, texts=tuple(kept), pairs=())


def _pick(rng: random.Random, choices: list[str]) -> str:
    return choices[int(rng.random() * len(choices))]


def sentence(rng: random.Random) -> str:
    """One sentence of 5 to 25 words."""
    parts = [_pick(rng, WHO), _pick(rng, DOES), _pick(rng, WHAT)]
    if rng.random() < 0.5:
        parts.append(_pick(rng, WHERE))
    if rng.random() < 0.4:
        parts.append(_pick(rng, WHY))
    line = " ".join(parts)
    return line[0].upper() + line[1:] + "."


def paragraph(rng: random.Random, words: int) -> str:
    """Sentences, cut to a number of words."""
    text: list[str] = []
    while len(text) < words:
        text += sentence(rng).split()
    return " ".join(text[:words])


def short(count: int = 2500) -> Workload:
    """Distinct sentences."""
    rng, texts = random.Random(1), dict[str, None]()
    while len(texts) < count:
        texts[sentence(rng)] = None
    return Workload("short", tuple(texts))


def mixed(count: int = 512) -> Workload:
    """Paragraphs of very different lengths, in no order: what a folder of documents looks like."""
    rng = random.Random(2)
    lengths = [min(max(int(rng.lognormvariate(4.05, 0.7)), 3), 240) for _ in range(count)]
    return Workload("mixed", tuple(paragraph(rng, words) for words in lengths))


def long(count: int = 160) -> Workload:
    """Texts a little beyond 256 tokens (260 words, each at least one token), so that each is cut to the same length."""
    rng = random.Random(3)
    return Workload("long", tuple(paragraph(rng, 260) for _ in range(count)))


def arrival() -> Workload:
    """The mixed texts under another name."""
    return replace(mixed(), name="arrival")


WARM_UP = 20  # texts of `single` that are not counted


def single(short: Workload) -> Workload:
    """The first of the short texts, one at a time."""
    return replace(short, name="single", texts=short.texts[: WARM_UP + 200], pairs=())


def from_lines(path: Path) -> Workload:
    """The lines of a file in place of the generated short texts."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return Workload("short", tuple(dict.fromkeys(line for line in lines if line.strip())), path.name)


def from_pairs(path: Path) -> Workload:
    """The distinct sentences of a csv of pairs (sentence1, sentence2, score) in place of the short texts."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row[:3] for row in csv.reader(file) if len(row) >= 2]
    if rows and rows[0][:2] == ["sentence1", "sentence2"]:
        rows = rows[1:]
    place = {text: number for number, text in enumerate(dict.fromkeys(text for row in rows for text in row[:2]))}
    pairs = tuple((place[row[0]], place[row[1]], float(row[2])) for row in rows if len(row) == 3)
    return Workload("short", tuple(place), f"pairs of {path.name}", pairs)


def endless(count: int) -> Iterator[str]:
    """`count` short sentences one at a time, for measuring memory: nothing is kept."""
    rng = random.Random(4)
    return (sentence(rng) for _ in range(count))
