"""Hashes of what some encoders on tiles compute, the CPU's or emulated ones, to be compared between processes."""

import hashlib

import numpy as np
from any_encoder import Architecture, architecture_of, pack_on_tiles, tokens_of, whole

from minembed.transformer.config import Config

MINILM = Config(29, 384, 2, 12, 1536, 320, 2, "gelu", 1e-12)
LENGTHS = [17, 1, 64, 5, 300, 2, 33, 128]


def architectures(seeds):
    """By name: MiniLM's with fewer layers, and random ones."""
    return {"minilm": Architecture(MINILM)} | {str(seed): architecture_of(seed, positions=320) for seed in seeds}


def digests(seeds):
    """A line for each encoder and compute type."""
    found = []
    for name, architecture in architectures(seeds).items():
        tokens = tokens_of(LENGTHS, architecture.config)
        for dtype in ("bfloat16", "int8", "float32"):
            model = pack_on_tiles(whole(architecture) if dtype == "float32" else architecture, dtype)
            states, first = model(tokens), model.one_row(tokens, "cls")
            assert np.isfinite(states).all()
            assert first.tobytes() == states[tokens.cu_seqlens[:-1]].tobytes()
            found.append(f"{name} {dtype} {hashlib.sha256(states.tobytes()).hexdigest()}")
    return found
