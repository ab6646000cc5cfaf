"""Tiers for tests: of a plain function, and kernels cut short."""

import dataclasses

from minembed.transformer.tier import Tier


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
    """What kernels compute after the embeddings and after each layer, by the names of the observer."""
    states = {}
    for layers in range(encoder.shape[3] + 1):
        shape = (*encoder.shape[:3], layers, *encoder.shape[4:])
        cut = dataclasses.replace(encoder, shape=shape, final_norm=None)
        states[f"layer.{layers - 1}" if layers else "embeddings"] = cut(tokens)
    return states
