"""ONNX Runtime: the fused float32 graph, and the same weights in int8 by its dynamic quantisation.

int8 is quantised per channel from the fused graph and from the graph as exported: which is the faster differs from
version to version, so both are entered and the better one counts.
"""

from pathlib import Path

import numpy as np

from peers.folder import weights_digest
from peers.onnx_graph import ensure_graph, graph_path, raw_path
from peers.pipeline import Ids, Pipeline, mean_and_normalise, pad
from peers.prepared import ensure


def graph_of(work: Path, options: dict) -> Path:
    """The file that a contestant runs."""
    return graph_path(work) if options.get("graph", "fused") == "fused" else work / f"{options['graph']}.onnx"


def prepare(folder: Path, work: Path) -> dict:
    """The fused graph, and both int8 graphs."""
    return {"fused": ensure_graph(folder, work)} | {
        f"int8-{name}": ensure(
            work / f"int8-{name}.onnx",
            {"weights_sha256": weights_digest(folder)},
            ("onnxruntime", "onnx"),
            lambda name=name, source=source: quantise(source, work / f"int8-{name}.onnx"),
        )
        for name, source in (("raw", raw_path(work)), ("fused", graph_path(work)))
    }


def quantise(source: Path, target: Path) -> dict:
    """Signed bytes for weights, with a scale per output column; activations are quantised as they come."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        str(source),
        str(target),
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},  # of fused operators, which ONNX does not know
    )
    return {"weight_type": "QInt8", "per_channel": True}


class Peer(Pipeline):
    """One session on the CPU with a pool of threads for the work inside an operator; or one of several streams."""

    libraries = ("onnxruntime", "tokenizers", "numpy")

    def __init__(self, folder: Path, threads: int, work: Path, options: dict):
        import onnxruntime

        super().__init__(folder, threads, options)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = self.threads
        settings.inter_op_num_threads = 1
        path = str(graph_of(work, options))
        self.session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        self.inputs = {entry.name for entry in self.session.get_inputs()}

    def run(self, ids: Ids) -> np.ndarray:
        padded, mask = pad(ids)
        feed = {"input_ids": padded, "attention_mask": mask, "token_type_ids": np.zeros_like(padded)}
        hidden = self.session.run(None, {name: feed[name] for name in self.inputs})[0]
        return mean_and_normalise(hidden, mask)


def load(folder: Path, threads: int, work: Path, options: dict) -> Peer:
    return Peer(folder, threads, work, options)
