"""Run a learner's file: the encoder with the learner's function, compared with the original encoder."""

import re
import runpy
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.models.embedder import Embedder
from minembed.study.exercises.exercise import Exercise
from minembed.study.traced import Trace
from minembed.study.tracing import trace
from minembed.types import Array

TEXTS = (
    "A cat sat on the mat.",
    "Shares fell sharply on Monday, after the bank had announced its losses.",
    "Unbelievable!",
)
STAGE = re.compile(r"embeddings|layer\.\d+|pooled|vector|slopes of .*")  # the results that are shown


@dataclass(frozen=True, slots=True)
class Stage:
    """A result, as computed with the learner's function."""

    name: str
    off: float  # the norm of the difference over that of the reference, all numbers as one vector
    cosine: float  # of all its numbers with the reference's, over all texts


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a run."""

    first: Stage | None  # the first result that differs; None: solved
    stages: tuple[Stage, ...]  # by layer

    @property
    def solved(self) -> bool:
        """Whether nothing differs."""
        return self.first is None


def traces_of(model: Embedder) -> list[Trace]:
    """Traces of the exercises' texts by a model; raises InputError if it does not have BERT's architecture."""
    c = model.config
    bert = not c.pre_norm and not c.gated and c.hidden_act == "gelu" and c.position_embedding_type == "absolute"
    bert = bert and c.type_vocab_size > 0 and c.padding_idx is None and not c.relative_attention_num_buckets
    bert = bert and c.embedding_size in (None, c.hidden_size) and tuple(model.checkpoint.pooling) == ("mean",)
    if not bert or model.dtype != "float32" or c.num_hidden_layers == 0:
        raise InputError(
            "the exercises are about BERT with mean pooling, in float32: take all-MiniLM-L6-v2, or a model of that form"
        )
    return trace(model, list(TEXTS))


def run(exercise: Exercise, function: Callable[..., Any], traces: list[Trace]) -> Outcome:
    """Put a function into the encoder, and compare its results with the encoder's own.

    Errors of the function are not caught.
    """
    first, stages = None, []
    for name, mine, reference in exercise.run(function, traces):
        stage = compared(name, mine, reference)
        if first is None and not stage.off <= exercise.tolerance:  # NaN differs
            first = stage
        if STAGE.fullmatch(name):
            stages.append(stage)
    return Outcome(first, tuple(stages))


def compared(name: str, mine: list[Array], reference: list[Array]) -> Stage:
    """The difference of a result from the reference, over all texts.

    >>> compared("pooled", [np.float64([3, 3])], [np.float64([4, 4])])
    Stage(name='pooled', off=0.25, cosine=1.0)
    """
    a, b = (np.concatenate([x.ravel() for x in side]).astype(np.float64) for side in (mine, reference))
    there = np.isfinite(b)  # masked scores are -inf
    a, b = a[there], b[there]
    with np.errstate(all="ignore"):
        off = float(np.sqrt(((a - b) @ (a - b)) / (b @ b)))
        return Stage(name, off, float(a @ b / np.sqrt((a @ a) * (b @ b))))


def load(path: Path, name: str) -> Callable[..., Any]:
    """Execute a learner's file and return its function; raises InputError if it cannot be read or has none.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "01_scores.py"
    ...     _ = path.write_text("def scores(query, key): return 1")
    ...     load(path, "scores")(None, None)
    1
    """
    try:
        space = runpy.run_path(str(path))  # the learner's own code, run at the learner's request
    except (SyntaxError, UnicodeError) as error:
        where = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise InputError(f"{path}{where}: {error.args[0]}") from error
    except Exception as error:
        raise InputError(where_it_failed(error, path)) from error
    function = space.get(name)
    if not callable(function):
        raise InputError(f"{path} has no function {name}: it must keep its name")
    return function


def where_it_failed(error: BaseException, path: Path) -> str:
    """An error of the learner's code, with the line of the file that raised it.

    >>> where_it_failed(ValueError("x"), Path("scores.py"))
    'scores.py: ValueError: x'
    """
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f", line {lines[-1]}" if lines else ""
    return f"{path}{where}: {type(error).__name__}: {error}"
