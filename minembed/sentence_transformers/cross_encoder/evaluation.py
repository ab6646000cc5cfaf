"""The evaluators of cross-encoders: constructors, keys, values and files of results as in the reference."""

from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.evaluation.pairs import pearson, spearman
from minembed.sentence_transformers.base.evaluation import BaseEvaluator, announce, shown, write_row
from minembed.sentence_transformers.evaluation.metrics import (
    average_precision,
    best_accuracy,
    best_f1,
    class_f1,
    ndcg,
    reciprocal_rank,
)
from minembed.sentence_transformers.evaluation.pairs import check_lengths
from minembed.sentence_transformers.refusals import DATASETS, refused
from minembed.types import Array

CrossEncoderNanoBEIREvaluator: Any = refused(
    "CrossEncoderNanoBEIREvaluator", f"its datasets are on the Hub; {DATASETS}"
)
BINARY = ("Accuracy", "Accuracy_Threshold", "F1", "F1_Threshold", "Precision", "Recall", "Average_Precision")


class CrossEncoderClassificationEvaluator(BaseEvaluator):
    """How well scores separate label 1 from label 0; for several labels, the F1 of classes."""

    def __init__(
        self,
        sentence_pairs: list[list[str]],
        labels: list[int],
        *,
        name: str = "",
        prompt_name: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        write_csv: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        check_lengths(sentence_pairs=sentence_pairs, labels=labels)
        self.sentence_pairs, self.labels = sentence_pairs, np.asarray(labels)
        self.name, self.prompt_name, self.batch_size = name, prompt_name, batch_size
        self.show_progress_bar, self.write_csv = shown(show_progress_bar), write_csv
        self.csv_file = f"CrossEncoderClassificationEvaluator{'_' + name if name else ''}_results.csv"

    @classmethod
    def from_input_examples(cls, examples: list[Any], **kwargs: Any) -> Any:
        """Create an evaluator from InputExamples."""
        return cls([example.texts for example in examples], [example.label for example in examples], **kwargs)

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("CrossEncoderClassificationEvaluator", self.name, epoch, steps)
        scores = _scores(self, model, self.sentence_pairs)
        headers: tuple[str, ...]
        if model.num_labels == 1:
            metrics, headers, self.primary_metric = self._binary(scores), BINARY, "average_precision"
        else:
            found = class_f1(self.labels, scores.argmax(axis=1))
            metrics = {f"f1_{kind}": value for kind, value in found.items()}
            headers, self.primary_metric = ("Macro_F1", "Micro_F1", "Weighted_F1"), "f1_macro"
        self.csv_headers = ["epoch", "steps", *headers]
        row = [epoch, steps, *metrics.values()]
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, row)
        return self.prefix_name_to_metrics(metrics, self.name)

    def _binary(self, scores: Array) -> dict[str, float]:
        accuracy, at = best_accuracy(scores, self.labels, True)
        f1, precision, recall, f1_at = best_f1(scores, self.labels, True)
        first = {"accuracy": accuracy, "accuracy_threshold": at, "f1": f1, "f1_threshold": f1_at}
        ap = average_precision(self.labels, scores)
        return first | {"precision": precision, "recall": recall, "average_precision": ap}


class CrossEncoderCorrelationEvaluator(BaseEvaluator):
    """Pearson's and Spearman's correlation of a model's scores with human scores."""

    def __init__(
        self,
        sentence_pairs: list[list[str]],
        scores: list[float],
        name: str = "",
        prompt_name: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        write_csv: bool = True,
    ) -> None:
        super().__init__()
        check_lengths(sentence_pairs=sentence_pairs, scores=scores)
        self.sentence_pairs, self.scores = sentence_pairs, scores
        self.name, self.prompt_name, self.batch_size = name, prompt_name, batch_size
        self.show_progress_bar, self.write_csv = shown(show_progress_bar), write_csv
        self.csv_file = f"CrossEncoderCorrelationEvaluator{'_' + name if name else ''}_results.csv"
        self.csv_headers = ["epoch", "steps", "Pearson_Correlation", "Spearman_Correlation"]
        self.primary_metric = "spearman"

    @classmethod
    def from_input_examples(cls, examples: list[Any], **kwargs: Any) -> Any:
        """Create an evaluator from InputExamples."""
        return cls([example.texts for example in examples], [example.label for example in examples], **kwargs)

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("CrossEncoderCorrelationEvaluator", self.name, epoch, steps)
        scores = _scores(self, model, self.sentence_pairs)
        metrics = {"pearson": pearson(self.scores, scores), "spearman": spearman(self.scores, scores)}
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, *metrics.values()])
        return self.prefix_name_to_metrics(metrics, self.name)


class CrossEncoderRerankingEvaluator(BaseEvaluator):
    """How well scores rank a query's relevant documents first; also for the given order, if there is one."""

    def __init__(
        self,
        samples: Any,
        at_k: int = 10,
        always_rerank_positives: bool = True,
        name: str = "",
        prompt_name: str | None = None,
        batch_size: int = 64,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        mrr_at_k: int | None = None,
    ) -> None:
        super().__init__()
        self.samples = list(samples.values()) if isinstance(samples, dict) else samples
        check_lengths(samples=self.samples)
        self.at_k = at_k if mrr_at_k is None else mrr_at_k
        self.always_rerank_positives = always_rerank_positives
        self.name, self.prompt_name, self.batch_size = name, prompt_name, batch_size
        self.show_progress_bar, self.write_csv = show_progress_bar, write_csv
        self.csv_file = f"CrossEncoderRerankingEvaluator{'_' + name if name else ''}_results_@{self.at_k}.csv"
        self.csv_headers = ["epoch", "steps", "MAP", f"MRR@{self.at_k}", f"NDCG@{self.at_k}"]
        self.primary_metric = f"ndcg@{self.at_k}"

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("CrossEncoderRerankingEvaluator", self.name, epoch, steps)
        read = [self._documents(sample) for sample in self.samples]
        judged = [any(relevant) for _, relevant in read]
        pairs = [
            [sample["query"], document]
            for sample, (documents, _), use in zip(self.samples, read, judged, strict=True)
            if use
            for document in documents
        ]
        scores = _scores(self, model, pairs) if pairs else np.array([])
        rows, at = [], 0
        for (documents, relevant), use in zip(read, judged, strict=True):
            n = len(documents) if use else 0
            rows.append(self.compute_metrics(relevant, scores[at : at + n]) if use else (0, 0, 0))
            at += n
        mrr, gain, ap = np.mean(rows, axis=0).tolist()
        metrics = {"map": ap, f"mrr@{self.at_k}": mrr, f"ndcg@{self.at_k}": gain}
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, ap, mrr, gain])
        base = [self._given_order(sample) for sample in self.samples if sample.get("documents")]
        if base:
            mrr, gain, ap = np.mean(base, axis=0).tolist()
            metrics |= {"base_map": ap, f"base_mrr@{self.at_k}": mrr, f"base_ndcg@{self.at_k}": gain}
        return self.prefix_name_to_metrics(metrics, self.name)

    def _documents(self, sample: dict[str, Any]) -> tuple[list[str], list[int]]:
        """The documents of a sample, and for each whether it is relevant."""
        for key in ("query", "positive"):
            if key not in sample:
                raise InputError(f"a sample has no {key!r}: it needs query, positive, and negative or documents")
        if ("negative" in sample) == ("documents" in sample):
            raise InputError("a sample needs one of 'negative' and 'documents'")
        positive = _as_list(sample["positive"])
        documents = list(sample.get("documents") or [])
        if not documents:
            documents = positive + list(sample.get("negative") or [])
            return documents, [1] * len(positive) + [0] * (len(documents) - len(positive))
        if self.always_rerank_positives:
            rest = [document for document in documents if document not in positive]
            return positive + rest, [1] * len(positive) + [0] * len(rest)
        return documents, [int(document in positive) for document in documents]

    def _given_order(self, sample: dict[str, Any]) -> tuple[float, float, float]:
        """The metrics of the given order of the documents; positives that are not among them count as last."""
        positive = _as_list(sample["positive"])
        relevant = [int(document in positive) for document in sample["documents"]]
        if not any(relevant):
            return 0, 0, 0
        relevant += [1] * (len(positive) - sum(relevant))
        return self.compute_metrics(relevant, np.arange(len(relevant), 0, -1))

    def compute_metrics(self, y_true: Any, y_pred: Any) -> tuple[float, float, float]:
        """MRR, NDCG and average precision of one ranking."""
        relevant, scores = np.asarray(y_true), np.asarray(y_pred)
        mrr = reciprocal_rank(relevant, np.argsort(scores)[::-1], self.at_k)
        return mrr, ndcg(relevant, scores, self.at_k), average_precision(relevant, scores)

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        settings: dict[str, Any] = {"at_k": self.at_k}
        if self.samples and "documents" in self.samples[0]:
            settings["always_rerank_positives"] = self.always_rerank_positives
        return settings


def _scores(evaluator: Any, model: Any, pairs: Any) -> Array:
    found: Array = model.predict(
        pairs,
        prompt_name=evaluator.prompt_name,
        batch_size=evaluator.batch_size,
        convert_to_numpy=True,
        show_progress_bar=evaluator.show_progress_bar,
    )
    return found


def _as_list(texts: Any) -> list[str]:
    return [texts] if isinstance(texts, str) else list(texts)


CEBinaryAccuracyEvaluator = CrossEncoderClassificationEvaluator
CEBinaryClassificationEvaluator = CrossEncoderClassificationEvaluator
CEF1Evaluator = CrossEncoderClassificationEvaluator
CESoftmaxAccuracyEvaluator = CrossEncoderClassificationEvaluator
CECorrelationEvaluator = CrossEncoderCorrelationEvaluator
CERerankingEvaluator = CrossEncoderRerankingEvaluator
