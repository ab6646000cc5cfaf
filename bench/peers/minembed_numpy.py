"""minembed itself, as its users call it."""

from pathlib import Path

import numpy as np


class Peer:
    """Embedder.encode with its defaults: it sorts, chunks and uses threads."""

    libraries = ("minembed", "numpy", "tokenizers", "safetensors")

    def __init__(self, folder: Path, threads: int):
        from minembed import Embedder

        self.model = Embedder.load(folder, backend="numpy", threads=threads)

    def encode(self, texts: list[str]) -> np.ndarray:
        return self.model.encode(texts, truncation="silent", show_progress_bar=False)


def load(folder: Path, threads: int, work: Path, options: dict) -> Peer:
    return Peer(folder, threads)
