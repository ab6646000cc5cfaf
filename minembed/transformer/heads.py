"""Heads: layers that some checkpoints put on top of the encoder, to score pairs or to predict masked words.

B texts, D width of the hidden states, E width of the embeddings, L labels, V vocabulary.  Row i of a result depends
only on row i of the input, bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from minembed.transformer.modules import ACTIVATIONS
from minembed.transformer.ops import ACTIVATION, layer_norm, linear, softmax
from minembed.transformer.params import Linear, Norm
from minembed.types import Array

HEAD_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {**ACTIVATION, "tanh": np.tanh, "identity": lambda x: x}
SCORE_ACTIVATIONS = {**ACTIVATIONS, "Softmax": softmax}  # of the logits; torch's names


@dataclass(frozen=True, slots=True)
class Block:
    """One step of a head: norm(activation(x @ weight + bias))."""

    linear: Linear  # (in, out)
    activation: str = "identity"  # a row of HEAD_ACTIVATIONS
    norm: Norm | None = None  # (out,)
    eps: float = 1e-12


@dataclass(frozen=True, slots=True)
class MaskedHead:
    """A masked-LM head: blocks, then the dot product with each word's row."""

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
        x = HEAD_ACTIVATIONS[block.activation](linear(x, block.linear))  # (B, in) -> (B, out)
        if block.norm is not None:
            x = layer_norm(x, block.norm, block.eps)
    return x


def word_scores(x: Array, head: MaskedHead) -> Array:  # (M, D) -> (M, V)
    """Compute the logits of every word for M masked tokens, row by row: each row is one product of the same shape.

    >>> head = MaskedHead((), np.float32([[1, 0], [0, 1], [1, 1]]), np.float32([0, 0, 5]))
    >>> word_scores(np.float32([[2, 3]]), head).tolist()
    [[2.0, 3.0, 10.0]]
    """
    x = through(x, head.blocks)  # (M, D) -> (M, E)
    logits = np.empty((len(x), len(head.decoder)), x.dtype)
    for i, row in enumerate(x):
        np.matmul(head.decoder, row, out=logits[i])  # (V, E), (E,) -> (V,)
    return logits if head.bias is None else logits + head.bias
