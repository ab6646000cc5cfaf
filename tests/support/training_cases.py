"""Pairs for training, and settings with which it is quick."""

import numpy as np

from minembed.data.examples import Examples
from minembed.train.settings import Settings

WORDS = ["cat", "dog", "sun", "moon", "tree", "rock", "sea", "fire"]
PAIRS = Examples(
    (tuple(f"a {w} is here" for w in WORDS * 3), tuple(f"the {w} {i}" for i, w in enumerate(WORDS * 3))),
    np.linspace(0, 1, 24),
)
BASE = Settings(epochs=2, batch_size=5, learning_rate=1e-3, dropout=0.1, backend="numpy", threads=1, save_every=3)
