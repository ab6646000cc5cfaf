"""One batch: forward, loss, backward, in chunks of texts on threads.

The division into chunks depends only on the lengths of the texts, and gradients of chunks are summed in a fixed order:
the result has the same bits with any number of threads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from minembed.runtime import backend
from minembed.runtime.threads import check_threads, run, single_threaded_blas
from minembed.train.backward.gradients import accumulate
from minembed.train.backward.tape import Tape
from minembed.train.backward.trees import Gradient, Weights, flat_gradients
from minembed.train.backward.vjp import ACTIVATION_VJP, Backward, Pass, attend_vjp, encode_vjp, linear
from minembed.train.backward.vjp_vectors import pool_vjp, transform_vjp
from minembed.train.dropout import Dropout
from minembed.train.masked_lm_loss import masked_lm
from minembed.train.masking import Masked
from minembed.train.model import Trainee
from minembed.train.settings import Settings
from minembed.transformer.attention import attend
from minembed.transformer.encoder import encode
from minembed.transformer.modules import transform
from minembed.transformer.operations import Operations
from minembed.transformer.ops import ACTIVATION
from minembed.transformer.pooling import pool
from minembed.transformer.positions import AttentionPattern, attention_patterns
from minembed.transformer.tokens import Tokens
from minembed.types import Array

CHUNK_TOKENS = 256  # enough rows for the matrix products to run at full speed
Loss = Callable[[tuple[Array, ...], Array | None], tuple[float, tuple[Array, ...]]]


@dataclass(frozen=True, slots=True)
class Step:
    """The result of a batch."""

    loss: float
    gradients: dict[str, Gradient]  # by the names of trees.flat
    n_tokens: int


@dataclass(frozen=True, slots=True)
class Method:
    """How gradients are computed; only dropout and rounding change their values."""

    threads: int = 1
    dropout: Dropout | None = None  # of this step
    recompute: bool = False  # keep only the inputs of layers, and compute layers again: less memory, 1/3 more work
    cached: bool = False  # two passes, one chunk at a time (Gao et al., 2021): memory does not grow with the batch
    backend: str = "numpy"  # or "numba", "native", "auto": for the products

    @classmethod
    def of(cls, settings: Settings, number: int) -> "Method":
        """The method for these settings, for the batch with this number.

        >>> Method.of(Settings(dropout=0.0, cached=True, threads=1), 3).cached
        True
        """
        return cls(
            threads=check_threads(settings.threads),
            dropout=Dropout(settings.dropout, settings.seed).at(number) if settings.dropout else None,
            recompute=settings.recompute,
            cached=settings.cached,
            backend=settings.backend,
        )


def contrastive_gradients(
    trainee: Trainee, columns: Sequence[Tokens], labels: Array | None, loss: Loss, method: Method
) -> Step:
    """Embed the texts of all columns, compute the loss of their vectors, and its gradient for every weight.

    `columns[i]` are the texts of column i of `loss`; all columns have the same number of texts.
    """
    tokens = concatenate(columns)
    chunks = deal_out(tokens.lengths())
    work = _Work(
        trainee,
        tokens,
        attention_patterns(trainee.weights.encoder, trainee.checkpoint.config),
        method,
        *operations_for(method),
    )
    vectors, kept = np.empty(0), dict[int, _Forward]()
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore", under="ignore"):  # results are checked
        for i, forward in run(partial(work.forward, keep=not method.cached), list(enumerate(chunks)), method.threads):
            if not vectors.size:
                vectors = np.empty((len(tokens), forward.vectors.shape[1]), forward.vectors.dtype)
            vectors[chunks[i]] = forward.vectors
            if not method.cached:
                kept[i] = forward
        bounds = np.cumsum([len(column) for column in columns])[:-1]
        value, slopes = loss(tuple(np.split(vectors, bounds)), labels)
        dvectors = np.concatenate(slopes)
        items = [(i, chunk, kept.pop(i, None), dvectors[chunk]) for i, chunk in enumerate(chunks)]
        gradients = sum_in_order(run(work.backward, items, method.threads))
    return Step(value, gradients, len(tokens.ids))


def masked_gradients(trainee: Trainee, masked: Masked, method: Method) -> Step:
    """The loss of predicting masked words, and its gradient for every weight; trainee.weights must have the head."""
    shown, hidden = masked.tokens, np.full(len(masked.tokens.ids), -1, np.int64)
    hidden[masked.positions] = masked.labels
    chunks = deal_out(shown.lengths())
    work = _Work(
        trainee,
        shown,
        attention_patterns(trainee.weights.encoder, trainee.checkpoint.config),
        method,
        *operations_for(method),
    )
    values = [0.0] * len(chunks)

    def gradients(item: tuple[int, Array]) -> dict[str, Gradient]:
        values[item[0]], found = work.masked(item, replace(shown, ids=hidden), len(masked.labels))
        return found

    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore", under="ignore"):  # results are checked
        total = sum_in_order(run(gradients, list(enumerate(chunks)), method.threads))
    return Step(sum(values), total, len(shown.ids))


def operations_for(method: Method) -> tuple[Operations, Backward]:
    """The operations of both directions (forward and backward) for one step.

    >>> operations_for(Method(backend="numpy"))[1].linear.__name__
    'linear_vjp'
    """
    chosen = backend.serving(method.backend, backend.WORTH_LOADING)
    if chosen == "numpy":
        return Operations(linear=linear), Backward()
    own = backend.resolve("training", chosen)()
    softmax, softmax_vjp = own.softmax, own.softmax_vjp
    ops = Operations(own.linear, own.layer_norm, {**ACTIVATION, "gelu": own.gelu}, partial(attend, softmax=softmax))
    attend_back = partial(attend_vjp, softmax=softmax, softmax_vjp=softmax_vjp)
    activation_vjp = {**ACTIVATION_VJP, "gelu": own.gelu_vjp}
    return ops, Backward(own.linear_vjp, own.layer_norm_vjp, activation_vjp, attend_back)


def deal_out(lengths: Array) -> list[Array]:  # (B,) -> indices of texts, by chunk
    """Group texts by length, longest first, into chunks of nearly equal work; an even number, if more than one.

    >>> [chunk.tolist() for chunk in deal_out(np.array([3, 200, 4, 200]))]
    [[1], [3, 2, 0]]
    """
    total = int(lengths.sum())
    n = min(len(lengths), 2 * -(-total // (2 * CHUNK_TOKENS)) if total > CHUNK_TOKENS else 1)
    order = np.argsort(-lengths, kind="stable")
    ends = np.cumsum(lengths[order])
    which = np.minimum((ends - lengths[order] / 2) * n / total, n - 1).astype(int)  # by the middle of each text
    return [order[which == i] for i in range(n) if (which == i).any()]


def concatenate(columns: Sequence[Tokens]) -> Tokens:
    """All texts of all columns, one after the other.

    >>> tokens = Tokens(np.arange(2), np.zeros(2, int), np.array([0, 2]))
    >>> concatenate([tokens, tokens]).cu_seqlens.tolist()
    [0, 2, 4]
    """
    lengths = np.concatenate([column.lengths() for column in columns])
    return Tokens(
        np.concatenate([column.ids for column in columns]),
        np.concatenate([column.types for column in columns]),
        np.concatenate([[0], np.cumsum(lengths)]),
    )


def sum_in_order(results: Any) -> dict[str, Gradient]:
    """Sum the gradients of chunks in the order 0, 1, 2, ..., although they arrive in any order.

    >>> sum_in_order([(1, {"a": np.float64([2])}), (0, {"a": np.float64([1])})])["a"].tolist()
    [3.0]
    """
    waiting: dict[int, dict[str, Gradient]] = {}
    total: dict[str, Gradient] = {}
    turn = 0
    for i, gradients in results:
        waiting[i] = gradients
        while turn in waiting:
            accumulate(total, waiting.pop(turn))
            turn += 1
    return total


@dataclass(frozen=True, slots=True)
class _Forward:
    """The input of the backward pass of a chunk."""

    tape: Tape
    tokens: Tokens
    hidden: Array  # (T, D)
    pooled: Array  # (B, D)
    vectors: Array  # (B, D')


@dataclass(frozen=True, slots=True)
class _Work:
    trainee: Trainee
    tokens: Tokens
    patterns: tuple[AttentionPattern, ...]
    method: Method
    ops: Operations
    back: Backward

    def masked(self, item: tuple[int, Array], hidden: Tokens, count: int) -> tuple[float, dict[str, Gradient]]:
        i, chunk = item
        labels, weights, config = hidden.select(chunk).ids, self.trainee.weights, self.trainee.checkpoint.config
        tape, tokens = self._tape(i, self.method.recompute), self.tokens.select(chunk)
        states = encode(tokens, weights.encoder, config, tape, tape.watch(self.ops), self.patterns)
        assert weights.head is not None
        places = np.flatnonzero(labels >= 0)
        value, dstates, dhead = masked_lm(states, places, labels[places], weights.head, count)
        dencoder = encode_vjp(weights.encoder, self.patterns, Pass(tokens, config, self.ops, self.back, tape), dstates)
        return value, flat_gradients(weights, Weights(dencoder, (None,) * len(weights.modules), dhead))

    def _tape(self, i: int, recompute: bool) -> Tape:
        dropout, layers = self.method.dropout, self.trainee.weights.encoder.layers
        post_norms = any(layer.attention_post_norm or layer.output_post_norm for layer in layers)
        return Tape(None if dropout is None else dropout.at(dropout.step, "chunk", i), recompute, post_norms)

    def forward(self, item: tuple[int, Array], keep: bool = True) -> _Forward:
        i, chunk = item
        weights, checkpoint, tokens = self.trainee.weights, self.trainee.checkpoint, self.tokens.select(chunk)
        tape = self._tape(i, self.method.recompute or not keep)
        hidden = encode(tokens, weights.encoder, checkpoint.config, tape, tape.watch(self.ops), self.patterns)
        pooled = pool(hidden, tokens.cu_seqlens, checkpoint.pooling)
        return _Forward(tape, tokens, hidden, pooled, transform(pooled, checkpoint.modules, weights.modules))

    def backward(self, item: tuple[int, Array, _Forward | None, Array]) -> dict[str, Gradient]:
        i, chunk, kept, dvectors = item
        made = self.forward((i, chunk)) if kept is None else kept
        weights, checkpoint = self.trainee.weights, self.trainee.checkpoint
        dpooled, dmodules = transform_vjp(made.pooled, checkpoint.modules, weights.modules, dvectors)
        dhidden = pool_vjp(made.hidden, made.tokens.cu_seqlens, checkpoint.pooling, 0, dpooled)
        one = Pass(made.tokens, checkpoint.config, self.ops, self.back, made.tape)
        dencoder = encode_vjp(weights.encoder, self.patterns, one, dhidden)
        made.tape.seen.clear()  # frees memory while other chunks are still computed
        return flat_gradients(weights, Weights(dencoder, dmodules))
