"""The steps of a model for one text, in the order in which the encoder computes them.

The names are those that `Embedder.forward` passes to an observer, without the index of the text.  N tokens, D
hidden_size, E width of the embeddings, F width of the feed-forward block, H heads of queries of width K, G heads of
keys, V width of the vector.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from minembed.models.static import Lookup, mean_rows
from minembed.study import rules
from minembed.study.step import Step, source_of
from minembed.transformer.config import Config
from minembed.transformer.heads import Block
from minembed.transformer.modules import ModuleParams, width_after
from minembed.transformer.operations import Operations
from minembed.transformer.ops import linear
from minembed.transformer.params import Embeddings, Layer, Norm
from minembed.transformer.positions import AttentionPattern, positions
from minembed.transformer.tier import OPERATIONS, NumPyTier
from minembed.transformer.tokens import Tokens

if TYPE_CHECKING:
    from minembed.weights.checkpoint import Checkpoint

Graph = Mapping[str, Step]


@dataclass(frozen=True, slots=True)
class Finished:
    """The settings of the steps from the hidden states of a text to its vector."""

    modes: tuple[str, ...]  # of pooling
    skipped: int = 0  # number of tokens of a prompt that pooling leaves out
    dim: int | None = None  # width to which the vector is truncated
    normalise: bool = False  # whether the vector is normalised after that


def graph_of(
    tier: NumPyTier,
    tokens: Tokens,
    checkpoint: "Checkpoint",
    modules: tuple[ModuleParams, ...],
    finished: Finished,
) -> Graph:
    """The steps from the ids of one text to its vector, by name, in order.

    `tier` is `Engine.reference()`, `modules` the weights of the checkpoint's modules, as in `Engine.modules`.
    """
    encoder = _Encoder(tier, tokens)
    steps = list(encoder.steps())
    steps += vector_steps(steps[-1], tier, checkpoint, modules, finished)
    return {step.name: replace(step, source=source_of(step.name, tier.config.pre_norm)) for step in steps}


def score_graph(tier: NumPyTier, tokens: Tokens, modes: tuple[str, ...], head: tuple[Block, ...]) -> Graph:
    """The steps from the ids of a pair of texts to the logits of a cross-encoder, "logits"."""
    steps = list(_Encoder(tier, tokens).steps())
    width, labels = steps[-1].shape[-1] * len(modes), head[-1].linear.weight.shape[1]
    pooled = f"{' | '.join(modes)} over the tokens"
    steps.append(Step("pooled", (steps[-1].name,), ("V",), (width,), pooled, rules.Pool(modes, 0)))
    steps.append(Step("logits", ("pooled",), ("L",), (labels,), "the head of the model", rules.Classify(head)))
    return {step.name: step for step in steps}


@dataclass(frozen=True, slots=True)
class _Encoder:
    """A prepared encoder and the tokens of one text."""

    tier: NumPyTier
    tokens: Tokens

    @property
    def config(self) -> Config:
        return self.tier.config

    @property
    def ops(self) -> Operations:
        return OPERATIONS[self.tier.dtype]

    def step(self, name: str, inputs: tuple[str, ...], axes: str, formula: str, rule: rules.Rule) -> Step:
        """Create a step; `axes` is written as "N D"."""
        c, named = self.config, tuple(axes.split())
        sizes = {"N": len(self.tokens.ids), "D": c.hidden_size, "E": c.embedding_size or c.hidden_size}
        sizes |= {"F": c.intermediate_size, "2F": 2 * c.intermediate_size, "H": c.num_attention_heads}
        sizes |= {"K": c.head_size, "HK": c.num_attention_heads * c.head_size}
        sizes["(H+2G)K"] = (c.num_attention_heads + 2 * c.key_value_heads) * c.head_size
        return Step(name, inputs, named, tuple(sizes[axis] for axis in named), formula, rule)

    def norm(self, name: str, x: str, p: Norm) -> Step:
        """The step of a norm."""
        formula = f"{self.config.norm_type}(x)"
        return self.step(name, (x,), "N D", formula, rules.Normalise(p, self.config, self.ops))

    def steps(self) -> Iterator[Step]:
        """All steps up to the hidden states."""
        yield from self.embeddings(self.tier.params.embeddings)
        x = "embeddings"
        for i, (layer, pattern) in enumerate(zip(self.tier.params.layers, self.tier.patterns, strict=True)):
            build = self.pre_norm if self.config.pre_norm else self.post_norm
            yield from build(x, layer, f"layer.{i}", pattern)
            x = f"layer.{i}"
        norm = self.tier.params.final_norm
        if norm is not None:
            yield self.norm("final_norm", x, norm)

    def embeddings(self, p: Embeddings) -> Iterator[Step]:
        """The embeddings that are added, their sum, its norm."""
        ids, types = self.tokens.ids, self.tokens.types
        yield self.step("embeddings.word", (), "N E", "word[ids]", rules.Rows(p.word, ids))
        parts = ["embeddings.word"]
        if p.position is not None:
            parts.append("embeddings.position")
            places = positions(self.tokens, self.config.padding_idx)
            yield self.step(parts[-1], (), "N E", "position[place in the text]", rules.Rows(p.position, places))
        if p.token_type is not None:
            parts.append("embeddings.token_type")
            yield self.step(parts[-1], (), "N E", "token_type[types]", rules.Rows(p.token_type, types))
        yield self.step("embeddings.sum", tuple(parts), "N E", _plus(parts), rules.Sum())
        norm = rules.Normalise(p.norm, self.config, self.ops)
        formula = "x" if p.norm is None else f"{self.config.norm_type}(x)"
        if p.projection is None:
            yield self.step("embeddings", ("embeddings.sum",), "N E", formula, norm)
        else:
            yield self.step("embeddings.norm", ("embeddings.sum",), "N E", formula, norm)
            projection = rules.Affine(p.projection, linear)
            yield self.step("embeddings", ("embeddings.norm",), "N D", "x W + b", projection)

    def post_norm(self, x: str, p: Layer, at: str, pattern: AttentionPattern) -> Iterator[Step]:
        """x = norm(x + block(x)), twice."""
        found = yield from self.attention(x, p, at, pattern)
        yield self.step(f"{at}.attention.sum", (x, found), "N D", _plus([x, found]), rules.Sum())
        middle = f"{at}.attention.sum"
        if p.attention_norm is not None:
            middle = f"{at}.attention_norm"
            yield self.norm(middle, f"{at}.attention.sum", p.attention_norm)
        found = yield from self.feed_forward(middle, p, at)
        yield self.step(f"{at}.feed_forward.sum", (middle, found), "N D", _plus([middle, found]), rules.Sum())
        yield self.norm(at, f"{at}.feed_forward.sum", p.output_norm)

    def pre_norm(self, x: str, p: Layer, at: str, pattern: AttentionPattern) -> Iterator[Step]:
        """x = x + block(norm(x)), twice."""
        normed = x
        if p.attention_norm is not None:
            normed = f"{at}.attention_norm"
            yield self.norm(normed, x, p.attention_norm)
        found = yield from self.attention(normed, p, at, pattern)
        middle = f"{at}.attention.sum"
        yield self.step(middle, (x, found), "N D", _plus([x, found]), rules.Sum())
        yield self.norm(f"{at}.output_norm", middle, p.output_norm)
        found = yield from self.feed_forward(f"{at}.output_norm", p, at)
        yield self.step(f"{at}.feed_forward.sum", (middle, found), "N D", _plus([middle, found]), rules.Sum())
        yield self.step(at, (f"{at}.feed_forward.sum",), "N D", "x", rules.Sum())

    def attention(self, x: str, p: Layer, at: str, pattern: AttentionPattern) -> Generator[Step, None, str]:
        """The steps from the input of attention to its output; returns the name of the output."""
        linear, names = self.ops.linear, [f"{at}.{part}" for part in ("query", "key", "value")]
        yield self.step(f"{at}.qkv", (x,), "N (H+2G)K", "x W + b", rules.Affine(p.qkv, linear))
        for i, name in enumerate(names):
            heads = rules.Heads(i, p, self.config, pattern)
            yield self.step(name, (f"{at}.qkv",), "H N K", _heads_formula(i, p, pattern), heads)
        far = "" if pattern.bias is None else " + bias[distance]"
        far += "" if pattern.back is None and pattern.ahead is None else ", -inf beyond the window"
        q, k, v = names
        yield self.step(f"{at}.scores", (q, k), "H N N", f"query key^T{far}", rules.Scores(pattern))
        shares = rules.Softmax(pattern)
        yield self.step(f"{at}.probabilities", (f"{at}.scores",), "H N N", "softmax(scores) over the keys", shares)
        inputs = f"{at}.probabilities", v
        yield self.step(f"{at}.context", inputs, "N HK", "probabilities value, heads side by side", rules.Mix(pattern))
        output = rules.Affine(p.attention_output, linear)
        yield self.step(f"{at}.attention", (f"{at}.context",), "N D", "x W + b", output)
        if p.attention_post_norm is None:
            return f"{at}.attention"
        yield self.norm(f"{at}.attention_post_norm", f"{at}.attention", p.attention_post_norm)
        return f"{at}.attention_post_norm"

    def feed_forward(self, x: str, p: Layer, at: str) -> Generator[Step, None, str]:
        """The steps of the feed-forward block; returns the name of its output."""
        linear, gated, name = self.ops.linear, self.config.gated, self.config.hidden_act
        wide, h = f"{at}.intermediate", f"{at}.activated"
        yield self.step(wide, (x,), "N 2F" if gated else "N F", "x W + b", rules.Affine(p.intermediate, linear))
        formula = f"{name}(first half) * second half" if gated else f"{name}(x)"
        yield self.step(h, (wide,), "N F", formula, rules.Activate(self.ops.activation[name], gated))
        yield self.step(f"{at}.feed_forward", (h,), "N D", "x W + b", rules.Affine(p.output, linear))
        if p.output_post_norm is None:
            return f"{at}.feed_forward"
        yield self.norm(f"{at}.output_post_norm", f"{at}.feed_forward", p.output_post_norm)
        return f"{at}.output_post_norm"


def vector_steps(
    hidden: Step, tier: NumPyTier, checkpoint: "Checkpoint", modules: tuple[ModuleParams, ...], finished: Finished
) -> Iterator[Step]:
    """The steps from the hidden states to the vector: pooling, each module, then truncation and normalisation."""
    modes, width, last = finished.modes, hidden.shape[-1] * len(finished.modes), "pooled"
    rule: rules.Rule = rules.Pool(modes, finished.skipped)
    if isinstance(tier, Lookup):
        rule = rules.OfTable(mean_rows)
    left = f", without the first {finished.skipped} tokens" if finished.skipped else ""
    yield Step("pooled", (hidden.name,), ("V",), (width,), f"{' | '.join(modes)} over the tokens{left}", rule)
    for i, (module, p) in enumerate(zip(checkpoint.modules, modules, strict=True)):
        width = width_after(module, width)
        yield Step(f"module.{i}", (last,), ("V",), (width,), str(module), rules.After(module, p))
        last = f"module.{i}"
    width = finished.dim or width
    words = ["x" if finished.dim is None else f"x[:{width}]", " / |x|" if finished.normalise else ""]
    yield Step("vector", (last,), ("V",), (width,), "".join(words), rules.Finish(finished.dim, finished.normalise))


def _plus(names: list[str]) -> str:
    return " + ".join(names)


def _heads_formula(which: int, p: Layer, pattern: AttentionPattern) -> str:
    """The formula of a head's query, key or value."""
    formula = f"{('first', 'second', 'third')[which]} part of qkv"
    if which == 2:
        return formula
    if (p.query_norm, p.key_norm)[which] is not None:
        formula = f"norm({formula})"
    if pattern.rotary is not None:
        formula = f"turned by its position({formula})"
    return f"{formula} / sqrt(K)" if which == 0 else formula
