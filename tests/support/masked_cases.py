"""Which words of the goldens of heads are asked for, and which entries of gradients are kept."""

import zlib

import golden_heads as heads
import numpy as np

NAMES = [name for name, case in heads.CASES.items() if "masked" in case.kinds]
KEPT = 40  # entries of a tensor
PARTS = (
    "cls.",
    "lm_head.",
    "predictions.",
    "vocab_",
    "generator_",
    "head.",
    "decoder.",
)  # beginnings of a head's names


def asked(golden):
    """Positions and labels: every third token of all texts, and any word."""
    positions = np.arange(1, len(golden["ids"]), 3)
    return positions, np.random.default_rng(5).integers(0, 157, len(positions))


def places(name, size):
    """Which entries of a tensor's gradient are kept."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return np.sort(rng.choice(size, min(size, KEPT), replace=False))


def is_kept(plain):
    """Whether a tensor's gradient is kept: those of the head, and of the words, which lie at both ends of the model."""
    return plain.startswith(PARTS) or plain.split(".")[-2] in ("word_embeddings", "tok_embeddings")
