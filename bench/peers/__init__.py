"""The contestants: their names, their modules, their settings, and how near their vectors must be to the reference.

A contestant's module has `load(folder, threads, work, options)`, which returns an object with
`encode(texts) -> (N, D) float32` and `libraries`, the distributions whose versions belong in the record; and, where
something has to be converted first, `prepare(folder, work)`, which does that untimed and keeps it in `work`.
Texts go in and vectors come out: tokenising and pooling are part of every contestant's time.
"""

from dataclasses import dataclass, field
from itertools import product

PRECISIONS = ("float32", "bfloat16", "int8")
BATCHES = ("short", "mixed", "long")  # workloads in which contestants may sort
ARRIVAL, SINGLE = "arrival", "single"  # batches in the given order; one text per call
WORKLOADS = (*BATCHES, ARRIVAL, SINGLE)


@dataclass(frozen=True)
class Limit:
    """How far from the reference a contestant's vectors may be."""

    max_abs_diff: float = float("inf")
    mean_cosine: float = -1.0


# What minembed promises of its float32 vectors. Torch and ONNX Runtime differ by 2e-7 (measured): the components of a
# vector of length 1 are rarely above 0.2, where float32's last place is 1.5e-8, and sums were taken in another order.
FLOAT32 = Limit(max_abs_diff=2e-6)
ROUNDED = Limit(mean_cosine=0.98)  # bfloat16 and int8: below this the graph is broken rather than rounded


@dataclass(frozen=True)
class Contestant:
    """One row of a comparison.

    `choices` are settings of which the best counts, chosen for each workload by a heat before the race. One that
    `pads` sorts and batches in our hands, so that batch and streams are settings as well. Choices are tried in every
    combination, except those named in `later`: each of these is tried alone, with the best of all before it.
    """

    title: str
    module: str
    precision: str = "float32"
    options: dict = field(default_factory=dict)
    choices: dict = field(default_factory=dict)
    pads: bool = False
    workloads: tuple[str, ...] = WORKLOADS
    batches: tuple[int, ...] = (32, 64, 16, 8)
    later: tuple[str, ...] = ("batch", "hint")

    @property
    def limit(self) -> Limit:
        """How near its vectors must be to the reference."""
        return FLOAT32 if self.precision == "float32" else ROUNDED

    def stages(self, workload: str, threads: int) -> list[list[dict]]:
        """The stages of its heats: each stage lists the choices to try."""
        choices = dict(self.choices)
        if self.pads and workload == SINGLE:
            choices |= {"batch": (1,), "threads": tuple({1, threads})}
        elif self.pads:
            choices |= {"batch": (32,) if workload == ARRIVAL else self.batches, "sort": (workload != ARRIVAL,)}
            choices |= {"streams": tuple({1, threads})}
        later = [name for name in self.later if len(choices.get(name, ())) > 1]
        groups = [[name for name in choices if name not in later], *([name] for name in later)]
        first = self.options | {name: choices[name][0] for name in later}
        stages = [
            [dict(zip(group, values, strict=True)) for values in product(*(choices[name] for name in group))]
            for group in groups
        ]
        return [[first | change for change in stages[0]], *stages[1:]]


def _ours(precision: str) -> Contestant:
    return Contestant(f"minembed, {precision}", "peers.minembed_numba", precision, {"dtype": precision})


def _openvino(precision: str, **choices: tuple) -> Contestant:
    graph = {"graph": "int8" if precision == "int8" else "float32"}
    choices = choices | {"shapes": ("open", "fixed")}
    return Contestant(f"OpenVINO, {precision}", "peers.openvino_graph", precision, graph, choices, True)


def _ctranslate2(precision: str) -> Contestant:
    options = {"graph": precision}
    return Contestant(f"CTranslate2, {precision}", "peers.ctranslate2_encoder", precision, options, pads=True)


NUMPY = "minembed-numpy"
OURS = {precision: f"minembed-{precision}" for precision in PRECISIONS}
NATIVE_SUFFIX = "-native"  # of those whose kernels were compiled ahead of time; they take part in the cold start
NATIVE = {precision: f"{name}{NATIVE_SUFFIX}" for precision, name in OURS.items()}
TRUTH = (
    "sentence-transformers",
    "onnxruntime-float32",
    "openvino-float32",
)  # the first of these that runs is the reference
CONTESTANTS = {
    **{name: _ours(precision) for precision, name in OURS.items()},
    NUMPY: Contestant("minembed, NumPy tier", "peers.minembed_numpy"),
    "onnxruntime-float32": Contestant(
        "ONNX Runtime, float32, fused", "peers.onnxruntime_graph", options={"graph": "fused"}, pads=True
    ),
    "fastembed": Contestant("fastembed, float32", "peers.fastembed_text", workloads=()),  # only in the cold start
    "openvino-float32": _openvino("float32", hint=("float32",)),
    "ctranslate2-float32": _ctranslate2("float32"),
    "sentence-transformers": Contestant(
        "sentence-transformers, torch",
        "peers.sentence_transformers_torch",
        workloads=(*BATCHES, SINGLE),  # it always sorts
    ),
    "openvino-bfloat16": _openvino("bfloat16", hint=("bfloat16",)),
    "onnxruntime-int8": Contestant(
        "ONNX Runtime, int8, dynamic",
        "peers.onnxruntime_graph",
        "int8",
        choices={"graph": ("int8-raw", "int8-fused")},
        pads=True,
    ),
    "openvino-int8": _openvino("int8", hint=("float32", "bfloat16")),
    "ctranslate2-int8": _ctranslate2("int8"),
}
CLOSEST = {  # minembed and who may be the best of a precision, with the workloads in which that may be
    **dict.fromkeys(OURS.values(), WORKLOADS),
    "openvino-float32": WORKLOADS,
    "openvino-bfloat16": WORKLOADS,
    "openvino-int8": WORKLOADS,
    "onnxruntime-int8": WORKLOADS,
    "onnxruntime-float32": (SINGLE,),
    "ctranslate2-float32": (ARRIVAL,),
}
