"""Configurations and packed tokens for the kernels."""

import numpy as np

from minembed.transformer.config import Config
from minembed.transformer.tokens import Tokens


def config_of(heads, size, F, layers, positions=64):
    return Config(29, heads * size, layers, heads, F, positions, 2, "gelu", 1e-12)


def packed(lengths, config, seed=3):
    rng, T = np.random.default_rng(seed), sum(lengths)
    ids, types = rng.integers(0, config.vocab_size, T), rng.integers(0, config.type_vocab_size, T)
    return Tokens(ids, types, np.cumsum([0, *lengths]))
