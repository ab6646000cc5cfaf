"""The functions that compute the steps of the encoder, and its observer: compute types and training replace them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from minembed.transformer.attention import Drop, attend
from minembed.transformer.ops import ACTIVATION, layer_norm, linear
from minembed.types import Array

Observer = Callable[[str, Array], Array | None]  # name, intermediate result -> its replacement, or None


def keep_all(place: str) -> Drop | None:
    """No dropout: a named function, since a lambda cannot be pickled.

    >>> keep_all("layer.0.") is None
    True
    """
    return None


@dataclass(frozen=True, slots=True)
class Operations:
    """One function for each step; by default those of plain NumPy.

    >>> import numpy as np
    >>> double = Operations(observe=lambda name, x: 2 * x if name == "layer.0.qkv" else None, place="layer.0.")
    >>> double.see("qkv", np.ones(2)).tolist(), double.see("context", np.ones(2)).tolist()
    ([2.0, 2.0], [1.0, 1.0])
    """

    linear: Callable[..., Array] = linear
    layer_norm: Callable[..., Array] = layer_norm
    activation: Mapping[str, Callable[..., Array]] = field(default_factory=lambda: ACTIVATION)
    attend: Callable[..., Array] = attend
    drop: Callable[[str], Drop | None] = keep_all  # dropout of attention in training, by place
    observe: Observer | None = None
    attention_seen: bool = False  # also show the parts of attention: H N^2 numbers for every text
    place: str = ""  # the prefix of observed names: "layer.0."

    def see(self, name: str, x: Array) -> Array:
        """Show an intermediate result to the observer; an array that it returns replaces the result."""
        seen = self.observe(self.place + name, x) if self.observe else None
        return x if seen is None else seen


NUMPY = Operations()
