"""Only tokenising: the real number of tokens, and the share of tokenising in the contestants' times."""

from pathlib import Path

import numpy as np

from peers.folder import load_tokenizer


class Peer:
    """The lengths of the texts in tokens, truncated as the model would: (N, 1)."""

    libraries = ("tokenizers",)

    def __init__(self, folder: Path):
        self.tokenizer = load_tokenizer(folder)

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array([[len(encoding.ids)] for encoding in self.tokenizer.encode_batch(texts)])


def load(folder: Path, threads: int, work: Path, options: dict) -> Peer:
    return Peer(folder)
