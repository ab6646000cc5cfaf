"""The contestants: who they are called, which module runs them, and how near their vectors must be.

A contestant's module has `load(folder, threads, work, options)`, which returns an object with
`encode(texts) -> (N, D) float32` and `libraries`, the distributions whose versions belong in the record.
Texts go in and vectors come out: tokenising and pooling are part of every contestant's time.
"""

from dataclasses import dataclass, field

# What minembed promises of its float32 vectors. Torch and ONNX Runtime differ by 2e-7 (measured): the components of a
# vector of length 1 are rarely above 0.2, where float32's last place is 1.5e-8, and sums were taken in another order.
FLOAT32 = 2e-6


@dataclass(frozen=True)
class Contestant:
    """One row of a comparison."""

    title: str
    module: str
    options: dict = field(default_factory=dict)
    workloads: tuple[str, ...] = ("short", "mixed", "long")
    limit: float = FLOAT32


OURS = "minembed"
TRUTH = ("sentence-transformers", "onnxruntime-32", "onnxruntime-64")  # the first of these that runs is who is right
CONTESTANTS = {
    OURS: Contestant("minembed, NumPy tier", "peers.minembed_numpy"),
    "onnxruntime-32": Contestant(
        "ONNX Runtime fp32, fused, sorted by tokens, batch 32", "peers.onnxruntime_fp32", {"batch": 32, "sort": True}
    ),
    "onnxruntime-64": Contestant(
        "ONNX Runtime fp32, fused, sorted by tokens, batch 64", "peers.onnxruntime_fp32", {"batch": 64, "sort": True}
    ),
    "onnxruntime-arrival": Contestant(
        "ONNX Runtime fp32, fused, arrival order, batch 32",
        "peers.onnxruntime_fp32",
        {"batch": 32, "sort": False},
        ("short", "mixed"),  # long texts are all of one length: no order is better than another
    ),
    "sentence-transformers": Contestant("sentence-transformers, torch", "peers.sentence_transformers_torch"),
}
