"""OpenVINO: the exported graph in float32, in bfloat16, and in int8 by NNCF's static quantisation.

Lengths are left open, or a model is compiled for every shape; one batch at a time on all threads, or as many streams as
threads with a batch each: which is the faster depends on the workload, so all of it is entered. What NNCF leaves in
floating point runs as `hint` says.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from peers.folder import load_tokenizer, weights_digest
from peers.onnx_graph import INPUTS, ensure_graph, raw_path
from peers.openvino_shapes import FixedShapes, padded_length
from peers.pipeline import Ids, Pipeline, mean_and_normalise, pad
from peers.prepared import ensure

HINTS = {"float32": "f32", "bfloat16": "bf16"}


def prepare(folder: Path, work: Path) -> dict:
    """The converted graph, and the quantised one."""
    ensure_graph(folder, work)
    whole, small = work / "openvino-float32.xml", work / "openvino-int8.xml"
    made_of = {"weights_sha256": weights_digest(folder)}
    return {
        "float32": ensure(whole, made_of, ("openvino",), lambda: convert(raw_path(work), whole)),
        "int8": ensure(small, made_of | made_with(), ("openvino", "nncf"), lambda: quantise(folder, whole, small)),
    }


def made_with() -> dict:
    """The description of the calibration texts, for the record."""
    import hashlib

    import calibration

    texts = calibration.texts()
    return {
        "calibration_texts": len(texts),
        "calibration_sha256": hashlib.sha256("\n".join(texts).encode()).hexdigest(),
    }


def convert(source: Path, target: Path) -> dict:
    """ONNX to OpenVINO's own format, weights kept in float32."""
    import openvino

    openvino.save_model(openvino.convert_model(str(source)), str(target), compress_to_fp16=False)
    return {}


def quantise(folder: Path, source: Path, target: Path) -> dict:
    """Static int8, with NNCF's scheme for transformers (SmoothQuant, then scales from the calibration texts)."""
    import nncf
    import openvino

    import calibration

    tokenizer = load_tokenizer(folder)

    def feed(text: str) -> dict[str, np.ndarray]:
        ids, mask = pad([tokenizer.encode(text).ids])
        return dict(zip(INPUTS, (ids, mask, np.zeros_like(ids)), strict=True))

    texts = calibration.texts()
    model = nncf.quantize(
        openvino.Core().read_model(str(source)),
        nncf.Dataset(texts, feed),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(texts),
    )
    openvino.save_model(model, str(target), compress_to_fp16=False)
    return {"model_type": "TRANSFORMER"}


class Peer(Pipeline):
    """A compiled model, whose streams go through OpenVINO's own queue; or one for every shape."""

    libraries = ("openvino", "nncf", "tokenizers", "numpy")

    def __init__(self, folder: Path, threads: int, work: Path, options: dict):
        import openvino

        super().__init__(folder, threads, options)
        config = {
            "PERFORMANCE_HINT": "LATENCY" if self.streams == 1 else "THROUGHPUT",
            "INFERENCE_PRECISION_HINT": HINTS[options["hint"]],
            "INFERENCE_NUM_THREADS": self.threads * self.streams,
            "NUM_STREAMS": self.streams,
        }
        core, path = openvino.Core(), str(work / f"openvino-{options['graph']}.xml")
        self.fixed = self.queue = None
        if options.get("shapes") == "fixed":
            read, make = (lambda: core.read_model(path)), (lambda model: core.compile_model(model, "CPU", config))
            self.fixed = FixedShapes(read, make, INPUTS, self.streams)
            return
        self.compiled = core.compile_model(path, "CPU", config)
        self.request = self.compiled.create_infer_request()
        if self.streams > 1:
            self.queue = openvino.AsyncInferQueue(self.compiled, self.streams)

    def ready(self, texts: list[str]) -> None:
        """Run each shape of these texts once, since OpenVINO compiles for a shape at its first use."""
        ids, shapes = [encoding.ids for encoding in self.tokenizer.encode_batch(texts)], {}
        for places in self.places(ids):
            block = [ids[i] for i in places]
            longest = max(map(len, block))
            shapes.setdefault((len(block), padded_length(longest) if self.fixed else longest), block)
        for block in shapes.values():
            for _ in self.run_all([block] * self.streams):
                pass

    def run_all(self, blocks: Sequence[Ids]) -> Iterable[np.ndarray]:
        if self.queue is None:
            return super().run_all(blocks)
        found: list[np.ndarray | None] = [None] * len(blocks)

        def keep(request, about) -> None:
            number, mask = about
            found[number] = mean_and_normalise(request.get_output_tensor(0).data, mask)

        self.queue.set_callback(keep)
        for number, block in enumerate(blocks):
            padded, mask = pad(block)
            self.queue.start_async(self.feed(padded, mask), (number, mask))
        self.queue.wait_all()
        return found

    def run(self, ids: Ids) -> np.ndarray:
        if self.fixed is None:
            return self.infer(self.request, *pad(ids))
        length = padded_length(max(map(len, ids)))
        waiting = self.fixed.compiled((len(ids), length))
        request = waiting.get()
        try:
            return self.infer(request, *pad(ids, length))
        finally:
            waiting.put(request)

    def infer(self, request, padded: np.ndarray, mask: np.ndarray) -> np.ndarray:
        request.infer(self.feed(padded, mask), share_inputs=True)
        return mean_and_normalise(request.get_output_tensor(0).data, mask)

    @staticmethod
    def feed(padded: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        return dict(zip(INPUTS, (padded, mask, np.zeros_like(padded)), strict=True))


def load(folder: Path, threads: int, work: Path, options: dict) -> Peer:
    return Peer(folder, threads, work, options)
