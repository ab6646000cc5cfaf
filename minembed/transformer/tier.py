"""The interface of a prepared encoder (`Tier`), and the one that is always available, in NumPy (`NumPyTier`)."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from minembed.errors import InputError
from minembed.transformer.config import Config
from minembed.transformer.encoder import encode
from minembed.transformer.operations import NUMPY, Observer, Operations
from minembed.transformer.params import Params, contiguous
from minembed.transformer.pooling import pool
from minembed.transformer.positions import AttentionPattern, attention_patterns
from minembed.transformer.quantization import linear_bfloat16, linear_int8, lower
from minembed.transformer.tokens import Tokens
from minembed.types import Array

OPERATIONS = {  # by compute type
    "float32": NUMPY,
    "bfloat16": Operations(linear=linear_bfloat16),
    "int8": Operations(linear=linear_int8),
}


class Tier(Protocol):
    """A prepared encoder: a function of tokens to hidden states.

    Functions in `minembed.runtime.backend.TABLE` prepare one from parameters, a config and a compute type.  It is
    immutable, can be pickled, and works after a `fork`.  Implementations inherit from this class and its defaults.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def dtype(self) -> str:
        """The compute type: "float32", "bfloat16" or "int8"."""

    @abstractmethod
    def __call__(self, tokens: Tokens, together: bool = False) -> Array:
        """Compute the hidden states of every token: (T,) -> (T, D) float32.

        `together` lets an idle core help, if `shares_work`; it changes no bit.
        """

    @property
    def reference(self) -> "NumPyTier | None":
        """The NumPy tier of the same weights and compute type, if this tier is one or keeps one."""
        return None

    @property
    def needs_blas(self) -> bool:
        """Whether BLAS does part of the work, and so must be limited to one thread."""
        return True

    @property
    def shares_work(self) -> bool:
        """Whether `together` makes use of an idle core."""
        return False

    def pooled(
        self, tokens: Tokens, modes: Sequence[str], skipped: int = 0, together: bool = False
    ) -> Array:  # (T,) -> (B, len(modes) * D)
        """Compute the hidden states and pool them, without the first `skipped` tokens of every text.

        A tier that can do this with fewer hidden states overrides it; the bits are the same.
        """
        return pool(self(tokens, together=together), tokens.cu_seqlens, modes, skipped)


@dataclass(frozen=True, slots=True)
class NumPyTier(Tier):
    """`minembed.transformer.encoder.encode` with its parameters: every step can be observed and changed."""

    params: Params  # in the compute type
    config: Config
    dtype: str = field()  # no default: without field(), the property of Tier would be used as one
    patterns: tuple[AttentionPattern, ...]  # by layer

    @property
    def reference(self) -> "NumPyTier":
        """Itself."""
        return self

    def __call__(
        self,
        tokens: Tokens,
        together: bool = False,
        observe: Observer | None = None,
        observe_attention: bool = False,
    ) -> Array:
        """Compute the hidden states of every token, (T,) -> (T, D); `Embedder.forward` explains `observe`."""
        ops = OPERATIONS[self.dtype]
        if observe is None:
            return encode(tokens, self.params, self.config, None, ops, self.patterns)
        ops = replace(ops, attention_seen=observe_attention)
        return encode(tokens, self.params, self.config, checked(observe), ops, self.patterns)


def checked(observe: Observer) -> Observer:
    """Give read-only arrays to an observer, and copies of what it returns to the encoder, which computes in place.

    Raises InputError if it returns anything but None or numbers of the same shape.

    >>> double = checked(lambda name, x: 2.0 * x)
    >>> double("embeddings", np.float32([[1, 2]]))
    array([[2., 4.]], dtype=float32)
    """

    def show(name: str, x: Array) -> Array | None:
        view = x.view()
        view.flags.writeable = False
        new = observe(name, view)
        if new is None:
            return None
        if not isinstance(new, np.ndarray) or new.dtype.kind not in "fiu" or new.shape != x.shape:
            what = f"{new.dtype} of shape {new.shape}" if isinstance(new, np.ndarray) else type(new).__name__
            raise InputError(
                f"observe returned {what} for {name!r}: return None, or an array of numbers of shape {x.shape}"
            )
        return np.array(new, x.dtype, order="C")

    return show


def prepare(params: Params, config: Config, dtype: str) -> NumPyTier:
    """Prepare the NumPy tier.  Raises InputError for an unknown compute type."""
    params = contiguous(params)  # BLAS is slower with transposed weights, and rounds differently
    return NumPyTier(lower(params, dtype), config, dtype, attention_patterns(params, config))
