"""ONNX Runtime on the fused float32 graph, as a careful user would run it.

All texts are tokenised in one call, batches are made of texts of like token count (or, for the other row, as the texts
arrive), padded to their longest member, and pooled in NumPy.
"""

from pathlib import Path

import numpy as np
import onnxruntime

from peers.folder import load_tokenizer, mean_and_normalise
from peers.onnx_graph import graph_path


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """One session on the CPU with a pool of `threads` for the work inside an operator."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def pad(ids: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and mask as rectangles: (B, N) int64 each."""
    padded = np.zeros((len(ids), max(map(len, ids))), np.int64)
    mask = np.zeros_like(padded)
    for row, tokens in enumerate(ids):
        padded[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return padded, mask


class Peer:
    """Tokenise, sort, pad, run, pool, scatter back."""

    libraries = ("onnxruntime", "tokenizers", "numpy")

    def __init__(self, folder: Path, threads: int, work: Path, batch: int, sort: bool):
        self.tokenizer = load_tokenizer(folder)
        self.session = open_session(graph_path(work), threads)
        self.batch, self.sort = batch, sort

    def encode(self, texts: list[str]) -> np.ndarray:
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i])) if self.sort else range(len(ids))
        blocks = [order[start : start + self.batch] for start in range(0, len(ids), self.batch)]
        vectors = [self.run([ids[i] for i in block]) for block in blocks]
        output = np.empty((len(ids), vectors[0].shape[1]), np.float32)
        for block, rows in zip(blocks, vectors, strict=True):
            output[list(block)] = rows
        return output

    def run(self, ids: list[list[int]]) -> np.ndarray:
        """One padded batch through the graph: B texts -> (B, D)."""
        padded, mask = pad(ids)
        feed = {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}
        return mean_and_normalise(self.session.run(None, feed)[0], mask)


def load(folder: Path, threads: int, work: Path, options: dict) -> Peer:
    return Peer(folder, threads, work, options["batch"], options["sort"])
