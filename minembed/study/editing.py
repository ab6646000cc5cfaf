"""A model with changed intermediate results: every edit is made by an observer of the unchanged encoder.

B texts, T tokens of all texts, N tokens of one text.
"""

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from minembed.errors import InputError, InputTypeError, NumericalError
from minembed.models.batching import plan, windows
from minembed.models.embedder import Embedder
from minembed.models.engine import find_prompt, report_truncation
from minembed.models.options import Options
from minembed.runtime.columns import column
from minembed.runtime.threads import run, single_threaded_blas
from minembed.study.changes import Change, Changes, apply, each, misfit, numbers_of
from minembed.study.given import as_names, check_embedder, check_text
from minembed.study.graph import Graph
from minembed.study.means import with_means
from minembed.study.on_numpy import on_numpy
from minembed.study.traced import Trace
from minembed.study.tracing import ALL, LARGEST, Work, costly
from minembed.transformer.tier import NumPyTier
from minembed.transformer.tokens import Tokens
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.transformer.operations import Observer


def edit(model: Embedder, *changes: Changes) -> "Edited":
    """Change what a model computes: returns an object with `encode`, `forward` and `trace` of the edited model.

    `changes` are mappings from names of steps, as in `trace`, to changes: `zero`, `scale`, `replace_by`, `patch`,
    `mean_over`, or a list of these, which are applied in order.  A name may be a pattern in which "*" matches anything:
    "layer.*.context" is that step of every layer.  `ablate_head`, `ablate_neuron` and `ablate_layer` return such
    mappings.  The NumPy tier computes the edited model in the model's dtype; the model itself does not change.

    Raises InputError for a name that matches no step, for a head, key or neuron that does not exist, and for numbers of
    another shape.  Changes that depend on the length of a text are checked for each text, before it is computed.

    >>> from minembed.study import ablate_head, zero
    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> without = edit(model, ablate_head(3, 5), {"layer.0.probabilities": zero(key=0)})  # doctest: +SKIP
    >>> float(without.encode("a cat") @ model.encode("a cat")) < 1  # doctest: +SKIP
    True
    """
    check_embedder(model, "edit")
    model = on_numpy(model)
    tier = model.engine.reference()
    work = Work(model.engine, model.backend, Options(), ALL)
    steps = work.graph(tier, model.engine.tokenize(["a"], "replace"), 0, model.dimension)
    found: dict[str, tuple[Change, ...]] = {}
    for mapping in changes:
        if not isinstance(mapping, Mapping):
            raise InputTypeError(f"changes are mappings from names to changes, not {type(mapping).__name__}")
        for pattern, several in mapping.items():
            names = [name for name in steps if fnmatchcase(name, pattern)] if isinstance(pattern, str) else []
            if not names:
                like = "layer.0.probabilities" if "layer.0" in steps else "pooled"
                raise InputError(f"{pattern!r} fits no step, such as {like!r}: see trace(...).table()")
            for name in names:
                found[name] = (*found.get(name, ()), *each(several))
    heads = model.config.num_attention_heads
    edits = AtSteps(steps, heads, found)
    edits.check_all()
    return Edited(model, tier, AtSteps(steps, heads, with_means(model, steps, found)))


@dataclass(frozen=True, slots=True)
class AtSteps:
    """The changes of an edit, by step."""

    steps: Graph  # of a text of one word: all axes and sizes except the number of tokens
    heads: int
    changes: Mapping[str, tuple[Change, ...]]

    @property
    def names(self) -> frozenset[str]:
        """The steps that are changed."""
        return frozenset(self.changes)

    def check_all(self) -> None:
        """Raise InputError for changes that cannot be made in any text."""
        for name, several in self.changes.items():
            for change in several:
                self.fit(name, change, None, "")

    def check(self, tokens: int, text: int) -> None:
        """Raise InputError if the changes do not fit the text with this index and number of tokens."""
        for name, several in self.changes.items():
            for change in several:
                self.fit(name, change, tokens, f"texts[{text}], of {tokens} tokens: ")

    def fit(self, name: str, change: Change, tokens: int | None, where: str) -> None:
        """Raise InputError if one change does not fit; `tokens` is None while the text is not known."""
        step = self.steps[name]
        index = change.part.index(step, tokens, self.heads, where)
        if change.kind == "mean" and step.axes == ("H", "N", "N"):
            raise InputError(
                f"{name} has no mean: its size is that of a text; take that of a step with an axis of width"
            )
        if change.kind in ("scale", "mean"):
            return
        if isinstance(change.value, Trace) and name not in change.value:
            raise InputError(
                f"{name} cannot be patched: the trace has kept only {', '.join(change.value) or 'nothing'}"
            )
        selected = [None if places is None else len(places) for places in index]
        if tokens is None and isinstance(change.value, Trace):
            return
        shape = numbers_of(change, step, index).shape
        if misfit(shape, selected):
            of_trace = isinstance(change.value, Trace)
            what = (
                f"a trace of {len(change.value.pieces)} tokens has"
                if isinstance(change.value, Trace)
                else "array is of"
            )
            wanted = tuple("N" if size is None else size for size in selected)
            remedy = "; say token=, or patch from a text of as many tokens" if of_trace else ""
            part = f"[{change.part}]" if str(change.part) else ""
            raise InputError(f"{where}{name}{part} is of shape {wanted}, but {what} shape {shape}{remedy}")

    def changed(self, name: str, x: Array) -> Array | None:
        """The array that replaces a step's array; None if it stays."""
        if name not in self.changes:
            return None
        step = self.steps[name]
        for change in self.changes[name]:
            tokens = x.shape[step.axes.index("N")] if "N" in step.axes else 0
            index = change.part.index(step, tokens, self.heads)
            x = apply(change, step, x, tuple(places for places in index if places is not None))
        return x


@dataclass(frozen=True, slots=True, repr=False)
class Edited:
    """A model with an edit, which `edit` returns; immutable."""

    model: Embedder  # on the NumPy tier
    tier: NumPyTier
    edits: AtSteps

    def __repr__(self) -> str:
        changes = ", ".join(f"{name}: {', '.join(map(repr, several))}" for name, several in self.edits.changes.items())
        return f"Edited({self.model!r}, {{{changes}}})"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the model, as an Embedder is pickled, and the changes; everything else is rebuilt from these."""
        return edit, (self.model, dict(self.edits.changes))

    def forward(self, tokens: Tokens, *, observe: "Observer | None" = None) -> Array:  # (T,) -> (T, D)
        """Compute hidden states, as `Embedder.forward` does; `observe` gets the edited results.

        The bits of a text do not depend on its batch.  Raises InputError for tokens that the model does not have or
        that an edit does not fit, NumericalError if the result would hold NaN or infinity.
        """
        for text, length in enumerate(tokens.lengths().tolist()):
            self.edits.check(length, text)
        return self.model.forward(
            tokens, observe=self._observer(tokens, observe), observe_attention=self._sees_attention(observe)
        )

    def trace(
        self,
        text: str,
        *,
        names: str | Iterable[str] = ALL,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
        max_bytes: int = LARGEST,
    ) -> Trace:
        """Collect the intermediate results of the edited model for a text, as `minembed.study.trace` does.

        `verify()` skips the edited steps; all others are checked against their inputs as usual.
        """
        options = Options(
            prompt=prompt,
            prompt_name=prompt_name,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
        )
        check_text(text)
        work = Work(self.model.engine, self.model.backend, options, as_names(names), self.edits)
        return work.traces([text], max_bytes)[0]

    @overload
    def encode(
        self,
        texts: str,
        *,
        prompt: str | None = ...,
        prompt_name: str | None = ...,
        normalize_embeddings: bool | None = ...,
        truncate_dim: int | None = ...,
    ) -> Array: ...

    @overload
    def encode(
        self,
        texts: Iterable[str],
        *,
        prompt: str | None = ...,
        prompt_name: str | None = ...,
        normalize_embeddings: bool | None = ...,
        truncate_dim: int | None = ...,
    ) -> Array: ...

    def encode(
        self,
        texts: str | Iterable[str],
        *,
        prompt: str | None = None,
        prompt_name: str | None = None,
        normalize_embeddings: bool | None = None,
        truncate_dim: int | None = None,
    ) -> Array:  # (V,) of a str, (B, V) of several
        """Turn texts into the vectors of the edited model; options are those of `Embedder.encode`.

        The bits of a text do not depend on its batch.  Raises InputError for a text that an edit does not fit,
        NumericalError if a vector would hold NaN or infinity.
        """
        options = Options(
            prompt=prompt,
            prompt_name=prompt_name,
            normalize_embeddings=normalize_embeddings,
            truncate_dim=truncate_dim,
        )
        engine, several = self.model.engine, [texts] if isinstance(texts, str) else column(texts, "texts")
        width = engine.width(truncate_dim)
        prompt = find_prompt(engine.checkpoint, options)
        blocks, cut = [np.zeros((0, width), np.float32)], list[int]()
        for start, window in windows(several, prompt):
            tokens = engine.tokenizer(window, options.errors, start)
            if tokens.truncated is not None:
                cut += (start + np.flatnonzero(tokens.truncated)).tolist()
            for text, length in enumerate(tokens.lengths().tolist(), start):
                self.edits.check(length, text)
            blocks.append(self._vectors(tokens, options, engine.skipped(prompt), start))
        report_truncation(cut, engine.checkpoint.max_seq_length, options)
        vectors = np.concatenate(blocks)
        return vectors[0] if isinstance(texts, str) else vectors

    def _vectors(self, tokens: Tokens, options: Options, skipped: int, start: int) -> Array:  # (T,) -> (B, V)
        engine, width = self.model.engine, self.model.engine.width(options.truncate_dim)
        after = self._after(options, skipped, width)
        chunks, vectors = plan(tokens.lengths(), engine.threads, None), np.empty((len(tokens), width), np.float32)
        with single_threaded_blas(), closing(run(partial(self._chunk, tokens, after), chunks, engine.threads)) as done:
            for i, found in done:
                vectors[chunks[i]] = found
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            text = start + int(bad.argmax())
            raise NumericalError(f"texts[{text}] gives NaN or infinity: by the edit, or the weights overflow")
        return vectors

    def _after(self, options: Options, skipped: int, width: int) -> Graph:
        """The steps that follow the hidden states."""
        work = Work(self.model.engine, self.model.backend, options, ALL)
        graph = work.graph(self.tier, self.model.engine.tokenize(["a"], "replace"), skipped, width)
        return {name: step for name, step in graph.items() if step.axes == ("V",)}

    def _chunk(self, tokens: Tokens, after: Graph, chunk: Array) -> Array:  # (b,) -> (b, V)
        """Compute some of the texts: together up to the hidden states, then one by one."""
        some = tokens.select(chunk)
        observe = self._observer(some, None)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # `_vectors` checks the result
            hidden = self.tier(some, observe=observe, observe_attention=self._sees_attention(None))
            return np.stack([self._finished(hidden[a:b], after) for a, b in pairwise(some.cu_seqlens.tolist())])

    def _finished(self, x: Array, after: Graph) -> Array:  # (N, D) -> (V,)
        for name, step in after.items():
            x = step.rule(x)
            new = self.edits.changed(name, x)
            x = x if new is None else new
        return x

    def _sees_attention(self, observe: "Observer | None") -> bool:
        return observe is not None or any(map(costly, self.edits.names))

    def _observer(self, tokens: Tokens, watch: "Observer | None") -> "Observer":
        """The observer that makes the changes, in each text's own rows or its own part of attention."""
        bounds = list(pairwise(tokens.cu_seqlens.tolist()))

        def observe(name: str, x: Array) -> Array | None:
            stem, _, text = name.rpartition(".")
            new = None
            if text.isdigit() and costly(stem):
                new = self.edits.changed(stem, x)
            elif name in self.edits.changes:
                new = np.concatenate([self._rows(name, x[start:stop]) for start, stop in bounds])
            seen = None if watch is None else watch(name, x if new is None else new)
            return new if seen is None else seen

        return observe

    def _rows(self, name: str, x: Array) -> Array:
        new = self.edits.changed(name, x)
        return x if new is None else new
