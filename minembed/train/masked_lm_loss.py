"""The masked-LM loss and its gradients: a head (heads.py) predicts masked words (Devlin et al., 2018).

M masked words, T tokens, D width of the hidden states, E width of the embeddings, V vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from minembed.errors import InputError, NumericalError
from minembed.runtime.checks import check_seed
from minembed.train.backward.vjp import ACTIVATION_VJP, layer_norm_vjp, linear, linear_vjp
from minembed.transformer.heads import HEAD_ACTIVATIONS, Block, MaskedHead
from minembed.transformer.ops import layer_norm
from minembed.transformer.params import Linear, Norm
from minembed.types import Array
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.heads import masked_layout

LOGITS = 1 << 22  # logits in memory at a time: 16 MiB in float32 (at least one row of V)
WORDS = 1 << 12  # rows of the decoder whose gradients are added at once
HEAD_ACTIVATIONS_VJP: dict[str, Callable[[Array, Array], Array]] = {  # of heads.HEAD_ACTIVATIONS
    **ACTIVATION_VJP,
    "tanh": lambda x, dy: dy * (1 - np.tanh(x) ** 2),
    "identity": lambda x, dy: dy,
}


def masked_lm(
    hidden: Array, positions: Array, labels: Array, head: MaskedHead, count: int | None = None
) -> tuple[float, Array, MaskedHead]:  # (T, D), (M,), (M,) -> (), (T, D)
    """At each position the head should predict the word that was masked there: cross-entropy, in nats.

    Returns the mean over the words, and its gradients with respect to the hidden states and the head; if the decoder is
    tied to the embeddings, its gradient is the part from this use.  The sum is divided by `count`, by default M: parts
    of a batch, each with the `count` of the whole, add up to its mean.  Without masked words, everything is 0.  The
    logits of all words are never in memory at once, see LOGITS.

    Raises InputError for positions that are not ascending token indices and for labels outside the decoder's
    vocabulary, NumericalError if a hidden state contains NaN or infinity.

    >>> head = MaskedHead((), np.eye(3), None)
    >>> value, dhidden, gradient = masked_lm(np.float64([[9, 9, 9], [0, 0, 0]]), np.array([1]), np.array([2]), head)
    >>> round(value, 6), dhidden.round(3).tolist()
    (1.098612, [[0.0, 0.0, 0.0], [0.333, 0.333, -0.667]])
    """
    _check(hidden, positions, labels, head)
    M = len(positions) if count is None else count
    if M < len(positions):
        raise InputError(f"count is that of all hidden words, at least the {len(positions)} that are here; not {M}")
    x, entered = _through(hidden[positions], head.blocks)
    value, dx, ddecoder, dbias = _cross_entropy(x, labels, head, max(M, 1))
    dhidden = np.zeros_like(hidden)
    dhidden[positions], dblocks = blocks_vjp(entered, head.blocks, dx)
    return value, dhidden, MaskedHead(dblocks, ddecoder, dbias)


def _through(x: Array, blocks: Sequence[Block]) -> tuple[Array, list[tuple[Array, Array]]]:
    """As heads.through, and also the inputs of the linear layer and of the activation of each block."""
    entered = []
    for block in blocks:
        z = linear(x, block.linear)
        entered.append((x, z))
        x = HEAD_ACTIVATIONS[block.activation](z)
        if block.norm is not None:
            x = layer_norm(x, block.norm, block.eps)
    return x, entered


def blocks_vjp(
    entered: Sequence[tuple[Array, Array]], blocks: Sequence[Block], dy: Array
) -> tuple[Array, tuple[Block, ...]]:
    """The backward of heads.through, last block first; `entered` holds each block's x and x @ weight + bias.

    >>> block = Block(Linear(np.float64([[2]])), "relu")
    >>> dx, gradients = blocks_vjp([(np.float64([[3]]), np.float64([[6]]))], [block], np.float64([[1]]))
    >>> dx.tolist(), gradients[0].linear.weight.tolist()
    ([[2.0]], [[3.0]])
    """
    gradients = []
    for block, (x, z) in reversed(list(zip(blocks, entered, strict=True))):
        dnorm = None
        if block.norm is not None:
            dy, dnorm = layer_norm_vjp(HEAD_ACTIVATIONS[block.activation](z), block.norm, block.eps, dy)
        dy, dlinear = linear_vjp(x, block.linear, HEAD_ACTIVATIONS_VJP[block.activation](z, dy))
        gradients.append(replace(block, linear=dlinear, norm=dnorm))
    return dy, tuple(reversed(gradients))


def _cross_entropy(x: Array, labels: Array, head: MaskedHead, M: int) -> tuple[float, Array, Array, Array | None]:
    """From logits to the loss and its gradients, in blocks of rows; logits are overwritten by their gradients."""
    value, dx, ddecoder = 0.0, np.empty_like(x), np.zeros_like(head.decoder)
    dbias = None if head.bias is None else np.zeros_like(head.bias)
    size = max(1, min(LOGITS // len(head.decoder), len(x)))
    room = np.empty((size, len(head.decoder)), x.dtype)
    for rows in _slices(len(x), size):
        n = rows.stop - rows.start
        own = np.arange(n), labels[rows]
        logits = np.matmul(x[rows], head.decoder.T, out=room[:n])  # (n, E), (E, V) -> (n, V)
        if head.bias is not None:
            logits += head.bias
        logits -= logits.max(axis=1, keepdims=True)  # the largest exponent is 0: none can overflow
        wanted = logits[own].astype(np.float64)
        np.exp(logits, out=logits)
        total = logits.sum(axis=1, keepdims=True)
        value += float((np.log(total[:, 0], dtype=np.float64) - wanted).sum())
        logits /= total  # probabilities
        logits[own] -= 1
        logits /= M  # dL/d(logits)
        np.matmul(logits, head.decoder, out=dx[rows])
        for words in _slices(len(ddecoder), WORDS):
            ddecoder[words] += logits[:, words].T @ x[rows]
        if dbias is not None:
            dbias += logits.sum(axis=0)
    return value / M, dx, ddecoder, dbias


def _slices(n: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _check(hidden: Array, positions: Array, labels: Array, head: MaskedHead) -> None:
    if len(positions) != len(labels):
        raise InputError(f"each hidden word needs its position and its label: {len(positions)} and {len(labels)}")
    if not len(positions):
        return
    if not (np.issubdtype(positions.dtype, np.integer) and np.issubdtype(labels.dtype, np.integer)):
        raise InputError(f"positions and labels must be whole numbers, not {positions.dtype} and {labels.dtype}")
    if positions[0] < 0 or positions[-1] >= len(hidden) or (np.diff(positions) < 1).any():
        raise InputError(f"positions must rise within the {len(hidden)} tokens, each once")
    wrong = (labels < 0) | (labels >= len(head.decoder))
    if wrong.any():
        i = int(wrong.argmax())
        raise InputError(
            f"the label of position {positions[i]} is {labels[i]}, but the vocabulary has {len(head.decoder)} words"
        )
    finite = np.isfinite(hidden[positions]).all(axis=1)
    if not finite.all():
        raise NumericalError(f"the hidden state of token {positions[finite.argmin()]} holds NaN or infinity")


def new_head(checkpoint: Checkpoint, word: Array, *, seed: int = 0, std: float = 0.02) -> MaskedHead:
    """An untrained masked-LM head, in the shape of the checkpoint's family.

    Most have BERT's shape: dense, activation, LayerNorm, then the word embeddings as decoder.  As in BERT, weights are
    drawn from a normal distribution with standard deviation `std`, and biases are 0; the decoder is `word` itself,
    (V, E).  Raises InputError for a table of another shape or an invalid seed, and the errors of
    weights.heads.masked_layout.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from minembed.transformer.config import Config
    >>> word = np.ones((9, 4), np.float32)
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "config.json").write_text('{"hidden_act": "gelu"}')
    ...     config = Config(9, 4, 1, 2, 8, 16, 0, "gelu", 1e-5)
    ...     head = new_head(Checkpoint(Path(folder), "bert", config, ("mean",), 16), word)
    >>> head.decoder is word, head.blocks[0].linear.weight.shape, head.bias.shape
    (True, (4, 4), (9,))
    """
    shape = masked_layout(checkpoint)
    if word.shape != shape.decoder.shape:
        raise InputError(f"the word embeddings have the shape {word.shape}, not {shape.decoder.shape}")
    numbers, dtype = np.random.Generator(np.random.Philox(key=check_seed("seed", seed))), word.dtype

    def zeros(bias: Array | None) -> Array | None:
        return None if bias is None else np.zeros(bias.shape, dtype)

    blocks = []
    for block in shape.blocks:
        weight = numbers.normal(0, std, block.linear.weight.shape).astype(dtype)
        norm = block.norm and Norm(np.ones(block.norm.weight.shape, dtype), zeros(block.norm.bias))
        blocks.append(replace(block, linear=Linear(weight, zeros(block.linear.bias)), norm=norm))
    return MaskedHead(tuple(blocks), word, zeros(shape.bias))
