"""sentence-transformers on torch, its own encode with its default batch of 32 (it sorts by characters)."""

from pathlib import Path

import numpy as np


class Peer:
    """SentenceTransformer.encode."""

    libraries = ("sentence-transformers", "transformers", "torch", "tokenizers", "numpy")

    def __init__(self, folder: Path, threads: int):
        import torch
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        self.model = SentenceTransformer(str(folder), device="cpu")

    def encode(self, texts: list[str]) -> np.ndarray:
        return self.model.encode(texts, batch_size=32, show_progress_bar=False)


def load(folder: Path, threads: int, work: Path, options: dict) -> Peer:
    return Peer(folder, threads)
