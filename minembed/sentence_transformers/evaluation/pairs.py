"""Evaluators of pairs: how well similarities agree with human scores, and with labels."""

from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.evaluation.pairs import pearson, spearman
from minembed.sentence_transformers.base.evaluation import BaseEvaluator, announce, shown, write_row
from minembed.sentence_transformers.evaluation.metrics import average_precision, best_accuracy, best_f1, matthews
from minembed.sentence_transformers.tensors import as_array
from minembed.sentence_transformers.util.similarity import SimilarityFunction
from minembed.types import Array

MEASURES = ("accuracy", "accuracy_threshold", "f1", "precision", "recall", "f1_threshold", "ap", "mcc")  # in files


def check_lengths(**lists: Any) -> None:
    """Raise InputError (a ValueError) if lists that belong together are empty or have different lengths.

    >>> check_lengths(a=[1], b=[1, 2])
    Traceback (most recent call last):
    minembed.errors.InputError: a and b must be of one length; got 1, 2
    """
    sizes = [len(values) for values in lists.values()]
    if len(set(sizes)) > 1:
        raise InputError(f"{' and '.join(lists)} must be of one length; got {', '.join(map(str, sizes))}")
    if not sizes[0]:
        raise InputError(f"there is nothing to evaluate in {' and '.join(lists)}")


def pair_scores(name: str, a: Any, b: Any) -> Array:  # (N, D), (N, D) -> (N,)
    """The similarity of pairs, by the name of a similarity function.

    >>> pair_scores("dot", [[1.0, 2.0]], [[3.0, 4.0]]).tolist()
    [11.0]
    """
    return as_array(SimilarityFunction.to_similarity_pairwise_fn(name)(a, b))


class EmbeddingSimilarityEvaluator(BaseEvaluator):
    """Pearson's and Spearman's correlation of similarities with human scores."""

    def __init__(
        self,
        sentences1: list[str],
        sentences2: list[str],
        scores: list[float],
        batch_size: int = 16,
        main_similarity: str | SimilarityFunction | None = None,
        similarity_fn_names: list[str] | None = None,
        name: str = "",
        show_progress_bar: bool = False,
        write_csv: bool = True,
        precision: str | None = None,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__()
        check_lengths(sentences1=sentences1, sentences2=sentences2, scores=scores)
        self.sentences1, self.sentences2, self.scores = sentences1, sentences2, scores
        self.batch_size, self.name, self.write_csv = batch_size, name, write_csv
        self.precision, self.truncate_dim = precision, truncate_dim
        self.main_similarity = SimilarityFunction(main_similarity) if main_similarity else None
        main = [] if self.main_similarity is None else [self.main_similarity.value]
        self.similarity_fn_names = list(similarity_fn_names or main)
        self.show_progress_bar = shown(show_progress_bar)
        parts = ["similarity_evaluation", name, precision or "", "results"]
        self.csv_file = "_".join(part for part in parts if part) + ".csv"
        self.csv_headers = ["epoch", "steps"]
        self._add_headers()

    def _add_headers(self) -> None:
        self.csv_headers += [f"{fn}_{metric}" for fn in self.similarity_fn_names for metric in ("pearson", "spearman")]

    @classmethod
    def from_input_examples(cls, examples: list[Any], **kwargs: Any) -> Any:
        """Create an evaluator from InputExamples."""
        first, second = ([example.texts[i] for example in examples] for i in (0, 1))
        return cls(first, second, [example.label for example in examples], **kwargs)

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("EmbeddingSimilarityEvaluator", self.name, epoch, steps, self.truncate_dim)
        a, b = self._embeddings(model)
        if not self.similarity_fn_names:
            self.similarity_fn_names = [model.similarity_fn_name]
            self._add_headers()
        metrics: dict[str, float] = {}
        for fn in self.similarity_fn_names:
            scores = pair_scores(fn, a, b)
            metrics[f"pearson_{fn}"] = pearson(self.scores, scores)
            metrics[f"spearman_{fn}"] = spearman(self.scores, scores)
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, *metrics.values()])
        several = len(self.similarity_fn_names) > 1
        if several:
            for kind in ("pearson", "spearman"):
                metrics[f"{kind}_max"] = max(metrics[f"{kind}_{fn}"] for fn in self.similarity_fn_names)
        main = "max" if several else self.similarity_fn_names[0]
        self.primary_metric = f"spearman_{self.main_similarity.value if self.main_similarity else main}"
        return self.prefix_name_to_metrics(metrics, self.name)

    def _embeddings(self, model: Any) -> tuple[Array, Array]:
        """The vectors of both sides, as floats; int8 and uint8 use one range for both."""
        if self.precision in ("int8", "uint8"):
            both = self.embed_inputs(model, [*self.sentences1, *self.sentences2])
            a, b = both[: len(self.sentences1)], both[len(self.sentences1) :]
        else:
            a, b = (self.embed_inputs(model, texts) for texts in (self.sentences1, self.sentences2))
        if self.precision == "binary":
            a, b = ((x.astype(np.int16) + 128).astype(np.uint8) for x in (a, b))
        if self.precision in ("binary", "ubinary"):
            a, b = (np.unpackbits(x, axis=1) for x in (a, b))
        return (a, b) if self.precision in (None, "float32") else (a.astype(np.float32), b.astype(np.float32))

    def embed_inputs(self, model: Any, sentences: Any, **kwargs: Any) -> Array:
        """Embed texts."""
        return as_array(
            model.encode(
                sentences,
                batch_size=self.batch_size,
                show_progress_bar=self.show_progress_bar,
                convert_to_numpy=True,
                precision=self.precision,
                normalize_embeddings=bool(self.precision),
                truncate_dim=self.truncate_dim,
                **kwargs,
            )
        )

    @property
    def description(self) -> str:
        """What is measured, in words."""
        return "Semantic Similarity"

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        settings = {"truncate_dim": self.truncate_dim, "precision": self.precision}
        return {name: value for name, value in settings.items() if value is not None}


class BinaryClassificationEvaluator(BaseEvaluator):
    """How well a threshold on similarities separates pairs of label 1 from pairs of label 0."""

    def __init__(
        self,
        sentences1: list[str],
        sentences2: list[str],
        labels: list[int],
        name: str = "",
        batch_size: int = 32,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
        similarity_fn_names: list[str] | None = None,
    ) -> None:
        super().__init__()
        check_lengths(sentences1=sentences1, sentences2=sentences2, labels=labels)
        if not np.isin(labels, (0, 1)).all():
            raise InputError("labels must be 0 or 1")
        self.sentences1, self.sentences2, self.labels = sentences1, sentences2, labels
        self.name, self.batch_size, self.write_csv, self.truncate_dim = name, batch_size, write_csv, truncate_dim
        self.similarity_fn_names = list(similarity_fn_names or [])
        self.show_progress_bar = shown(show_progress_bar)
        self.csv_file = f"binary_classification_evaluation{'_' + name if name else ''}_results.csv"
        self.csv_headers = ["epoch", "steps"]
        self._add_headers()

    def _add_headers(self) -> None:
        self.csv_headers += [f"{fn}_{measure}" for fn in self.similarity_fn_names for measure in MEASURES]

    @classmethod
    def from_input_examples(cls, examples: list[Any], **kwargs: Any) -> Any:
        """Create an evaluator from InputExamples."""
        first, second = ([example.texts[i] for example in examples] for i in (0, 1))
        return cls(first, second, [example.label for example in examples], **kwargs)

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("BinaryClassificationEvaluator", self.name, epoch, steps, self.truncate_dim)
        if not self.similarity_fn_names:
            self.similarity_fn_names = [model.similarity_fn_name]
            self._add_headers()
        found = self.compute_metrics(model)
        row = [found[fn][measure] for fn in self.similarity_fn_names for measure in MEASURES]
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, *row])
        metrics = {f"{fn}_{measure}": value for fn, values in found.items() for measure, value in values.items()}
        self.primary_metric = f"{self.similarity_fn_names[0]}_ap"
        if len(self.similarity_fn_names) > 1:
            first = found[self.similarity_fn_names[0]]
            metrics |= {f"max_{measure}": max(values[measure] for values in found.values()) for measure in first}
            self.primary_metric = "max_ap"
        return self.prefix_name_to_metrics(metrics, self.name)

    def compute_metrics(self, model: Any) -> dict[str, dict[str, float]]:
        """All measures, by similarity function."""
        texts = list(dict.fromkeys([*self.sentences1, *self.sentences2]))
        place = {text: i for i, text in enumerate(texts)}
        vectors = self.embed_inputs(model, texts)
        a, b = (vectors[[place[text] for text in side]] for side in (self.sentences1, self.sentences2))
        labels = np.asarray(self.labels)
        found = {}
        for fn in self.similarity_fn_names:
            higher = fn not in ("euclidean", "manhattan")
            scores = pair_scores(fn, a, b) if higher else -pair_scores(fn, a, b)
            accuracy, at = self.find_best_acc_and_threshold(scores, labels, higher)
            f1, precision, recall, f1_at = self.find_best_f1_and_threshold(scores, labels, higher)
            found[fn] = {
                "accuracy": accuracy,
                "accuracy_threshold": at,
                "f1": f1,
                "f1_threshold": f1_at,
                "precision": precision,
                "recall": recall,
                "ap": average_precision(labels, scores if higher else -scores),
                "mcc": matthews(labels, scores >= f1_at if higher else scores <= f1_at),
            }
        return found

    compute_metrices = compute_metrics

    def embed_inputs(self, model: Any, sentences: Any, **kwargs: Any) -> Array:
        """Embed texts."""
        return as_array(
            model.encode(
                sentences,
                batch_size=self.batch_size,
                show_progress_bar=self.show_progress_bar,
                convert_to_numpy=True,
                truncate_dim=self.truncate_dim,
                **kwargs,
            )
        )

    @staticmethod
    def find_best_acc_and_threshold(scores: Any, labels: Any, high_score_more_similar: bool) -> tuple[float, float]:
        """The largest accuracy, and its threshold."""
        return best_accuracy(as_array(scores), np.asarray(labels), high_score_more_similar)

    @staticmethod
    def find_best_f1_and_threshold(
        scores: Any, labels: Any, high_score_more_similar: bool
    ) -> tuple[float, float, float, float]:
        """The largest F1, its precision and recall, and its threshold."""
        return best_f1(as_array(scores), np.asarray(labels), high_score_more_similar)

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        return {} if self.truncate_dim is None else {"truncate_dim": self.truncate_dim}
