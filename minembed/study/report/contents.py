"""The contents of a report: two texts, the contributions to their score, attention, layers and heads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from minembed.errors import InputError, UnsupportedModelError
from minembed.models.embedder import Embedder
from minembed.runtime.columns import as_texts
from minembed.runtime.files import replacing
from minembed.study.changes import ablate_head
from minembed.study.editing import edit
from minembed.study.effects import cosines
from minembed.study.explaining import explain, levels_of
from minembed.study.explanation import Explanation, Level
from minembed.study.given import as_names, check_embedder, check_text
from minembed.study.lenses import similarity_by_layer
from minembed.study.on_numpy import on_numpy
from minembed.study.report.corpus import Corpus, corpus_of
from minembed.study.traced import Trace
from minembed.study.tracing import trace
from minembed.types import Array

NOTE_OF_HEADS = "The change of the score without the output of a head: blue means higher, orange lower."
NO_HEADS = "The model has no heads: it averages rows of a table."
MOST_TOKENS = 128  # longest text for which each head and each pair of tokens is left out in turn

TOO_LONG = f"Left out of the page: a text has more than {MOST_TOKENS} tokens."


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """The contents of the page; `save` writes it."""

    title: str
    model: str  # described in a line
    traces: tuple[Trace, Trace]
    explanations: tuple[Explanation, ...]  # one per level
    attention: tuple[Array, ...]  # of each text (L, H, N, N); empty if the model has no layers
    layers: dict[str, float]  # the score if the encoder stopped after each step
    heads: Array | None  # (L, H): the change of the score without each head
    heads_note: str
    notes: tuple[str, ...] = ()
    corpus: Corpus | None = None

    def html(self) -> str:
        """The page, which needs no other file and no network."""
        from minembed.study.report.page import page  # late import: page.py needs this file

        return page(self)

    def _repr_html_(self) -> str:
        """In a notebook: every level, without the script of the page."""
        return "".join(found._repr_html_() for found in self.explanations)

    def save(self, path: str | Path) -> None:
        """Write the page, completely or not at all."""
        text = self.html()
        with replacing(Path(path)) as file:
            file.write(text.encode("utf-8", "replace"))


def report(
    model: Embedder,
    a: str,
    b: str,
    *,
    corpus: Iterable[str] | None = None,
    levels: Sequence[Level] | None = None,
    title: str | None = None,
) -> Report:
    """Compute the contents of a page about two texts; its `save` writes one HTML file that needs nothing else.

    `corpus` are other texts, which the page shows with the two on a map, where the reader can compare any two by their
    output tokens.  `levels` are those of `explain`; the default is all that the compute type allows for texts of up to
    128 tokens, and only "output" for longer ones.  The effect of each head is computed up to that length, too.

    Raises InputError if the corpus does not fit into a page, and if the model allows none of the levels.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> report(model, "A cat sleeps.", "A kitten naps.").save("cats.html")  # doctest: +SKIP
    """
    check_embedder(model, "report")
    for name, text in (("a", a), ("b", b), ("title", "" if title is None else title)):
        check_text(text, name)
    asked = None if levels is None else cast("tuple[Level, ...]", as_names(levels, "levels"))
    others = [] if corpus is None else as_texts(corpus, "corpus")
    reference = on_numpy(model)
    names = ("layer.*.probabilities", "vector") if model.config.num_hidden_layers else "vector"
    one, other = trace(reference, [a, b], names=names)
    short = max(len(one.pieces), len(other.pieces)) <= MOST_TOKENS
    chosen = asked if asked is not None else levels_of(model) if short else ("output",)
    heads = heads_of(reference, a, b) if short and model.config.num_hidden_layers else None
    by_layer = similarity_by_layer(reference, a, b)
    return Report(
        title=title or f"{shortened(a)} | {shortened(b)}",
        model=described(model),
        traces=(one, other),
        explanations=explained(reference, a, b, chosen),
        attention=attention_of(one, other),
        layers=dict(zip(by_layer.steps, by_layer.cosines.tolist(), strict=True)),
        heads=heads,
        heads_note=NOTE_OF_HEADS if heads is not None else NO_HEADS if short else TOO_LONG,
        notes=notes_of(one, other, short),
        corpus=corpus_of(model, [a, b, *others]) if others else None,
    )


def notes_of(one: Trace, other: Trace, short: bool) -> tuple[str, ...]:
    """Notes on the texts for the reader."""
    notes = [
        f"The {name} text was truncated to {len(t.pieces)} tokens: the rest was not read."
        for name, t in (("first", one), ("second", other))
        if t.tokens.truncated is not None and t.tokens.truncated.any()
    ]
    if not short:
        notes.append(
            f"A text has more than {MOST_TOKENS} tokens: the page explains only output tokens, and leaves out no head."
        )
    return tuple(notes)


def explained(model: Embedder, a: str, b: str, levels: Sequence[Level]) -> tuple[Explanation, ...]:
    """The explanation at each level that the model allows; raises InputError if it allows none of them."""
    found, refused = [], "no level was asked for"
    for level in levels:
        try:
            found.append(explain(model, a, b, level, test=len(levels) > 1 and level != "deletion"))
        except UnsupportedModelError as error:
            refused = str(error)
    if not found:
        raise InputError(f"nothing can be explained: {refused}")
    return tuple(found)


def heads_of(model: Embedder, a: str, b: str) -> Array:  # -> (L, H)
    """The change of the score without the output of one head of one layer."""
    config = model.config
    before = float(cosines(model, [(a, b)])[0])
    changes = np.empty((config.num_hidden_layers, config.num_attention_heads))
    for layer, head in np.ndindex(changes.shape):
        changes[layer, head] = float(cosines(edit(model, ablate_head(layer, head)), [(a, b)])[0]) - before
    return changes


def attention_of(*traces: Trace) -> tuple[Array, ...]:
    """The probabilities of each text, (L, H, N, N); empty for a model without layers."""
    names = [name for name in traces[0] if name.endswith(".probabilities")]
    return tuple(np.stack([t[name] for name in names]) for t in traces) if names else ()


def described(model: Embedder) -> str:
    """The model, described in a line."""
    config = model.config
    layers = f"{config.num_hidden_layers} layers of {config.num_attention_heads} heads"
    name = model.checkpoint.folder.name.replace("--", "/")
    return f"{name} · {model.checkpoint.dimension} numbers a text · {layers} · {model.dtype}"


def shortened(text: str) -> str:
    """The beginning of a text, for a title.

    >>> shortened("a" * 50)[-3:]
    'aa…'
    """
    return text if len(text) <= 40 else f"{text[:39]}…"
