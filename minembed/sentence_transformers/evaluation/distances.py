"""Evaluators of a student against a teacher: the mean squared error of vectors, times 100."""

from typing import Any

import numpy as np

from minembed.sentence_transformers.base.evaluation import BaseEvaluator, announce, write_row
from minembed.sentence_transformers.evaluation.pairs import check_lengths
from minembed.sentence_transformers.tensors import as_array
from minembed.types import Array


class MSEEvaluator(BaseEvaluator):
    """The mean squared error of a model's vectors against a teacher's; negative, so that greater is better."""

    def __init__(
        self,
        source_sentences: list[str],
        target_sentences: list[str],
        teacher_model: Any = None,
        show_progress_bar: bool = False,
        batch_size: int = 32,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__()
        check_lengths(source_sentences=source_sentences, target_sentences=target_sentences)
        self.truncate_dim, self.target_sentences = truncate_dim, target_sentences
        self.show_progress_bar, self.batch_size = show_progress_bar, batch_size
        self.name, self.write_csv = name, write_csv
        self.csv_file = f"mse_evaluation_{name}_results.csv"
        self.csv_headers = ["epoch", "steps", "MSE"]
        self.primary_metric = "negative_mse"
        self.source_embeddings = self.embed_inputs(teacher_model, source_sentences)

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("MSEEvaluator", self.name, epoch, steps, self.truncate_dim)
        mse = mean_squared_error(self.source_embeddings, self.embed_inputs(model, self.target_sentences))
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, mse])
        return self.prefix_name_to_metrics({"negative_mse": -mse}, self.name)

    def embed_inputs(self, model: Any, sentences: Any, **kwargs: Any) -> Array:
        """Embed texts."""
        options = {"batch_size": self.batch_size, "show_progress_bar": self.show_progress_bar}
        return as_array(model.encode(sentences, truncate_dim=self.truncate_dim, **options, **kwargs))

    @property
    def description(self) -> str:
        """What is measured, in words."""
        return "Knowledge Distillation"

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        return {} if self.truncate_dim is None else {"truncate_dim": self.truncate_dim}


def mean_squared_error(a: Array, b: Array) -> float:  # (N, D), (N, D)
    """100 times the mean of the squared differences.

    >>> mean_squared_error(np.float32([[1, 2]]), np.float32([[1, 4]]))
    200.0
    """
    return float(((a - b) ** 2).mean() * 100)


class MSEEvaluatorFromDataFrame(BaseEvaluator):
    """As MSEEvaluator, for parallel texts in the columns of a table."""

    def __init__(
        self,
        dataframe: list[dict[str, str]],
        teacher_model: Any,
        combinations: list[tuple[str, str]],
        batch_size: int = 8,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.combinations, self.name, self.batch_size = combinations, name, batch_size
        self.write_csv, self.truncate_dim = write_csv, truncate_dim
        self.csv_file = f"mse_evaluation{'_' + name if name else ''}_results.csv"
        self.csv_headers = ["epoch", "steps", *(f"{source}-{target}" for source, target in combinations)]
        self.primary_metric = "negative_mse"
        self.data: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
        for source, target in combinations:
            rows = [row for row in dataframe if row[source].strip() and row[target].strip()]
            self.data[source, target] = [row[source] for row in rows], [row[target] for row in rows]
        texts = list(dict.fromkeys(text for sources, _ in self.data.values() for text in sources))
        self.teacher_embeddings = dict(zip(texts, self.embed_inputs(teacher_model, texts), strict=True))

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("MSEEvaluatorFromDataFrame", self.name, epoch, steps, self.truncate_dim)
        errors = []
        for sources, targets in self.data.values():
            teacher = np.asarray([self.teacher_embeddings[text] for text in sources])
            errors.append(mean_squared_error(teacher, self.embed_inputs(model, targets)))
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, *errors])
        return self.prefix_name_to_metrics({"negative_mse": -float(np.mean(errors))}, self.name)

    def embed_inputs(self, model: Any, sentences: Any, **kwargs: Any) -> Array:
        """Embed texts."""
        options = {"batch_size": self.batch_size, "truncate_dim": self.truncate_dim}
        return as_array(model.encode(sentences, **options, **kwargs))

    @property
    def description(self) -> str:
        """What is measured, in words."""
        return "Knowledge Distillation"
