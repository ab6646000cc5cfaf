"""Heads: what some checkpoints put on top of the encoder, for scores of pairs or for words in the place of a mask.

B texts, D width of the hidden states, E width of the embeddings, L labels, V vocabulary.  Row i of a result depends on
row i of the input alone, bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from minembed.transformer.modules import ACTIVATIONS
from minembed.transformer.ops import ACTIVATION, layer_norm, linear, softmax
from minembed.transformer.params import Linear, Norm
from minembed.transformer.pooling import mean_pool
from minembed.transformer.tokens import Tokens
from minembed.types import Array

INSIDE: dict[str, Callable[[Array], Array]] = {**ACTIVATION, "tanh": np.tanh, "identity": lambda x: x}
SCORES = {**ACTIVATIONS, "Softmax": softmax}  # of the logits; torch's names


@dataclass(frozen=True, slots=True)
class Block:
    """One step of a head: norm(activation(x @ weight + bias))."""

    linear: Linear  # (in, out)
    activation: str = "identity"  # a row of INSIDE
    norm: Norm | None = None  # (out,)
    eps: float = 1e-12


@dataclass(frozen=True, slots=True)
class MaskedHead:
    """A masked-LM head: blocks, and then the dot product with each word's own row."""

    blocks: tuple[Block, ...]  # (D,) -> (E,)
    decoder: Array  # (V, E): often the word embeddings themselves
    bias: Array | None  # (V,)


def through(x: Array, blocks: Sequence[Block]) -> Array:  # (B, in) -> (B, out)
    """Send rows through the blocks of a head.

    >>> negate = Block(Linear(np.float32([[-1]]), np.float32([0])), "relu")
    >>> through(np.float32([[3], [-5]]), [negate]).tolist()
    [[0.0], [5.0]]
    """
    for block in blocks:
        x = INSIDE[block.activation](linear(x, block.linear))  # (B, in) -> (B, out)
        if block.norm is not None:
            x = layer_norm(x, block.norm, block.eps)
    return x


def read_out(compute: Callable[..., Array], tokens: Tokens, pooling: str, together: bool = False) -> Array:  # -> (B, D)
    """Compute what a classification head reads of each text: its first token ("cls"), or the mean of all ("mean").

    `together` lets an idle core help, where the tier knows how.

    >>> tokens = Tokens(np.arange(3), np.zeros(3, int), np.array([0, 2, 3]))
    >>> read_out(lambda tokens: np.float32([[1], [3], [9]]), tokens, "mean").tolist()
    [[2.0], [9.0]]
    """
    one_row = getattr(compute, "one_row", None)
    if one_row is not None and pooling == "cls":
        first: Array = one_row(tokens, "cls", together=together)
        return first
    hidden = compute(tokens, together=True) if one_row is not None and together else compute(tokens)  # (T, D)
    return mean_pool(hidden, tokens.cu_seqlens) if pooling == "mean" else hidden[tokens.cu_seqlens[:-1]]


def word_scores(x: Array, head: MaskedHead) -> Array:  # (M, D) -> (M, V)
    """Compute the logits of every word for M masked tokens, row by row: each is one product of the same shape.

    >>> head = MaskedHead((), np.float32([[1, 0], [0, 1], [1, 1]]), np.float32([0, 0, 5]))
    >>> word_scores(np.float32([[2, 3]]), head).tolist()
    [[2.0, 3.0, 10.0]]
    """
    x = through(x, head.blocks)  # (M, D) -> (M, E)
    logits = np.empty((len(x), len(head.decoder)), x.dtype)
    for i, row in enumerate(x):
        np.matmul(head.decoder, row, out=logits[i])  # (V, E), (E,) -> (V,)
    return logits if head.bias is None else logits + head.bias
