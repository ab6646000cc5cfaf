"""Padding for comparison: how a padded batch would change the bits of a text.

B texts, N tokens of the longest, T = B N rows of the rectangle.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from minembed.errors import InputError, InputKeyError
from minembed.models.embedder import Embedder
from minembed.models.engine import report_truncation
from minembed.models.fill_mask import special_id
from minembed.models.options import Options
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import as_texts
from minembed.runtime.threads import single_threaded_blas
from minembed.study.given import check_embedder, cut_texts
from minembed.transformer.attention import Drop, by_heads
from minembed.transformer.attention_seen import scores
from minembed.transformer.encoder import encode
from minembed.transformer.modules import transform
from minembed.transformer.operations import NUMPY
from minembed.transformer.ops import softmax
from minembed.transformer.params import Linear
from minembed.transformer.pooling import pool
from minembed.transformer.positions import AttentionPattern
from minembed.transformer.tier import NumPyTier
from minembed.transformer.tokens import Tokens
from minembed.types import Array


@dataclass(frozen=True, slots=True)
class Moved:
    """The difference of a step between the padded and the packed batch, over the texts' own tokens."""

    name: str
    share: float  # of the numbers with other bits
    largest: float  # difference
    padded: Array  # (T', D) the numbers of the texts' own tokens, without those of padding


@dataclass(frozen=True, slots=True)
class Padding:
    """A batch computed as a padded rectangle, step by step."""

    shape: tuple[int, int]  # of the rectangle: texts, tokens
    wasted: float  # the share of its rows that are padding
    steps: tuple[Moved, ...]

    def __getitem__(self, name: str) -> Moved:
        for step in self.steps:
            if step.name == name:
                return step
        raise InputKeyError(f"{name!r} is no step of a padded batch, such as {self.steps[-1].name!r}")

    @property
    def first(self) -> str | None:
        """The first step whose bits change; None if all are the same."""
        return next((step.name for step in self.steps if step.share), None)

    def table(self) -> str:
        """A line per step: the share of its numbers with other bits, and the largest difference."""
        wide = max(len(step.name) for step in self.steps)
        lines = [f"{step.name:<{wide}}  {step.share:6.1%}  {step.largest:9.1e}" for step in self.steps]
        size = f"{self.shape[0]} x {self.shape[1]}, {self.wasted:.0%} of it padding"
        return "\n".join([f"{size}; bits moved, largest difference", *lines])


def padded(model: Embedder, texts: Iterable[str], tokens: int | None = None) -> Padding:
    """Compute texts as most libraries do, and compare every step with the packed tokens of this one.

    Texts are used without the checkpoint's prompts, and padded with the padding token to a rectangle as wide as the
    longest, or `tokens`; products are computed by BLAS over all its rows, keys of padding are masked by -inf, and the
    mean is a masked sum.  The mathematics is the same; only the order of sums inside BLAS differs, which depends on the
    number of rows.

    Raises InputError for no texts, for `tokens` below the longest or above what the model reads, and for a model that
    does not compute in float32 or has no layers.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> padded(model, ["a cat", "a cat sat on the mat"])["vector"].largest < 1e-6  # doctest: +SKIP
    True
    """
    check_embedder(model, "padded")
    several, config, reference = as_texts(texts), model.config, model.engine.reference()
    if not several:
        raise InputError("padded needs at least one text")
    if reference.dtype != "float32" or not config.num_hidden_layers:
        raise InputError("padded computes models with layers, in float32: load it with dtype='float32'")
    packed = model.tokenize(several)
    report_truncation(cut_texts(packed), model.max_seq_length, Options())
    longest, most = int(packed.lengths().max()), min(config.max_tokens, model.max_seq_length)
    width = longest if tokens is None else check_whole("tokens", tokens, longest, most)
    rectangle, own = _rectangle(model, packed, width)
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore", under="ignore"):
        ours = _steps(model, reference, packed)
        theirs = _padded_steps(model, reference, rectangle, own.reshape(len(several), width))
    steps = [_moved(name, x[own] if len(x) == len(own) else x, ours[name]) for name, x in theirs.items()]
    return Padding((len(several), width), 1 - len(packed.ids) / len(own), tuple(steps))


def _rectangle(model: Embedder, packed: Tokens, width: int) -> tuple[Tokens, Array]:  # -> Tokens, (B N,) bool
    """The texts padded to one length, and a mask of their own tokens."""
    pad = special_id(model.engine.tokenizer.reference, model.checkpoint.folder, "pad_token") or 0
    own = (np.arange(width) < packed.lengths()[:, None]).reshape(-1)
    ids, types = np.full(len(own), pad, packed.ids.dtype), np.zeros(len(own), packed.types.dtype)
    ids[own], types[own] = packed.ids, packed.types
    return Tokens(ids, types, np.arange(0, len(own) + 1, width)), own


def _steps(model: Embedder, reference: NumPyTier, packed: Tokens) -> dict[str, Array]:
    """The steps of the packed batch."""
    seen: dict[str, Array] = {}
    hidden = reference(packed, observe=lambda name, x: seen.update({name: x.copy()}))
    seen["pooled"] = pool(hidden, packed.cu_seqlens, model.checkpoint.pooling)
    seen["vector"] = transform(seen["pooled"], model.checkpoint.modules, model.engine.modules)
    return seen


def _padded_steps(model: Embedder, reference: NumPyTier, rectangle: Tokens, own: Array) -> dict[str, Array]:
    """The same encoder with BLAS's product and a mask, over the rectangle."""
    seen: dict[str, Array] = {}

    def observe(name: str, x: Array) -> None:
        seen[name] = x.copy()

    ops = replace(NUMPY, linear=blas_linear, attend=partial(masked_attend, own))
    hidden = encode(rectangle, reference.params, reference.config, observe, ops, reference.patterns)
    seen["pooled"] = masked_pool(hidden.reshape(*own.shape, -1), own, model.checkpoint.pooling)
    seen["vector"] = transform(seen["pooled"], model.checkpoint.modules, model.engine.modules)
    return seen


def blas_linear(x: Array, p: Linear) -> Array:  # (T, in) -> (T, out)
    """x W + b by NumPy: the last bits of a row depend on the number of rows.

    >>> blas_linear(np.ones((1, 2)), Linear(np.ones((2, 1)), np.ones(1))).tolist()
    [[3.0]]
    """
    y: Array = x @ p.weight
    return y if p.bias is None else y + p.bias


def masked_attend(
    own: Array, qkv: Array, cu_seqlens: Array, H: int, G: int, pattern: AttentionPattern, drop: Drop | None = None
) -> Array:  # (B, N) bool, (B N, (H + 2G) K) -> (B N, H K)
    """Attention over the rectangle: keys of padding get the score -inf.

    >>> qkv = np.tile(np.float32([0, 0, 1]), (2, 1))
    >>> masked_attend(np.array([[True, False]]), qkv, np.array([0, 2]), 1, 1, AttentionPattern()).tolist()
    [[1.0], [1.0]]
    """
    B, N = own.shape
    out = np.empty((len(qkv), qkv.shape[1] // (H + 2 * G) * H), qkv.dtype)
    for b, rows in enumerate(qkv.reshape(B, N, -1)):
        q, k, v = by_heads(rows, 1, H, G)
        x = np.where(own[b], scores(q, k, pattern), -np.inf)  # (H, N, N)
        p = np.nan_to_num(softmax(x))  # NaN: padding so far away that no token is in its window
        out[b * N : (b + 1) * N] = (p @ v).transpose(1, 0, 2).reshape(N, -1)
    return out


def masked_pool(hidden: Array, own: Array, modes: Iterable[str]) -> Array:  # (B, N, D), (B, N) -> (B, V)
    """The mean as a masked sum; other kinds of pooling do not sum, and are computed from a text's own tokens.

    >>> masked_pool(np.float32([[[2], [4], [9]]]), np.array([[True, True, False]]), ["mean"]).tolist()
    [[3.0]]
    """
    found = []
    for mode in modes:
        if mode == "mean":
            mask = own[..., None].astype(hidden.dtype)
            found.append((hidden * mask).sum(axis=1) / mask.sum(axis=1))
        else:
            bounds = np.concatenate([[0], np.cumsum(own.sum(axis=1))])
            found.append(pool(hidden[own], bounds, [mode]))
    return np.concatenate(found, axis=1)


def _moved(name: str, x: Array, packed: Array) -> Moved:
    return Moved(name, float((x != packed).mean()), float(np.abs(x.astype(np.float64) - packed).max(initial=0)), x)
