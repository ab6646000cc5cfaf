"""What each kind of step computes from its inputs: the functions of `minembed.transformer`, one text at a time.

N tokens of the text, D width, H heads of queries of width K.  A rule is called with the arrays of the step's inputs,
and gives the array of the step, bit for bit what the encoder computes.
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
    """Rows of a table, one a token: (N,) -> (N, D)."""

    table: Array
    indices: Array  # (N,)

    def __call__(self) -> Array:
        """Look them up."""
        found: Array = self.table[self.indices]
        return found


@dataclass(frozen=True, slots=True)
class Sum:
    """What its inputs add up to, from left to right."""

    def __call__(self, *inputs: Array) -> Array:
        """Add them.

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

    which: int  # 0 queries, normalised, turned and divided by sqrt(K); 1 keys, normalised and turned; 2 values
    p: Layer
    config: Config
    pattern: AttentionPattern

    def __call__(self, qkv: Array) -> Array:
        """Cut the heads out of a projection."""
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
    """Q K^T and what distance adds: twice (H, N, K) -> (H, N, N)."""

    pattern: AttentionPattern

    def __call__(self, q: Array, k: Array) -> Array:
        """Compare every query with every key."""
        return scores(q, np.ascontiguousarray(k.transpose(0, 2, 1)), self.pattern)


@dataclass(frozen=True, slots=True)
class Softmax:
    """Shares that sum to 1 over the keys: (H, N, N) -> (H, N, N)."""

    pattern: AttentionPattern

    def __call__(self, x: Array) -> Array:
        """Turn scores into shares."""
        return over_keys(x, self.pattern)


@dataclass(frozen=True, slots=True)
class Mix:
    """P V, the heads side by side: (H, N, N), (H, N, K) -> (N, H K)."""

    pattern: AttentionPattern

    def __call__(self, p: Array, v: Array) -> Array:
        """Gather values by their shares."""
        return mix(p, v, self.pattern)


@dataclass(frozen=True, slots=True)
class Activate:
    """An activation, or where gated one half of a row times the other, activated: (N, F), or (N, 2F) -> (N, F)."""

    activation: Callable[..., Array]
    gated: bool

    def __call__(self, x: Array) -> Array:
        """Activate each element."""
        return gate(x, self.activation) if self.gated else self.activation(x)


@dataclass(frozen=True, slots=True)
class Pool:
    """One row of all: (N, D) -> (D,), or several side by side."""

    modes: tuple[str, ...]
    skipped: int  # tokens of a prompt, left out at the beginning

    def __call__(self, x: Array) -> Array:
        """Pool the tokens."""
        return pool(x, np.array([0, len(x)]), self.modes, self.skipped)[0]


@dataclass(frozen=True, slots=True)
class OfTable:
    """The mean of a static model's rows, which may be none: (N, D) -> (D,)."""

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
        """Send the vector through."""
        return transform(x[None], [self.module], [self.p])[0]


@dataclass(frozen=True, slots=True)
class Finish:
    """The vector as it is asked for: cut to a width, and scaled to length 1."""

    dim: int | None
    normalise: bool

    def __call__(self, x: Array) -> Array:
        """Cut, and scale."""
        x = truncate_embeddings(x[None], self.dim)
        return (l2_normalize(x) if self.normalise else x)[0]


@dataclass(frozen=True, slots=True)
class Classify:
    """The head of a cross-encoder: (D,) -> (L,) logits."""

    blocks: tuple[Block, ...]

    def __call__(self, x: Array) -> Array:
        """Send the pooled row through."""
        return through(x[None], self.blocks)[0]
