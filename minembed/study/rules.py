"""What each kind of step computes from its inputs: the functions of `minembed.transformer`, one text at a time.

N tokens of the text, D width, H heads of queries of width K.  A rule is called with the arrays of the step's inputs,
and returns the array of the step, with the same bits as in the encoder.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minembed.transformer.attention import by_heads
from minembed.transformer.attention_seen import mix, over_keys, scores
from minembed.transformer.config import Config
from minembed.transformer.encoder import normalize
from minembed.transformer.heads import Block, through
from minembed.transformer.modules import Module, ModuleParams, transform
from minembed.transformer.operations import NUMPY, Operations
from minembed.transformer.ops import gate
from minembed.transformer.params import Layer, Linear, Norm
from minembed.transformer.pooling import pool
from minembed.transformer.positions import AttentionPattern, rotate
from minembed.transformer.vectors import l2_normalize, truncate_embeddings
from minembed.types import Array

Rule = Callable[
    ..., Array
]  # one of the kinds of step below, with its weights: takes the inputs, which stay as they are


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, one per token: (N,) -> (N, D)."""

    table: Array
    indices: Array  # (N,)

    def __call__(self) -> Array:
        """Look the rows up."""
        found: Array = self.table[self.indices]
        return found


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of its inputs, from left to right."""

    def __call__(self, *inputs: Array) -> Array:
        """Add the inputs.

        >>> Sum()(np.ones(2), np.ones(2), np.ones(2)).tolist()
        [3.0, 3.0]
        """
        total = inputs[0].copy()
        for x in inputs[1:]:
            total += x
        return total


@dataclass(frozen=True, slots=True)
class Affine:
    """x W + b: (N, in) -> (N, out)."""

    p: Linear
    linear: Callable[..., Array]

    def __call__(self, x: Array) -> Array:
        """Multiply and add."""
        return self.linear(x, self.p)


@dataclass(frozen=True, slots=True)
class Normalise:
    """A layer norm, or an RMS norm: (N, D) -> (N, D)."""

    p: Norm | None  # None: x itself
    config: Config
    ops: Operations = NUMPY

    def __call__(self, x: Array) -> Array:
        """Normalise each row."""
        return normalize(x, self.p, self.config, self.ops)


@dataclass(frozen=True, slots=True)
class Heads:
    """Queries, keys or values of every head: (N, (H + 2G) K) -> (H, N, K)."""

    which: int  # 0 queries, normalised, rotated and divided by sqrt(K); 1 keys, normalised and rotated; 2 values
    p: Layer
    config: Config
    pattern: AttentionPattern

    def __call__(self, qkv: Array) -> Array:
        """Split a projection into heads."""
        H, G = self.config.num_attention_heads, self.config.key_value_heads
        rows = qkv.copy().reshape(len(qkv), H + 2 * G, -1)
        q, k, _ = np.split(rows, [H, H + G], axis=1)
        q[...], k[...] = normalize(q, self.p.query_norm, self.config), normalize(k, self.p.key_norm, self.config)
        if self.pattern.rotary is not None:
            places = np.arange(len(rows))
            rotate(q, places, self.pattern.rotary)
            rotate(k, places, self.pattern.rotary)
        q, k, v = by_heads(rows.reshape(qkv.shape), 1, H, G)
        return (q, k.transpose(0, 2, 1), v)[self.which]


@dataclass(frozen=True, slots=True)
class Scores:
    """Q K^T plus the biases by distance: twice (H, N, K) -> (H, N, N)."""

    pattern: AttentionPattern

    def __call__(self, q: Array, k: Array) -> Array:
        """Multiply every query with every key."""
        return scores(q, np.ascontiguousarray(k.transpose(0, 2, 1)), self.pattern)


@dataclass(frozen=True, slots=True)
class Softmax:
    """Probabilities that sum to 1 over the keys: (H, N, N) -> (H, N, N)."""

    pattern: AttentionPattern

    def __call__(self, x: Array) -> Array:
        """Turn scores into probabilities."""
        return over_keys(x, self.pattern)


@dataclass(frozen=True, slots=True)
class Mix:
    """P V, the heads side by side: (H, N, N), (H, N, K) -> (N, H K)."""

    pattern: AttentionPattern

    def __call__(self, p: Array, v: Array) -> Array:
        """Sum values, weighted by probabilities."""
        return mix(p, v, self.pattern)


@dataclass(frozen=True, slots=True)
class Activate:
    """An activation; if gated, one half of a row times the activated other: (N, F), or (N, 2F) -> (N, F)."""

    activation: Callable[..., Array]
    gated: bool

    def __call__(self, x: Array) -> Array:
        """Activate each element."""
        return gate(x, self.activation) if self.gated else self.activation(x)


@dataclass(frozen=True, slots=True)
class Pool:
    """Pooling of all rows to one: (N, D) -> (D,), or several side by side."""

    modes: tuple[str, ...]
    skipped: int  # tokens of a prompt at the beginning, which are left out

    def __call__(self, x: Array) -> Array:
        """Pool the tokens."""
        return pool(x, np.array([0, len(x)]), self.modes, self.skipped)[0]


@dataclass(frozen=True, slots=True)
class OfTable:
    """The mean of a static model's rows; there may be none: (N, D) -> (D,)."""

    mean: Callable[[Array, Array, Array], Array]

    def __call__(self, x: Array) -> Array:
        """Average the rows."""
        return self.mean(x, np.arange(len(x)), np.array([0, len(x)]))[0]


@dataclass(frozen=True, slots=True)
class After:
    """A module of sentence-transformers after pooling: (D,) -> (D',)."""

    module: Module
    p: ModuleParams

    def __call__(self, x: Array) -> Array:
        """Apply the module to the vector."""
        return transform(x[None], [self.module], [self.p])[0]


@dataclass(frozen=True, slots=True)
class Finish:
    """The vector in its requested form: truncated to a width, and scaled to length 1."""

    dim: int | None
    normalise: bool

    def __call__(self, x: Array) -> Array:
        """Truncate and scale the vector."""
        x = truncate_embeddings(x[None], self.dim)
        return (l2_normalize(x) if self.normalise else x)[0]


@dataclass(frozen=True, slots=True)
class Classify:
    """The head of a cross-encoder: (D,) -> (L,) logits."""

    blocks: tuple[Block, ...]

    def __call__(self, x: Array) -> Array:
        """Apply the head to the pooled row."""
        return through(x[None], self.blocks)[0]
