"""fastembed, by its own class on the fused graph: ONNX Runtime with tokenizer, pooling and batching around it."""

import shutil
from pathlib import Path

import numpy as np

from peers.folder import weights_digest
from peers.onnx_graph import ensure_graph, graph_path
from peers.prepared import ensure

NAME = "sentence-transformers/all-MiniLM-L6-v2"
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def place(work: Path) -> Path:
    """The folder that it uses instead of a download."""
    return work / "fastembed"


def prepare(folder: Path, work: Path) -> dict:
    """The fused graph beside the tokenizer's files, under the name that it looks for."""
    made_of = {"weights_sha256": weights_digest(folder)}
    own = place(work) / "model.onnx"
    own.parent.mkdir(exist_ok=True)
    return {
        "fused": ensure_graph(folder, work),
        "fastembed": ensure(own, made_of, ("fastembed",), lambda: fill(folder, work)),
    }


def fill(folder: Path, work: Path) -> dict:
    """Copy the files that it reads."""
    for name in FILES:
        shutil.copy(folder / name, place(work) / name)
    shutil.copy(graph_path(work), place(work) / "model.onnx")
    return {}


class Peer:
    """Its TextEmbedding."""

    libraries = ("fastembed", "onnxruntime")

    def __init__(self, work: Path, threads: int):
        from fastembed import TextEmbedding

        self.model = TextEmbedding(NAME, threads=threads, specific_model_path=str(place(work)))

    def encode(self, texts: list[str]) -> np.ndarray:
        return np.array(list(self.model.embed(texts)), np.float32)


def load(folder: Path, threads: int, work: Path, options: dict) -> Peer:
    return Peer(work, threads)
