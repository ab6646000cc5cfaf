"""Tiers for tests: the available ones, one made of a plain function, and kernels with fewer layers."""

import dataclasses
from importlib.util import find_spec

from minembed.runtime.backend import has_native
from minembed.transformer.tier import Tier

COMPILED = ["numba"] * bool(find_spec("numba")) + ["native"] * has_native()  # those that can be tested here
TIERS = ["numpy", *COMPILED]


class FunctionTier(Tier):
    """A tier that computes hidden states with a function of tokens."""

    dtype = "float32"

    def __init__(self, compute):
        self.compute = compute

    def __call__(self, tokens, together=False):
        return self.compute(tokens)


def with_tier(model, compute):
    """The model, computing with a function of tokens."""
    return dataclasses.replace(model, engine=dataclasses.replace(model.engine, compute=FunctionTier(compute)))


def by_layer(encoder, tokens):
    """The results of the kernels after the embeddings and after each layer, by the names of the observer."""
    states = {}
    name, place = ("plan", 6) if hasattr(encoder, "plan") else ("shape", 3)  # where the number of layers is
    numbers = getattr(encoder, name)
    for layers in range(numbers[place] + 1):
        fewer = (*numbers[:place], layers, *numbers[place + 1 :])
        cut = dataclasses.replace(encoder, final_norm=None, **{name: fewer})
        states[f"layer.{layers - 1}" if layers else "embeddings"] = cut(tokens)
    return states
