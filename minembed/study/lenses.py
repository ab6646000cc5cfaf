"""Results if the network stopped early: the cosine of two texts by layer, and words for a mask by layer."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minembed.errors import InputError
from minembed.models.embedder import Embedder
from minembed.models.fill_mask import MaskFiller
from minembed.runtime.checks import check_whole
from minembed.runtime.threads import single_threaded_blas
from minembed.study.given import check_embedder, check_text
from minembed.study.importance import cosine_to
from minembed.study.on_numpy import on_numpy
from minembed.study.traced import Trace
from minembed.study.tracing import trace
from minembed.transformer.heads import word_scores
from minembed.transformer.ops import softmax
from minembed.types import Array


@dataclass(frozen=True, slots=True, eq=False)
class LayerSimilarity:
    """The cosine of two texts if the network stopped after the embeddings, after layer 0, ..."""

    steps: tuple[str, ...]  # "embeddings", "layer.0", ...
    cosines: Array  # (L + 1,) float64; the last is the model's own

    def table(self) -> str:
        """One line per layer, with a bar of the length of the cosine."""
        wide = max(map(len, self.steps))
        return "\n".join(
            f"{name:<{wide}}  {value:7.4f}  {'█' * round(40 * max(0.0, value))}".rstrip()
            for name, value in zip(self.steps, self.cosines.tolist(), strict=True)
        )


def similarity_by_layer(model: Embedder, a: str, b: str) -> LayerSimilarity:
    """The cosine of a and b if the network stopped at each layer: its output, pooled as the model pools.

    The final norm, if the model has one, and the modules after the pooling are applied after every layer, so that the
    last cosine is that of `encode` on the NumPy tier.  It shows when a pair becomes similar, not which layer causes it:
    layers are trained to be read by the next one.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> similarity_by_layer(model, "a cat", "a kitten").cosines.shape  # doctest: +SKIP
    (7,)
    """
    check_embedder(model, "similarity_by_layer")
    names, model = stages(model), on_numpy(model)
    one, other = trace(model, [a, b], names=names)
    cosines = [cosine_to(stopped(other, name))(stopped(one, name))[0] for name in names]
    return LayerSimilarity(names, np.array(cosines))


def stages(model: Embedder) -> tuple[str, ...]:
    """The steps where a network can stop: after its embeddings, and after each layer.

    >>> stages(Embedder.load("all-MiniLM-L6-v2"))[:2]  # doctest: +SKIP
    ('embeddings', 'layer.0')
    """
    return ("embeddings", *(f"layer.{i}" for i in range(model.config.num_hidden_layers)))


def stopped(t: Trace, name: str) -> Array:  # -> (V,)
    """The vector of a text if the network stopped at a step with the hidden states `t[name]`.

    >>> t = trace(Embedder.load("all-MiniLM-L6-v2"), "a cat")  # doctest: +SKIP
    >>> bool((stopped(t, "layer.5") == t["vector"]).all())  # doctest: +SKIP
    True
    """
    x = read_out(t, name)
    with single_threaded_blas():
        for step in t.steps.values():
            if step.axes == ("V",):
                x = step.rule(x)
    return x


def read_out(t: Trace, name: str) -> Array:  # -> (N, D)
    """Hidden states in the form that the pooling expects: after the final norm, if there is one.

    >>> t = trace(Embedder.load("all-MiniLM-L6-v2"), "a cat")  # doctest: +SKIP
    >>> bool((read_out(t, "layer.5") == t["layer.5"]).all())  # which has none  # doctest: +SKIP
    True
    """
    norm = t.steps.get("final_norm")
    return t[name] if norm is None else norm.rule(t[name])


@dataclass(frozen=True, slots=True)
class Guess:
    """A word that the masked-LM head expects, read from a layer."""

    step: str  # the layer
    mask: int  # which mask of the text, from 0
    word: str
    probability: float


def fill_mask_lens(model: Embedder, text: str, top_k: int = 3) -> list[Guess]:
    """The most likely words for each mask, if the masked-LM head is applied to each layer: a logit lens for encoders.

    The last layer gives the words of `Embedder.fill_mask`, as the NumPy tier computes them.  The head was trained only
    for the last layer; its output for earlier ones is an interpretation (nostalgebraist, 2020), not what they "think".

    Raises MissingHeadError if the checkpoint has no such head, as is usual for embedding models, InputError for a text
    without a mask and for a `top_k` outside the vocabulary.

    >>> model = Embedder.load("bert-base-uncased")  # doctest: +SKIP
    >>> words = [g.word for g in fill_mask_lens(model, "Paris is the [MASK] of France.", 1)]  # doctest: +SKIP
    """
    check_embedder(model, "fill_mask_lens")
    check_text(text)
    filler = MaskFiller.load(model.engine)
    check_whole("top_k", top_k, 1, len(filler.head.decoder))
    names = stages(model)
    t = trace(model, text, names=names)
    places = np.flatnonzero(t.tokens.ids == filler.mask_id)
    if not len(places):
        raise InputError(f"text has no {filler.mask_token} among the {len(t.pieces)} tokens that are read")
    return list(_guesses(filler, t, names, places, top_k))


def _guesses(filler: MaskFiller, t: Trace, names: tuple[str, ...], places: Array, top_k: int) -> Iterator[Guess]:
    reference = filler.engine.tokenizer.reference
    for name in names:
        with single_threaded_blas(), np.errstate(under="ignore"):
            shares = softmax(word_scores(read_out(t, name)[places], filler.head))
        for mask, row in enumerate(shares):
            for word in np.argsort(-row, kind="stable")[:top_k].tolist():
                text = reference.decode([word], skip_special_tokens=False)
                yield Guess(name, mask, text, float(row[word]))
