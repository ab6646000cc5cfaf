"""Dropout (Srivastava et al., 2014) whose masks depend only on the seed, the step, and where they are used.

Numbers come from Philox (Salmon et al., 2011), a generator without state: it scrambles a counter with a key.  The key
is the seed and the step; the place in the model and the chunk of the batch determine the start of the counter.  So the
backward pass draws a mask again instead of storing it, and neither threads nor the order of calls change a mask.
"""

import hashlib
import math
from dataclasses import dataclass, replace

import numpy as np

from minembed.errors import InputError
from minembed.runtime.checks import check_seed
from minembed.types import Array

LEVELS = 1 << 16  # 16 random bits decide about an element, so p is exact to within 2^-17


@dataclass(frozen=True, slots=True)
class Dropout:
    """Sets each number to 0 with probability p, and scales the others up, so that the mean stays the same.

    p is rounded to a multiple of 1/65536, but is neither 0 nor 1 unless it was 0.  Raises InputError for p outside
    [0, 1), and for a seed or a step that is not a whole number from 0 to 2^64 - 1.

    >>> dropout = Dropout(0.5, seed=1).at(step=7)
    >>> x = np.ones(6, np.float32)
    >>> dropout(x, "layer.0.attention").tolist()
    [2.0, 2.0, 0.0, 0.0, 2.0, 2.0]
    >>> (dropout(x, "layer.0.attention") == dropout(x, "layer.0.attention")).all().item()
    True
    """

    p: float
    seed: int = 0
    step: int = 0
    place: tuple[str | int, ...] = ()  # the part of the place that all calls share, such as the chunk

    def __post_init__(self) -> None:
        if isinstance(self.p, bool) or not isinstance(self.p, int | float) or not 0 <= self.p < 1:
            raise InputError(f"p is the share that dropout leaves out, at least 0 and less than 1; not {self.p!r}")
        check_seed("seed", self.seed)
        check_seed("step", self.step)

    def at(self, step: int, *place: str | int) -> "Dropout":
        """The dropout for one step of training, and for one part of its batch.

        >>> Dropout(0.1, seed=3).at(20, "chunk", 4).place
        ('chunk', 4)
        """
        return replace(self, step=step, place=place)

    @property
    def kept(self) -> int:
        """How many of the 65536 levels keep a number.

        >>> Dropout(0.25).kept / 65536
        0.75
        """
        return LEVELS if self.p == 0 else min(max(round((1 - self.p) * LEVELS), 1), LEVELS - 1)

    def __call__(self, x: Array, *place: str | int) -> Array:  # (...) -> (...)
        """Set some of x to 0; the same ones for the same place and shape.  It is its own vjp, applied to dy.

        With p = 0 it returns x itself.
        """
        if self.p == 0:
            return x
        y: Array = x * self.mask(x.shape, *place)
        y *= x.dtype.type(LEVELS / self.kept)
        return y

    def mask(self, shape: tuple[int, ...], *place: str | int) -> Array:  # -> shape, bool
        """Which numbers are kept.

        >>> Dropout(0.5).mask((2, 3), "here").tolist() == Dropout(0.5).mask((2, 3), "there").tolist()
        False
        """
        if self.p == 0:
            return np.ones(shape, np.bool_)
        n = math.prod(shape)
        name = "\0".join(map(str, (*self.place, *place)))
        words = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=24).digest(), "<u8")
        # the lowest word counts from 0, so different places never overlap
        start, key = np.array([0, *words.tolist()], np.uint64), np.array([self.seed, self.step], np.uint64)
        drawn: Array = np.random.Philox(key=key, counter=start).random_raw(-(-n // 4)).view(np.uint16)[:n]
        return (drawn < np.uint16(self.kept)).reshape(shape)
