"""The evaluator of triplets: whether an anchor is more similar to its positive than to its negative."""

from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.sentence_transformers.base.evaluation import BaseEvaluator, announce, shown, write_row
from minembed.sentence_transformers.evaluation.pairs import check_lengths, pair_scores
from minembed.sentence_transformers.tensors import as_array
from minembed.sentence_transformers.util.similarity import SimilarityFunction
from minembed.types import Array

NAMES = ("cosine", "dot", "manhattan", "euclidean")


class TripletEvaluator(BaseEvaluator):
    """The share of triplets whose positive is more similar than the negative by more than a margin."""

    def __init__(
        self,
        anchors: Any,
        positives: Any,
        negatives: Any,
        main_similarity_function: str | SimilarityFunction | None = None,
        margin: float | dict[str, float] | None = None,
        name: str = "",
        batch_size: int = 16,
        show_progress_bar: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
        similarity_fn_names: list[str] | None = None,
        main_distance_function: str | SimilarityFunction | None = "deprecated",
    ) -> None:
        super().__init__()
        check_lengths(anchors=anchors, positives=positives, negatives=negatives)
        self.anchors, self.positives, self.negatives = anchors, positives, negatives
        self.name, self.batch_size, self.write_csv, self.truncate_dim = name, batch_size, write_csv, truncate_dim
        if main_distance_function != "deprecated" and main_similarity_function is None:
            main_similarity_function = main_distance_function
        main = SimilarityFunction(main_similarity_function) if main_similarity_function else None
        self.main_similarity_function = main
        self.similarity_fn_names = list(similarity_fn_names or ([] if main is None else [main.value]))
        self._check_names("similarity_fn_names", self.similarity_fn_names)
        self.margin = self._margins(margin)
        self.show_progress_bar = shown(show_progress_bar)
        self.csv_file = f"triplet_evaluation{'_' + name if name else ''}_results.csv"
        self.csv_headers = ["epoch", "steps", *(f"accuracy_{fn}" for fn in self.similarity_fn_names)]

    def _check_names(self, what: str, names: Any) -> None:
        if unknown := sorted(set(names) - set(NAMES)):
            raise InputError(f"{what} names {', '.join(unknown)}; known: {', '.join(NAMES)}")

    def _margins(self, margin: Any) -> dict[str, float]:
        if margin is None or isinstance(margin, float | int):
            return dict.fromkeys(NAMES, 0.0 if margin is None else margin)
        if not isinstance(margin, dict):
            raise InputError(f"margin must be a number, or one for each of {', '.join(NAMES)}; not {margin!r}")
        self._check_names("margin", margin)
        return dict.fromkeys(NAMES, 0.0) | margin

    @classmethod
    def from_input_examples(cls, examples: list[Any], **kwargs: Any) -> Any:
        """Create an evaluator from InputExamples."""
        anchors, positives, negatives = ([example.texts[i] for example in examples] for i in range(3))
        return cls(anchors, positives, negatives, **kwargs)

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("TripletEvaluator", self.name, epoch, steps, self.truncate_dim)
        anchors = self.embed_inputs(model, self.anchors, encode_fn_name="query")
        positives, negatives = (
            self.embed_inputs(model, texts, encode_fn_name="document") for texts in (self.positives, self.negatives)
        )
        if not self.similarity_fn_names:
            self.similarity_fn_names = [model.similarity_fn_name]
            self.csv_headers += [f"accuracy_{fn}" for fn in self.similarity_fn_names]
        metrics: dict[str, float] = {}
        for fn in self.similarity_fn_names:
            near, far = pair_scores(fn, anchors, positives), pair_scores(fn, anchors, negatives)
            metrics[f"{fn}_accuracy"] = float((near > far + self.margin[fn]).astype(np.float32).mean())
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, *metrics.values()])
        main = self.similarity_fn_names[0]
        if len(self.similarity_fn_names) > 1:
            metrics["max_accuracy"] = max(metrics.values())
            main = "max"
        if self.main_similarity_function:
            main = self.main_similarity_function.value
        self.primary_metric = f"{main}_accuracy"
        return self.prefix_name_to_metrics(metrics, self.name)

    def embed_inputs(self, model: Any, sentences: Any, encode_fn_name: str | None = None, **kwargs: Any) -> Array:
        """Embed texts, as queries or as documents."""
        encode = getattr(model, f"encode_{encode_fn_name}" if encode_fn_name else "encode")
        return as_array(
            encode(
                sentences,
                batch_size=self.batch_size,
                show_progress_bar=self.show_progress_bar,
                convert_to_numpy=True,
                truncate_dim=self.truncate_dim,
                **kwargs,
            )
        )

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        margin = {"margin": self.margin} if any(self.margin.values()) else {}
        return margin | ({} if self.truncate_dim is None else {"truncate_dim": self.truncate_dim})
