"""CTranslate2's encoder, in float32 and in int8 (weights per channel, activations per token, as they come).

One batch at a time on all threads, or a batch on each of as many workers as threads: both are entered.
"""

from pathlib import Path

import numpy as np

from peers.folder import weights_digest
from peers.pipeline import Ids, Pipeline, mean_and_normalise
from peers.prepared import ensure


def model_path(work: Path, kind: str) -> Path:
    """The folder of the converted model."""
    return work / f"ctranslate2-{kind}"


def prepare(folder: Path, work: Path) -> dict:
    """Both converted models."""
    return {
        kind: ensure(
            model_path(work, kind),
            {"weights_sha256": weights_digest(folder)},
            ("ctranslate2", "transformers"),
            lambda kind=kind: convert(folder, model_path(work, kind), kind),
        )
        for kind in ("float32", "int8")
    }


def convert(folder: Path, target: Path, kind: str) -> dict:
    """CTranslate2's own format."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(folder)).convert(str(target), quantization=kind, force=True)
    return {"quantization": kind}


class Peer(Pipeline):
    """ctranslate2.Encoder, which pads."""

    libraries = ("ctranslate2", "tokenizers", "numpy")

    def __init__(self, folder: Path, threads: int, work: Path, options: dict):
        import ctranslate2

        super().__init__(folder, threads, options)
        kind = options["graph"]
        self.encoder = ctranslate2.Encoder(
            str(model_path(work, kind)),
            device="cpu",
            compute_type=kind,
            inter_threads=self.streams,
            intra_threads=self.threads,
        )

    def run(self, ids: Ids) -> np.ndarray:
        hidden = np.array(self.encoder.forward_batch(ids).last_hidden_state, copy=False)
        mask = np.arange(hidden.shape[1]) < np.array([[len(tokens)] for tokens in ids])
        return mean_and_normalise(hidden, mask)


def load(folder: Path, threads: int, work: Path, options: dict) -> Peer:
    return Peer(folder, threads, work, options)
