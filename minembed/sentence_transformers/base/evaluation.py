"""The base class of evaluators, and an evaluator that runs several."""

import csv
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

LOG = logging.getLogger("minembed")


class BaseEvaluator:
    """An object that is called with a model and returns metrics by name.

    `primary_metric` names the main one; `greater_is_better` gives its direction.
    """

    primary_metric: str | None
    greater_is_better: bool

    def __init__(self) -> None:
        self.greater_is_better = True
        self.primary_metric = None

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> float | dict[str, float]:
        """Evaluate a model; `output_path` is a folder for results, `epoch` and `steps` are written there."""
        raise NotImplementedError("an evaluator says in __call__ what it measures")

    def prefix_name_to_metrics(self, metrics: dict[str, float], name: str) -> dict[str, float]:
        """Prefix the metrics with the evaluator's name, as Python floats."""
        named = {f"{name}_{key}" if name else key: _number(value) for key, value in metrics.items()}
        metric = getattr(self, "primary_metric", None)
        if name and metric is not None and not metric.startswith(f"{name}_"):
            self.primary_metric = f"{name}_{metric}"
        return named

    def store_metrics_in_model_card_data(
        self, model: Any, metrics: dict[str, Any], epoch: int = 0, step: int = 0
    ) -> None:
        """Do nothing: here a model card is written from the model's settings."""

    @property
    def description(self) -> str:
        """The evaluator's name in words."""
        name = type(self).__name__
        name = f"CrossEncoder{name[2:]}" if name.startswith("CE") else name
        return re.sub(r"([a-z])([A-Z])", r"\1 \2", name.partition("Evaluator")[0])

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        return {}


SentenceEvaluator = BaseEvaluator


def _number(value: Any) -> Any:
    try:
        return float(value)
    except ValueError:
        return value


def announce(kind: str, name: str, epoch: int, steps: int, truncate_dim: int | None = None) -> None:
    """Log what is evaluated.

    >>> announce("TripletEvaluator", "dev", -1, -1)
    """
    when = "" if epoch == -1 else f" after epoch {epoch}" if steps == -1 else f" in epoch {epoch} after {steps} steps"
    cut = "" if truncate_dim is None else f" (truncated to {truncate_dim})"
    LOG.info("%s: evaluating the model on the %s dataset%s%s", kind, name, when, cut)


def write_row(output_path: str | None, wanted: bool, file: str, headers: Sequence[str], row: Sequence[Any]) -> None:
    """Append a row to a file of results; a new file gets its headings first.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_row(folder, True, "results.csv", ["epoch"], [-1])
    ...     (Path(folder) / "results.csv").read_text()
    'epoch\\n-1\\n'
    """
    if output_path is None or not wanted:
        return
    folder = Path(output_path)
    folder.mkdir(parents=True, exist_ok=True)
    is_new = not (folder / file).is_file()
    with (folder / file).open("a", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerows([headers, row] if is_new else [row])


def shown(show_progress_bar: bool | None) -> bool:
    """Whether progress is shown; by default, if the logger is at INFO or DEBUG.

    >>> shown(True), shown(False)
    (True, False)
    """
    return LOG.getEffectiveLevel() in (logging.INFO, logging.DEBUG) if show_progress_bar is None else show_progress_bar


class SequentialEvaluator(BaseEvaluator):
    """Several evaluators, one after the other; a function joins their scores into one, by default the last."""

    def __init__(
        self,
        evaluators: Iterable[BaseEvaluator],
        main_score_function: Callable[[list[float]], float] = lambda scores: scores[-1],
    ) -> None:
        super().__init__()
        self.evaluators = list(evaluators)
        self.main_score_function = main_score_function

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate, and join all metrics, with the joined score as "sequential_score"."""
        results: dict[str, float] = {}
        scores: list[float] = []
        for i, evaluator in enumerate(self.evaluators):
            found = evaluator(model, output_path, epoch, steps)
            main = getattr(evaluator, "primary_metric", None)
            if not isinstance(found, dict):
                main, found = None, {f"evaluator_{i}": found}
            scores.append(next(iter(found.values())) if main is None else found[main])
            results |= found
        self.primary_metric = "sequential_score"
        return results | {"sequential_score": self.main_score_function(scores) if scores else 0.0}
