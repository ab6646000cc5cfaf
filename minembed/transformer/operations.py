"""Which function computes each step of the encoder, and who watches: what compute types and training replace."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from minembed.transformer.attention import Drop, attend
from minembed.transformer.ops import ACTIVATION, layer_norm, linear
from minembed.types import Array

Observer = Callable[[str, Array], Array | None]  # name, intermediate result -> what takes its place, if anything


def keep_all(place: str) -> Drop | None:
    """Leave nothing out: a named function, since a lambda could not be pickled.

    >>> keep_all("layer.0.") is None
    True
    """
    return None


@dataclass(frozen=True, slots=True)
class Operations:
    """One function for each step; those of plain NumPy, unless another is given.

    >>> import numpy as np
    >>> double = Operations(observe=lambda name, x: 2 * x if name == "layer.0.qkv" else None, place="layer.0.")
    >>> double.see("qkv", np.ones(2)).tolist(), double.see("context", np.ones(2)).tolist()
    ([2.0, 2.0], [1.0, 1.0])
    """

    linear: Callable[..., Array] = linear
    layer_norm: Callable[..., Array] = layer_norm
    activation: Mapping[str, Callable[..., Array]] = field(default_factory=lambda: ACTIVATION)
    attend: Callable[..., Array] = attend
    drop: Callable[[str], Drop | None] = keep_all  # what training leaves out of attention, by place
    observe: Observer | None = None
    attention_seen: bool = False  # whether the parts of attention are shown, too: H N^2 numbers of every text
    place: str = ""  # begins the names of what is observed: "layer.0."

    def see(self, name: str, x: Array) -> Array:
        """Show an intermediate result to the observer; an array that it returns takes its place."""
        seen = self.observe(self.place + name, x) if self.observe else None
        return x if seen is None else seen


NUMPY = Operations()
