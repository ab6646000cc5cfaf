"""minembed's kernels, as its users call them, in the precision that `dtype` names.

For int8 the model is stored as int8 beforehand, as the peers' are.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np


def stored(folder: Path, work: Path, dtype: str) -> Path:
    """The folder to load from: the one that `prepare` made, or the checkpoint's."""
    small = work / f"minembed-{dtype}"
    return small if small.is_dir() else folder


def prepare(folder: Path, work: Path) -> dict:
    """`minembed quantize`, repeated each time, since the format is minembed's own."""
    target = work / "minembed-int8"
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "minembed", "quantize", str(folder), str(target), "--dtype", "int8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(target, ignore_errors=True)
        return {"stored_as_int8": False}
    return {"stored_as_int8": True, "bytes": sum(file.stat().st_size for file in target.glob("*.safetensors"))}


class Peer:
    """Embedder.encode with its defaults: it sorts, chunks and uses threads."""

    libraries = ("minembed", "numba", "llvmlite", "numpy", "tokenizers", "safetensors")

    def __init__(self, folder: Path, threads: int, dtype: str):
        from minembed import Embedder

        self.model = Embedder.load(folder, backend="numba", dtype=dtype, threads=threads)

    def encode(self, texts: list[str]) -> np.ndarray:
        return self.model.encode(texts, truncation="silent", show_progress_bar=False)


def load(folder: Path, threads: int, work: Path, options: dict) -> Peer:
    return Peer(stored(folder, work, options["dtype"]), threads, options["dtype"])
