"""Where rounding errors arise: the same text in float64, float32, bfloat16 and int8, step by step."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from minembed.errors import InputError, InputKeyError
from minembed.models.embedder import Embedder
from minembed.models.engine import find_prompt, report_truncation
from minembed.models.options import Options
from minembed.runtime.checks import check_whole
from minembed.runtime.threads import single_threaded_blas
from minembed.study.given import check_embedder, check_text, cut_texts
from minembed.study.graph import Graph
from minembed.study.running import compute, widened
from minembed.study.tracing import ALL, Work
from minembed.text.tokenizer import clean
from minembed.transformer.params import Linear, Params
from minembed.transformer.tier import prepare
from minembed.types import Array

TYPES = ("float32", "bfloat16", "int8")


@dataclass(frozen=True, slots=True)
class StepError:
    """The relative error of a step against float64: |x - x64| / |x64| over all its numbers."""

    name: str
    total: Mapping[str, float]  # by compute type: with all steps before computed in it too
    own: Mapping[str, float]  # from inputs of float64: the error of this step alone


@dataclass(frozen=True, slots=True)
class Precision:
    """The errors of every step of a text."""

    text: str
    steps: tuple[StepError, ...]

    def __getitem__(self, name: str) -> StepError:
        for step in self.steps:
            if step.name == name:
                return step
        raise InputKeyError(f"{name!r} is no step, such as {self.steps[-1].name!r}")

    def born(self, dtype: str, top: int = 5) -> tuple[StepError, ...]:
        """The steps with the largest own errors, the largest first; raises InputError for another type."""
        if dtype not in TYPES:
            raise InputError(f"dtype must be one of {', '.join(TYPES)}, not {dtype!r}")
        check_whole("top", top, 0)
        return tuple(sorted(self.steps, key=lambda step: -step.own[dtype])[:top])

    def table(self) -> str:
        """All steps: by compute type, the error so far and the step's own error."""
        wide = max(len(step.name) for step in self.steps)
        head = "  ".join(f"{dtype:>9} {'own':>9}" for dtype in TYPES)
        lines = [f"{'':<{wide}}  {head}"]
        for step in self.steps:
            cells = (f"{step.total[dtype]:9.1e} {step.own[dtype]:9.1e}" for dtype in TYPES)
            lines.append(f"{step.name:<{wide}}  {'  '.join(cells)}")
        return "\n".join(lines)


def precision_errors(model: Embedder, text: str) -> Precision:
    """Compute a text in four compute types, and compare every step with float64.

    All start from the checkpoint's weights in float32, so that the errors are those of computing, and of rounding
    weights to bfloat16 and int8.  Constants that are float32 by definition, such as the angles of rotations, are the
    same everywhere.  "own" is a step computed from float64's inputs, rounded to float32: it shows where errors arise,
    and which steps only propagate them (a norm may also shrink them).

    Raises InputError for a static model, and if the checkpoint's own weights are stored as int8.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> precision_errors(model, "a cat")["vector"].total["float32"] < 1e-6  # doctest: +SKIP
    True
    """
    check_embedder(model, "precision_errors")
    check_text(text)
    graphs = _graphs(model, text)
    with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore", under="ignore"):
        exact = compute(widened(graphs["float32"]), {})
        rounded = {name: x.astype(np.float32) for name, x in exact.items()}
        values = {dtype: compute(graph, {}) for dtype, graph in graphs.items()}
        steps = []
        for name in exact:
            total = {dtype: _distance(values[dtype][name], exact[name]) for dtype in TYPES}
            own = {dtype: _distance(_alone(graph, name, rounded), exact[name]) for dtype, graph in graphs.items()}
            steps.append(StepError(name, total, own))
    return Precision(text, tuple(steps))


def _graphs(model: Embedder, text: str) -> dict[str, Graph]:
    """The steps of a text by compute type, all from the same float32 weights."""
    from minembed.weights.families import read_params

    engine = model.engine
    if not model.config.num_hidden_layers:
        raise InputError("a static model has one compute type: it only adds the rows of a table")
    params: Params = engine.reference().params if engine.compute.dtype == "float32" else read_params(engine.checkpoint)
    if not isinstance(params.layers[0].qkv, Linear):
        raise InputError(f"{engine.checkpoint.folder}: the weights are stored as int8; take the float32 checkpoint")
    work = Work(engine, model.backend, Options(), ALL)
    prompt = find_prompt(engine.checkpoint, work.options)  # the checkpoint's default, as for `encode`
    tokens = engine.tokenize([prompt + clean(text, 0)], "replace")
    report_truncation(cut_texts(tokens), engine.checkpoint.max_seq_length, work.options)
    skipped, width = engine.skipped(prompt), model.dimension
    return {t: work.graph(prepare(params, model.config, t), tokens, skipped, width) for t in TYPES}


def _alone(graph: Graph, name: str, inputs: Mapping[str, Array]) -> Array:
    step = graph[name]
    return step.rule(*(inputs[before].copy() for before in step.inputs))


def _distance(x: Array, exact: Array) -> float:
    finite = np.isfinite(exact)  # masked scores are -inf in all types
    size = float(np.sqrt((exact[finite] ** 2).sum()))
    off = float(np.sqrt(((x[finite].astype(np.float64) - exact[finite]) ** 2).sum()))
    return off / size if size else off
