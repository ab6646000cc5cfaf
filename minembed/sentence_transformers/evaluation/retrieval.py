"""The evaluator of retrieval: search a corpus for each query, exactly, and measure the rankings."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.evaluation.retrieval import ranking_metrics
from minembed.search.topk import top_k
from minembed.sentence_transformers.base.evaluation import BaseEvaluator, announce
from minembed.sentence_transformers.tensors import as_array
from minembed.sentence_transformers.util.retrieval import best_by
from minembed.sentence_transformers.util.similarity import METRIC_OF, SimilarityFunction
from minembed.types import Array, Metric

LOG = logging.getLogger("minembed")
KINDS = ("accuracy", "precision", "recall", "ndcg", "mrr", "map")
SHOWN = dict(zip(KINDS, ("Accuracy", "Precision", "Recall", "NDCG", "MRR", "MAP"), strict=True))  # in files
TEN, PLACES, HUNDRED = [10], [1, 3, 5, 10], [100]
Scores = dict[str, dict[int, float]]


def metric_of(function: Any) -> Metric | None:
    """The metric that a score function stands for: one of `util`, or a model's own `similarity`.

    >>> metric_of(max) is None
    True
    """
    owner: Any = getattr(function, "__self__", None)
    if getattr(function, "__name__", "") == "similarity" and hasattr(owner, "similarity_fn_name"):
        return owner.similarity_fn_name
    return METRIC_OF.get(function)


class InformationRetrievalEvaluator(BaseEvaluator):
    """Accuracy, precision, recall, MRR, NDCG and MAP of a search; equal scores are ranked by id."""

    def __init__(
        self,
        queries: dict[str, Any],
        corpus: dict[str, Any],
        relevant_docs: dict[str, set[str]],
        corpus_chunk_size: int = 50000,
        mrr_at_k: list[int] = TEN,
        ndcg_at_k: list[int] = TEN,
        accuracy_at_k: list[int] = PLACES,
        precision_recall_at_k: list[int] = PLACES,
        map_at_k: list[int] = HUNDRED,
        show_progress_bar: bool = False,
        batch_size: int = 32,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
        score_functions: dict[str, Callable[[Any, Any], Any]] | None = None,
        main_score_function: str | SimilarityFunction | None = None,
        query_prompt: str | None = None,
        query_prompt_name: str | None = None,
        corpus_prompt: str | None = None,
        corpus_prompt_name: str | None = None,
        write_predictions: bool = False,
    ) -> None:
        super().__init__()
        self.queries_ids = [query for query in queries if relevant_docs.get(query)]
        self.queries = [queries[query] for query in self.queries_ids]
        self.corpus_ids, self.corpus = list(corpus), list(corpus.values())
        self.relevant_docs, self.corpus_chunk_size = relevant_docs, corpus_chunk_size
        self.query_prompt, self.query_prompt_name = query_prompt, query_prompt_name
        self.corpus_prompt, self.corpus_prompt_name = corpus_prompt, corpus_prompt_name
        self.accuracy_at_k, self.precision_recall_at_k = accuracy_at_k, precision_recall_at_k
        self.ndcg_at_k, self.mrr_at_k, self.map_at_k = ndcg_at_k, mrr_at_k, map_at_k
        self.show_progress_bar, self.batch_size, self.truncate_dim = show_progress_bar, batch_size, truncate_dim
        self.name, self.write_csv, self.write_predictions = name, write_csv, write_predictions
        self.score_functions = score_functions
        self.score_function_names = sorted(score_functions or {})
        self._takes_model_function = score_functions is None
        self.main_score_function = SimilarityFunction(main_score_function) if main_score_function else None
        stem = f"Information-Retrieval_evaluation{'_' + name if name else ''}"
        self.csv_file, self.predictions_file = f"{stem}_results.csv", f"{stem}_predictions.jsonl"
        self.csv_headers = self._headers()
        for kind, places in self._places().items():
            if not places:
                raise InputError(f"{kind} is measured at no place: name one at least, as in {kind}_at_k=[10]")

    def _places(self) -> dict[str, list[int]]:
        both = self.precision_recall_at_k
        return dict(
            zip(KINDS, (self.accuracy_at_k, both, both, self.ndcg_at_k, self.mrr_at_k, self.map_at_k), strict=True)
        )

    def _columns(self) -> list[tuple[str, int]]:
        """The columns of the results file for each score function, in order: (kind, k)."""
        columns = [("accuracy", k) for k in self.accuracy_at_k]
        columns += [(kind, k) for k in self.precision_recall_at_k for kind in ("precision", "recall")]
        return columns + [(kind, k) for kind in ("mrr", "ndcg", "map") for k in self._places()[kind]]

    def _headers(self) -> list[str]:
        named = [f"{name}-{SHOWN[kind]}@{k}" for name in self.score_function_names for kind, k in self._columns()]
        return ["epoch", "steps", *named]

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1, *args: Any, **kwargs: Any
    ) -> dict[str, float]:
        """Evaluate a model; further arguments are those of `compute_all_metrics`."""
        announce("InformationRetrievalEvaluator", self.name, epoch, steps, self.truncate_dim)
        if self._takes_model_function:
            self.score_functions = {model.similarity_fn_name: model.similarity}
            if self.score_function_names != sorted(self.score_functions):
                self.score_function_names = sorted(self.score_functions)
                self.csv_headers, self.primary_metric = self._headers(), None
        scores = self.compute_all_metrics(model, *args, **{"output_path": output_path, **kwargs})
        self._write(output_path, [epoch, steps], scores)
        if not self.primary_metric:
            k = max(self.ndcg_at_k)
            best = max(self.score_function_names, key=lambda name: scores[name]["ndcg@k"][k])
            main = self.main_score_function.value if self.main_score_function else best
            self.primary_metric = f"{main}_ndcg@{k}"
        flat = {
            f"{name}_{kind.replace('@k', f'@{k}')}": value
            for name, kinds in scores.items()
            for kind, values in kinds.items()
            for k, value in values.items()
        }
        return self.prefix_name_to_metrics(flat, self.name)

    def _write(self, output_path: str | None, begin: list[Any], scores: dict[str, Scores]) -> None:
        if output_path is None or not self.write_csv:
            return
        path = Path(output_path) / self.csv_file
        path.parent.mkdir(parents=True, exist_ok=True)
        row = [scores[name][f"{kind}@k"][k] for name in self.score_function_names for kind, k in self._columns()]
        lines = [] if path.is_file() else [self.csv_headers]
        with path.open("a", encoding="utf-8") as file:
            file.writelines(",".join(map(str, line)) + "\n" for line in [*lines, [*begin, *row]])

    def compute_all_metrics(
        self, model: Any, corpus_model: Any = None, corpus_embeddings: Any = None, output_path: str | None = None
    ) -> dict[str, Scores]:
        """Search with each score function, and measure: {"cosine": {"ndcg@k": {10: ...}, ...}}.

        `corpus_model` encodes the corpus, if another model than that of the queries should; `corpus_embeddings` are the
        corpus's vectors.
        """
        largest = max(max(places) for places in self._places().values())
        order = np.argsort(self.get_corpus_id_ranks())
        queries = self.embed_inputs(model, self.queries, "query", self.query_prompt_name, self.query_prompt)
        if corpus_embeddings is None:
            prompts = self.corpus_prompt_name, self.corpus_prompt
            corpus = self.embed_inputs(corpus_model or model, self.corpus, "document", *prompts)
        else:
            corpus = as_array(corpus_embeddings, "corpus_embeddings")
        ids = [self.corpus_ids[i] for i in order]
        results = {}
        for name, function in (self.score_functions or {}).items():
            found = self._search(function, queries, corpus[order], largest)
            results[name] = [
                [{"corpus_id": ids[row], "score": score} for score, row in zip(*best, strict=True)]
                for best in zip(*(x.tolist() for x in found), strict=True)
            ]
        if self.write_predictions and output_path is not None:
            self._write_predictions(Path(output_path), results)
        scores = {name: self.compute_metrics(results[name]) for name in results}
        for name in self.score_function_names:
            LOG.info("Score-Function: %s", name)
            self.output_scores(scores[name])
        return scores

    compute_metrices = compute_all_metrics

    def get_corpus_id_ranks(self) -> Array:  # -> (N,)
        """The rank of each document's id in sorted order."""
        order = sorted(range(len(self.corpus_ids)), key=self.corpus_ids.__getitem__)
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        return ranks

    def _search(self, function: Any, queries: Array, corpus: Array, k: int) -> tuple[Array, Array]:
        metric = metric_of(function)
        if metric is not None:
            return top_k(queries, corpus, k, metric)
        return best_by(function, queries, corpus, k, self.corpus_chunk_size)

    def _write_predictions(self, folder: Path, results: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name, rankings in results.items():
            path = folder / self.predictions_file.replace(".jsonl", f"_{name}.jsonl")
            with path.open("w", encoding="utf-8") as file:
                for query, text, hits in zip(self.queries_ids, self.queries, rankings, strict=True):
                    file.write(json.dumps({"query_id": query, "query": text, "results": hits}) + "\n")

    def compute_metrics(self, queries_result_list: list[Any]) -> Scores:
        """Measure rankings, one per query: lists of {"corpus_id", "score"}."""
        rankings = {}
        for query, hits in zip(self.queries_ids, queries_result_list, strict=True):
            rankings[query] = [hit["corpus_id"] for hit in sorted(hits, key=lambda h: (-h["score"], h["corpus_id"]))]
        relevant = {query: set(self.relevant_docs[query]) for query in rankings}
        places = self._places()
        found = ranking_metrics(rankings, relevant, places)
        return {f"{kind}@k": {k: found[f"{kind}@{k}"] for k in places[kind]} for kind in KINDS}

    def output_scores(self, scores: Scores) -> None:
        """Log the metrics."""
        for kind, values in scores.items():
            for k, value in values.items():
                LOG.info("%s: %.4f", kind.replace("@k", f"@{k}"), value)

    @staticmethod
    def compute_dcg_at_k(relevances: Any, k: int) -> float:
        """The discounted cumulative gain of the first k."""
        gains = np.asarray(relevances, np.float64)[:k]
        return float(gains @ (1 / np.log2(np.arange(len(gains)) + 2)))

    def embed_inputs(
        self,
        model: Any,
        sentences: Any,
        encode_fn_name: str | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        **kwargs: Any,
    ) -> Array:
        """Embed texts, as queries or as documents."""
        encode = getattr(model, f"encode_{encode_fn_name}" if encode_fn_name else "encode")
        return as_array(
            encode(
                sentences,
                prompt_name=prompt_name,
                prompt=prompt,
                batch_size=self.batch_size,
                show_progress_bar=self.show_progress_bar,
                truncate_dim=self.truncate_dim,
                **kwargs,
            )
        )

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        names = ("truncate_dim", "query_prompt", "query_prompt_name", "corpus_prompt", "corpus_prompt_name")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
