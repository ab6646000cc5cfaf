"""Find the texts and tokens that activate a neuron or a head most: read a corpus, and keep the highest values."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from minembed.errors import InputError
from minembed.models.batching import plan, windows
from minembed.models.embedder import Embedder
from minembed.models.engine import find_prompt, report_truncation
from minembed.models.options import Options
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import column
from minembed.study.given import check_embedder, check_layers, cut_texts
from minembed.study.on_numpy import on_numpy
from minembed.study.pieces import pieces_of
from minembed.transformer.tokens import Tokens
from minembed.types import Array

Heap = list[tuple[float, int, int, str, Array]]  # value, -text, -token, the text, its ids


@dataclass(frozen=True, slots=True)
class Firing:
    """One token with a high value of a neuron or a head."""

    value: float
    index: int  # of the text in the corpus
    text: str
    token: int  # its place
    pieces: tuple[str, ...]  # of the text

    def __str__(self) -> str:
        marked = [f"»{piece}«" if i == self.token else piece for i, piece in enumerate(self.pieces)]
        near = marked[max(0, self.token - 6) : self.token + 7]
        return f"{self.value:8.3f}  texts[{self.index}]  {' '.join(near)}"


@dataclass(frozen=True, slots=True)
class Fired:
    """The results of a search, and statistics of the corpus."""

    top: tuple[Firing, ...]  # the highest first; ties in the order of the corpus
    tokens: int  # number of tokens that were examined
    mean: float  # of all of them
    positive: float  # the share that is above 0

    def __str__(self) -> str:
        usual = f"of {self.tokens} tokens: mean {self.mean:.3f}, {self.positive:.1%} above 0"
        return "\n".join([*map(str, self.top), usual])


def fires_most(
    model: Embedder,
    texts: Iterable[str],
    layer: int,
    *,
    neuron: int | None = None,
    head: int | None = None,
    top_k: int = 10,
    special: bool = False,
) -> Fired:
    """Find the tokens of a corpus at which a neuron or a head of a layer is highest.

    A neuron's value is its column of "layer.i.activated"; a head's is the length of its part of "layer.i.context", how
    much it gathers for a token.  `special` takes special tokens in, such as "[CLS]".  Texts may be an endless
    generator's first million: they are read window by window, and only `top_k` of them are kept, with the checkpoint's
    default prompt in front, if it has one.

    Raises InputError unless one of neuron and head is given, and for what the model does not have.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> print(fires_most(model, ["a cat", "a bank"], 3, neuron=17, top_k=1))  # doctest: +SKIP
      -0.077  texts[0]  [CLS] a »cat« [SEP]
    of 4 tokens: mean -0.135, 0.0% above 0
    """
    check_embedder(model, "fires_most")
    check_layers(model, "fires_most")
    config = model.config
    if (neuron is None) == (head is None):
        raise InputError("give either neuron or head")
    check_whole("layer", layer, 0, config.num_hidden_layers - 1)
    check_whole("top_k", top_k, 1)
    if neuron is not None:
        check_whole("neuron", neuron, 0, config.intermediate_size - 1)
    if head is not None:
        check_whole("head", head, 0, config.num_attention_heads - 1)
    search = _Search(on_numpy(model), layer, neuron, head, top_k, special, [], [0.0, 0.0, 0.0])
    prompt = find_prompt(model.checkpoint, Options())
    cut: list[int] = []
    for start, window in windows(column(texts, "texts"), prompt):
        tokens = model.engine.tokenizer(window, "replace", start)
        cut += cut_texts(tokens, start)
        for chunk in plan(tokens.lengths(), 1, None):
            search.look(tokens.select(chunk), [window[i] for i in chunk.tolist()], (start + chunk).tolist())
    report_truncation(cut, model.max_seq_length, Options())
    return search.found()


@dataclass(frozen=True, slots=True)
class _Search:
    """The state of a search."""

    model: Embedder
    layer: int
    neuron: int | None
    head: int | None
    top_k: int
    special: bool
    heap: Heap
    sums: list[float]  # the number of tokens, the sum of their values, the number above 0

    def look(self, tokens: Tokens, texts: list[str], indices: list[int]) -> None:
        """Compute some texts, and keep the highest values."""
        values = self.values(tokens)
        _, special = pieces_of(self.model.engine.tokenizer.reference, tokens.ids)
        counted = np.ones(len(values), bool) if self.special else ~special
        self.sums[0] += int(counted.sum())
        self.sums[1] += float(values[counted].sum(dtype=np.float64))
        self.sums[2] += int((values[counted] > 0).sum())
        bounds = tokens.cu_seqlens.tolist()
        for (start, stop), text, index in zip(pairwise(bounds), texts, indices, strict=True):
            for place in np.flatnonzero(counted[start:stop]).tolist():
                entry = (float(values[start + place]), -index, -place, text, tokens.ids[start:stop])
                if len(self.heap) < self.top_k:
                    heapq.heappush(self.heap, entry)
                elif entry[:3] > self.heap[0][:3]:
                    heapq.heapreplace(self.heap, entry)

    def values(self, tokens: Tokens) -> Array:  # (T,) -> (T,)
        """The neuron or the head at every token."""
        wanted = f"layer.{self.layer}.{'context' if self.neuron is None else 'activated'}"
        found: list[Array] = []

        def observe(name: str, x: Array) -> None:
            if name == wanted:
                found.append(self.of(x))

        self.model.forward(tokens, observe=observe)
        return found[0]

    def of(self, x: Array) -> Array:  # (T, F), or (T, H K) -> (T,)
        """The neuron's column, or the length of the head's part."""
        if self.neuron is not None:
            return x[:, self.neuron].copy()
        part = x.reshape(len(x), self.model.config.num_attention_heads, -1)[:, self.head]
        return np.asarray(np.sqrt((part * part).sum(axis=1)))

    def found(self) -> Fired:
        """The results, the highest first."""
        reference, top = self.model.engine.tokenizer.reference, []
        for value, index, place, text, ids in sorted(self.heap, key=lambda entry: entry[:3], reverse=True):
            top.append(Firing(value, -index, text, -place, pieces_of(reference, ids)[0]))
        tokens, total, positive = self.sums
        return Fired(tuple(top), int(tokens), total / max(tokens, 1), positive / max(tokens, 1))
