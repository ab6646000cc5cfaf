"""Random edits of the goldens' families, the same for the script that computes them in torch and for the tests."""

import zlib
from dataclasses import dataclass

import numpy as np

EACH = 170  # edits a family: 1,020 in all
FAMILIES = ("bert", "roberta", "distilbert", "mpnet", "modernbert", "qwen3")
TEXTS = (  # several have as many tokens as another: one can be patched from the other
    "a cat and a dog",
    "the river is in the book",
    "a train and a house",
    "unbelievable bread in the oven",
    "rain",
    "the cat",
    "a tree",
    "test the query of the index with a cat in it and a dog under it",
)
BERT = ("query", "key", "value", "scores", "probabilities", "context", "attention", "attention.sum", "attention_norm")
BERT += ("intermediate", "activated", "feed_forward", "feed_forward.sum", "")
PRE = ("probabilities", "context", "attention", "attention_norm", "output_norm", "activated", "feed_forward", "")
INSIDE = {  # parts of a layer; "" is what the layer gives
    **dict.fromkeys(("bert", "roberta", "distilbert", "mpnet"), BERT),
    "modernbert": (*PRE, "qkv", "intermediate"),
    "qwen3": (*PRE, "value"),
}
OUTSIDE = {  # of the layers
    **dict.fromkeys(("bert", "roberta", "distilbert", "mpnet"), ("embeddings.word", "embeddings")),
    "modernbert": ("embeddings.word", "embeddings", "final_norm"),
    "qwen3": ("embeddings.word", "final_norm"),
}
HEADS = ("query", "key", "value")  # (H, N, K)
SQUARES = ("scores", "probabilities")  # (H, N, N)


@dataclass(frozen=True)
class Sizes:
    """Of a family's golden."""

    layers: int
    heads: int
    head_width: int
    width: int
    inner: int

    @staticmethod
    def of(config):
        """Read them from config.json, whatever its spelling."""

        def first(*names):
            return next(config[name] for name in names if name in config)

        width, heads = first("hidden_size", "dim"), first("num_attention_heads", "n_heads")
        inner = first("intermediate_size", "hidden_dim")
        return Sizes(
            first("num_hidden_layers", "n_layers"), heads, config.get("head_dim", width // heads), width, inner
        )


@dataclass(frozen=True)
class Case:
    """One edit of one text."""

    text: int
    layer: int | None
    part: str
    kind: str  # zero, scale, replace, patch
    where: dict  # head, token, key, neuron
    value: object = None  # a factor, or numbers
    other: int = 0  # the text that is patched from
    from_token: int | None = None

    @property
    def name(self):
        """The name of the step."""
        if self.layer is None:
            return self.part
        return f"layer.{self.layer}.{self.part}".removesuffix(".")


def cases(family, sizes, lengths):
    """The edits of a family; `lengths` are the tokens of TEXTS."""
    rng = np.random.default_rng(zlib.crc32(family.encode()))
    return [draw(family, sizes, lengths, rng) for _ in range(EACH)]


def draw(family, sizes, lengths, rng):
    """Draw one edit."""
    text, layer = int(rng.integers(len(TEXTS))), int(rng.integers(sizes.layers))
    part = str(rng.choice([*INSIDE[family], *OUTSIDE[family]]))
    if part in OUTSIDE[family]:
        layer = None
    if (family, part) == ("modernbert", "attention_norm"):
        layer = max(layer, 1)  # its first layer has none
    N = lengths[text]
    kind = str(rng.choice(["zero", "scale", "replace", "patch"]))
    where = places(family, part, sizes, N, rng)
    width = last_width(family, part, sizes, N)
    if kind == "scale":
        return Case(text, layer, part, kind, where, float(rng.uniform(-2, 2)))
    if kind == "replace":
        one = part in SQUARES or "neuron" in where or "head" in where or rng.random() < 0.3
        value = rng.uniform(0, 1) if one else rng.standard_normal(width)
        return Case(text, layer, part, kind, where, value)
    if kind == "patch":
        alike = [i for i, n in enumerate(lengths) if n == N and i != text]
        if alike and rng.random() < 0.6:
            return Case(text, layer, part, kind, where, other=int(rng.choice(alike)))
        if part not in SQUARES:
            other = int(rng.integers(len(TEXTS)))
            where = {**where, "token": int(rng.integers(N))}
            return Case(text, layer, part, kind, where, other=other, from_token=int(rng.integers(lengths[other])))
    return Case(text, layer, part, "zero", where)


def last_width(family, part, sizes, N):
    """The length of the last axis of a step."""
    if part in HEADS:
        return sizes.head_width
    both = 2 * sizes.inner if family == "modernbert" else sizes.inner  # where gated, both halves
    inner = {"intermediate": both, "activated": sizes.inner, "context": sizes.heads * sizes.head_width}
    return {**inner, "qkv": 3 * sizes.heads * sizes.head_width, **dict.fromkeys(SQUARES, N)}.get(part, sizes.width)


def places(family, part, sizes, N, rng):
    """Draw which part of the array is meant."""
    where = {}
    if rng.random() < 0.5:
        where["token"] = int(rng.integers(-N, N))
    if part in (*HEADS, *SQUARES, "context") and rng.random() < 0.7 and (family, part) != ("qwen3", "value"):
        where["head"] = int(rng.integers(sizes.heads))  # keys and values of qwen3 are shared by heads
    if part in SQUARES and rng.random() < 0.5:
        where["key"] = int(rng.integers(N))
    if part not in (*HEADS, *SQUARES) and "head" not in where and rng.random() < 0.4:
        where["neuron"] = int(rng.integers(last_width(family, part, sizes, N)))
    return where
