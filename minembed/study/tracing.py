"""Every intermediate result of one text, from its tokens to its vector."""

from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Protocol, overload

import numpy as np

from minembed.errors import InputError, NumericalError
from minembed.models.embedder import Embedder
from minembed.models.engine import Engine, find_prompt, report_truncation
from minembed.models.options import Options
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import column
from minembed.runtime.threads import single_threaded_blas
from minembed.study.given import as_names, check_embedder
from minembed.study.graph import Finished, Graph, graph_of
from minembed.study.pieces import pieces_of
from minembed.study.traced import Trace
from minembed.text.tokenizer import clean
from minembed.transformer.tier import NumPyTier
from minembed.transformer.tokens import Tokens
from minembed.types import Array

LARGEST = 1 << 31  # bytes
ALL = ("*",)


@overload
def trace(  # type: ignore[overload-overlap]  # a str is an iterable of str, too
    model: Embedder,
    texts: str,
    *,
    names: str | Iterable[str] = ...,
    prompt: str | None = ...,
    prompt_name: str | None = ...,
    normalize_embeddings: bool | None = ...,
    truncate_dim: int | None = ...,
    max_bytes: int = ...,
) -> Trace: ...


@overload
def trace(
    model: Embedder,
    texts: Iterable[str],
    *,
    names: str | Iterable[str] = ...,
    prompt: str | None = ...,
    prompt_name: str | None = ...,
    normalize_embeddings: bool | None = ...,
    truncate_dim: int | None = ...,
    max_bytes: int = ...,
) -> list[Trace]: ...


def trace(
    model: Embedder,
    texts: str | Iterable[str],
    *,
    names: str | Iterable[str] = ALL,
    prompt: str | None = None,
    prompt_name: str | None = None,
    normalize_embeddings: bool | None = None,
    truncate_dim: int | None = None,
    max_bytes: int = LARGEST,
) -> Trace | list[Trace]:
    """Collect the intermediate results of a text, or of several: a Trace, or a list of them.

    The NumPy tier computes in the model's dtype, and an observer collects the results: the vector has the same bits as
    from `encode` on that tier, and `distance` is its difference from the model's own vector.  `names` are patterns of
    the results to keep, such as "layer.3.*"; the size of a trace of all, "*", grows with the square of the number of
    tokens.  Prompts, `normalize_embeddings` and `truncate_dim` are those of `Embedder.encode`.

    Raises InputError if the results would need more than `max_bytes`, or if a pattern matches no name.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> t = trace(model, "a cat")  # doctest: +SKIP
    >>> t.pieces, t["layer.0.probabilities"].shape, t.verify()  # doctest: +SKIP
    (('[CLS]', 'a', 'cat', '[SEP]'), (12, 4, 4), 98)
    """
    check_embedder(model, "trace")
    options = Options(
        prompt=prompt,
        prompt_name=prompt_name,
        normalize_embeddings=normalize_embeddings,
        truncate_dim=truncate_dim,
    )
    several = [texts] if isinstance(texts, str) else list(column(texts, "texts"))
    work = Work(model.engine, model.backend, options, as_names(names))
    found = work.traces(several, max_bytes)
    return found[0] if isinstance(texts, str) else found


class Edits(Protocol):
    """The interface of an edit of one text; `editing.py` implements it."""

    @property
    def names(self) -> frozenset[str]:
        """The steps that are changed."""

    def check(self, tokens: int, text: int) -> None:
        """Raise InputError if the changes do not fit the text with this index and number of tokens."""

    def changed(self, name: str, x: Array) -> Array | None:
        """The array that replaces a step's array; None if it stays."""


@dataclass(frozen=True, slots=True)
class Work:
    """The data that all texts of a call share."""

    engine: Engine
    backend: str
    options: Options
    names: tuple[str, ...]
    edits: "Edits | None" = None

    def traces(self, texts: list[str], max_bytes: int) -> list[Trace]:
        """Compute the texts one after another: a batch would give the same bits."""
        check_whole("max_bytes", max_bytes, 0)
        width = self.engine.width(self.options.truncate_dim)  # invalid widths fail before anything is computed
        prompt = find_prompt(self.engine.checkpoint, self.options)
        prompted = [prompt + clean(text, i) for i, text in enumerate(texts)]
        tokens = self.engine.tokenize(prompted, "replace")
        cut = [] if tokens.truncated is None else np.flatnonzero(tokens.truncated).tolist()
        report_truncation(cut, self.engine.checkpoint.max_seq_length, self.options)
        tier = self.engine.reference()
        alone = [tokens.select([i]) for i in range(len(texts))]
        skipped = self.engine.skipped(prompt)
        graphs = [self.graph(tier, own, skipped, width) for own in alone]
        self.check(graphs, max_bytes)
        for i, own in enumerate(alone):
            if self.edits is not None:
                self.edits.check(len(own.ids), i)
        found = []
        for text, own, graph in zip(prompted, alone, graphs, strict=True):
            seen = self.one(tier, text, own, graph)
            found.append(self.kept(text, own, graph, seen, self.distance(own, seen["vector"], skipped)))
        return found

    def graph(self, tier: NumPyTier, tokens: Tokens, skipped: int, width: int) -> Graph:
        """The steps of one text."""
        checkpoint, again = self.engine.checkpoint, self.options.normalize_embeddings
        dim = self.options.truncate_dim or checkpoint.truncate_dim
        normalise = bool(again or (again is None and checkpoint.normalize and dim is not None))
        finished = Finished(tuple(checkpoint.pooling), skipped, dim and width, normalise)
        return graph_of(tier, tokens, checkpoint, self.engine.modules, finished)

    def check(self, graphs: list[Graph], max_bytes: int) -> None:
        """Refuse traces that need too much memory, and patterns that match nothing."""
        for pattern in self.names:
            if graphs and not any(fnmatchcase(name, pattern) for name in graphs[0]):
                like = "layer.0.probabilities" if "layer.0" in graphs[0] else "pooled"
                raise InputError(f"names: {pattern!r} fits no intermediate result, such as {like!r}")
        size = sum(4 * int(np.prod(step.shape)) for graph in graphs for step in graph.values() if self.wants(step.name))
        if size > max_bytes:
            raise InputError(
                f"the trace would take {size / 1e6:,.1f} MB, above max_bytes={max_bytes}: ask for fewer, as by "
                "names='layer.0.*', or for a shorter text"
            )

    def wants(self, name: str) -> bool:
        """Whether a result is kept."""
        return any(fnmatchcase(name, pattern) for pattern in self.names)

    def one(self, tier: NumPyTier, text: str, tokens: Tokens, graph: Graph) -> dict[str, Array]:
        """Compute one text with an observer, then the steps after the hidden states."""
        seen: dict[str, Array] = {}

        def changed(name: str, x: Array) -> Array | None:
            return None if self.edits is None else self.edits.changed(name, x)

        def observe(name: str, x: Array) -> Array | None:
            name = name if name in graph else name.removesuffix(".0")  # the index of the only text
            if name not in graph:
                return None
            new = changed(name, x)
            seen[name] = x.copy() if new is None else new
            return new

        with np.errstate(over="ignore", invalid="ignore", under="ignore"), single_threaded_blas():
            if len(tokens.ids):
                tier(tokens, observe=observe, observe_attention=self.sees_attention(graph))
            for name, step in graph.items():
                if name not in seen and not costly(name):  # after the hidden states, or no tokens
                    x = step.rule(*(seen[before] for before in step.inputs))
                    new = changed(name, x)
                    seen[name] = x if new is None else new
        if not np.isfinite(seen["vector"]).all():
            why = "the weights overflow float32" if self.edits is None else "by the edit, or the weights overflow"
            raise NumericalError(f"{text[:40]!r} gives NaN or infinity: {why}")
        return seen

    def sees_attention(self, graph: Graph) -> bool:
        """Whether parts of attention are kept or edited."""
        edited = frozenset() if self.edits is None else self.edits.names
        return any(self.wants(name) or name in edited for name in graph if costly(name))

    def kept(self, text: str, tokens: Tokens, graph: Graph, seen: dict[str, Array], distance: float) -> Trace:
        """Create a trace of the requested results."""
        kept = {name: seen[name] for name in graph if name in seen and self.wants(name)}
        for x in kept.values():
            x.flags.writeable = False
        pieces, special = pieces_of(self.engine.tokenizer.reference, tokens.ids)
        return Trace(
            text,
            tokens,
            pieces,
            special,
            MappingProxyType(dict(graph)),
            self.engine.compute.dtype,
            self.backend,
            distance,
            MappingProxyType(kept),
            frozenset() if self.edits is None else self.edits.names,
        )

    def distance(self, tokens: Tokens, vector: Array, skipped: int) -> float:
        """The largest difference of the traced vector from that of the model's own tier."""
        if isinstance(self.engine.compute, NumPyTier) or self.edits is not None:
            return 0.0
        with single_threaded_blas():
            own = self.engine.shaped(self.engine.embed(tokens, skipped), self.options)[0]
        return float(np.abs(own - vector).max())


def costly(name: str) -> bool:
    """Whether a result is a part of attention, which an observer gets only if it asks for attention.

    >>> costly("layer.0.scores"), costly("layer.0.context")
    (True, False)
    """
    return name.split(".")[-1] in {"query", "key", "value", "scores", "probabilities"}
