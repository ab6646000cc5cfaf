"""Evaluators of search: paraphrase mining, translation, reranking."""

from collections import defaultdict
from typing import Any

import numpy as np

from minembed.sentence_transformers.base.evaluation import BaseEvaluator, announce, write_row
from minembed.sentence_transformers.evaluation.metrics import average_precision, ndcg, reciprocal_rank
from minembed.sentence_transformers.evaluation.pairs import check_lengths
from minembed.sentence_transformers.tensors import as_array, tensor
from minembed.sentence_transformers.util.retrieval import paraphrase_mining
from minembed.sentence_transformers.util.similarity import cos_sim
from minembed.types import Array


class ParaphraseMiningEvaluator(BaseEvaluator):
    """How well the most similar pairs agree with known paraphrases."""

    def __init__(
        self,
        sentences_map: dict[str, str],
        duplicates_list: list[tuple[str, str]] | None = None,
        duplicates_dict: dict[str, dict[str, bool]] | None = None,
        add_transitive_closure: bool = False,
        query_chunk_size: int = 5000,
        corpus_chunk_size: int = 100000,
        max_pairs: int = 500000,
        top_k: int = 100,
        show_progress_bar: bool = False,
        batch_size: int = 16,
        name: str = "",
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.ids, self.sentences = list(sentences_map), list(sentences_map.values())
        self.name, self.show_progress_bar, self.batch_size = name, show_progress_bar, batch_size
        self.query_chunk_size, self.corpus_chunk_size = query_chunk_size, corpus_chunk_size
        self.max_pairs, self.top_k, self.truncate_dim = max_pairs, top_k, truncate_dim
        self._add_transitive_closure = add_transitive_closure
        own: Any = defaultdict(lambda: defaultdict(bool))
        self.duplicates: Any = own if duplicates_dict is None else duplicates_dict
        for a, b in duplicates_list or []:
            if a in sentences_map and b in sentences_map:
                self.duplicates[a][b] = self.duplicates[b][a] = True
        if add_transitive_closure:
            self.duplicates = self.add_transitive_closure(self.duplicates)
        known = {(a, b) for a in self.duplicates for b, true in self.duplicates[a].items() if true}
        pairs = {tuple(sorted(pair)) for pair in known if sentences_map.keys() >= set(pair)}
        self._pairs = pairs
        self.total_num_duplicates = len(pairs)
        self.csv_file = f"paraphrase_mining_evaluation{'_' + name if name else ''}_results.csv"
        self.csv_headers = ["epoch", "steps", "precision", "recall", "f1", "threshold", "average_precision"]
        self.write_csv = write_csv
        self.primary_metric = "average_precision"

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("ParaphraseMiningEvaluator", self.name, epoch, steps, self.truncate_dim)
        found = paraphrase_mining(
            model,
            self.sentences,
            self.show_progress_bar,
            self.batch_size,
            self.query_chunk_size,
            self.corpus_chunk_size,
            self.max_pairs,
            self.top_k,
            truncate_dim=self.truncate_dim,
        )
        scores = np.array([score for score, _, _ in found], np.float32)
        hits = np.array([tuple(sorted((self.ids[i], self.ids[j]))) in self._pairs for _, i, j in found], bool)
        metrics = self._measure(scores, hits)
        row = [metrics[name] for name in self.csv_headers[2:]]
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, *row])
        return self.prefix_name_to_metrics(metrics, self.name)

    def _measure(self, scores: Array, hits: Array) -> dict[str, float]:  # (P,), (P,), the best first
        names = ("average_precision", "f1", "precision", "recall", "threshold")
        if not hits.any():
            return dict.fromkeys(names, 0.0)
        last = np.flatnonzero(np.append(scores[1:] != scores[:-1], True))
        right = np.cumsum(hits)[last]
        precision, recall = right / (last + 1), right / self.total_num_duplicates
        f1 = 2 * precision * recall / np.where(right > 0, precision + recall, 1)
        gained = np.diff(right, prepend=0)
        best = int(f1.argmax())
        at = int(last[best])
        threshold = (float(scores[at]) + float(scores[min(at + 1, len(scores) - 1)])) / 2
        ap = float((precision * gained).sum() / self.total_num_duplicates)
        values = (ap, float(f1[best]), float(precision[best]), float(recall[best]), threshold)
        return dict(zip(names, values, strict=True))

    @staticmethod
    def add_transitive_closure(graph: Any) -> Any:
        """Make duplicates transitive: ids that a chain of duplicates joins are duplicates of each other."""
        seen: set[Any] = set()
        for start in list(graph):
            if start in seen:
                continue
            group, waiting = {start}, [start]
            while waiting:
                new = [b for b, true in graph[waiting.pop()].items() if true and b not in group]
                group.update(new)
                waiting += new
            seen |= group
            for a in group:
                for b in group - {a}:
                    graph[a][b] = True
        return graph

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        settings = {"add_transitive_closure": self._add_transitive_closure, "max_pairs": self.max_pairs}
        width = {} if self.truncate_dim is None else {"truncate_dim": self.truncate_dim}
        return settings | {"top_k": self.top_k} | width


class TranslationEvaluator(BaseEvaluator):
    """How often the most similar sentence of another language is the translation, in both directions."""

    def __init__(
        self,
        source_sentences: list[str],
        target_sentences: list[str],
        show_progress_bar: bool = False,
        batch_size: int = 16,
        name: str = "",
        print_wrong_matches: bool = False,
        write_csv: bool = True,
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__()
        check_lengths(source_sentences=source_sentences, target_sentences=target_sentences)
        self.source_sentences, self.target_sentences = source_sentences, target_sentences
        self.show_progress_bar, self.batch_size, self.name = show_progress_bar, batch_size, name
        self.print_wrong_matches, self.write_csv, self.truncate_dim = print_wrong_matches, write_csv, truncate_dim
        self.csv_file = f"translation_evaluation{'_' + name if name else ''}_results.csv"
        self.csv_headers = ["epoch", "steps", "src2trg", "trg2src"]
        self.primary_metric = "mean_accuracy"

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("TranslationEvaluator", self.name, epoch, steps, self.truncate_dim)
        sides = [self.embed_inputs(model, texts) for texts in (self.source_sentences, self.target_sentences)]
        scores = as_array(cos_sim(*sides))
        forth = [self.target_sentences[i] == self.target_sentences[j] for i, j in enumerate(scores.argmax(axis=1))]
        back = [self.source_sentences[i] == self.source_sentences[j] for i, j in enumerate(scores.argmax(axis=0))]
        if self.print_wrong_matches:
            for i in np.flatnonzero(~np.array(forth)):
                self._print(int(i), scores[i])
        a, b = float(np.mean(forth)), float(np.mean(back))
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, a, b])
        metrics = {"src2trg_accuracy": a, "trg2src_accuracy": b, "mean_accuracy": (a + b) / 2}
        return self.prefix_name_to_metrics(metrics, self.name)

    def _print(self, i: int, scores: Array) -> None:
        print(f"\n{i}: {self.source_sentences[i]}\n  wanted {scores[i]:.4f}: {self.target_sentences[i]}")
        for j in np.argsort(-scores, kind="stable")[:5]:
            print(f"  {scores[j]:.4f}: {self.target_sentences[j]}")

    def embed_inputs(self, model: Any, sentences: Any, **kwargs: Any) -> Array:
        """Embed texts."""
        return as_array(
            model.encode(
                sentences,
                batch_size=self.batch_size,
                show_progress_bar=self.show_progress_bar,
                truncate_dim=self.truncate_dim,
                **kwargs,
            )
        )

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        return {} if self.truncate_dim is None else {"truncate_dim": self.truncate_dim}


class RerankingEvaluator(BaseEvaluator):
    """How well similarities rank a query's positives before its negatives."""

    def __init__(
        self,
        samples: Any,
        at_k: int = 10,
        name: str = "",
        write_csv: bool = True,
        similarity_fct: Any = cos_sim,
        batch_size: int = 64,
        show_progress_bar: bool = False,
        use_batched_encoding: bool = True,
        truncate_dim: int | None = None,
        mrr_at_k: int | None = None,
    ) -> None:
        super().__init__()
        self.at_k = at_k if mrr_at_k is None else mrr_at_k
        self.name, self.write_csv, self.similarity_fct = name, write_csv, similarity_fct
        self.batch_size, self.show_progress_bar = batch_size, show_progress_bar
        self.use_batched_encoding, self.truncate_dim = use_batched_encoding, truncate_dim
        given = list(samples.values()) if isinstance(samples, dict) else samples
        as_lists = [{**s, **{side: _as_list(s[side]) for side in ("positive", "negative")}} for s in given]
        self.samples = [s for s in as_lists if len(s["positive"]) and len(s["negative"])]
        check_lengths(samples=self.samples)
        self.csv_file = f"RerankingEvaluator{'_' + name if name else ''}_results_@{self.at_k}.csv"
        self.csv_headers = ["epoch", "steps", "MAP", f"MRR@{self.at_k}", f"NDCG@{self.at_k}"]
        self.primary_metric = f"ndcg@{self.at_k}"

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Evaluate a model."""
        announce("RerankingEvaluator", self.name, epoch, steps, self.truncate_dim)
        found = self.compute_metrics(model)
        row = [found["map"], found["mrr"], found["ndcg"]]
        write_row(output_path, self.write_csv, self.csv_file, self.csv_headers, [epoch, steps, *row])
        names = ("map", f"mrr@{self.at_k}", f"ndcg@{self.at_k}")
        return self.prefix_name_to_metrics(dict(zip(names, row, strict=True)), self.name)

    def compute_metrics(self, model: Any) -> dict[str, float]:
        """The means of all metrics; texts are encoded together, or sample by sample."""
        batched = self.use_batched_encoding
        return self.compute_metrics_batched(model) if batched else self.compute_metrics_individual(model)

    def compute_metrics_batched(self, model: Any) -> dict[str, float]:
        """The means of all metrics, with all texts encoded together."""
        texts = [[*sample["positive"], *sample["negative"]] for sample in self.samples]
        queries = self.embed_inputs(model, [sample["query"] for sample in self.samples], "query")
        documents = self.embed_inputs(model, [text for own in texts for text in own], "document")
        bounds = np.cumsum([len(own) for own in texts])[:-1]
        return self._means(zip(queries, np.split(documents, bounds), strict=True))

    def compute_metrics_individual(self, model: Any) -> dict[str, float]:
        """The means of all metrics, with the texts of one sample encoded at a time."""
        return self._means(
            (
                self.embed_inputs(model, [sample["query"]], "query", False)[0],
                self.embed_inputs(model, [*sample["positive"], *sample["negative"]], "document", False),
            )
            for sample in self.samples
        )

    compute_metrices = compute_metrics
    compute_metrices_batched = compute_metrics_batched
    compute_metrices_individual = compute_metrics_individual

    def _means(self, pairs: Any) -> dict[str, float]:
        rows = []
        for sample, (query, documents) in zip(self.samples, pairs, strict=True):
            scores = as_array(self.similarity_fct(tensor(query), tensor(documents))).reshape(-1)
            relevant = np.arange(len(scores)) < len(sample["positive"])
            ranking = np.argsort(-scores, kind="stable")
            mrr = reciprocal_rank(relevant, ranking, self.at_k)
            rows.append((average_precision(relevant, scores), mrr, ndcg(relevant, scores, self.at_k)))
        return dict(zip(("map", "mrr", "ndcg"), np.mean(rows, axis=0).tolist(), strict=True))

    def embed_inputs(
        self,
        model: Any,
        sentences: Any,
        encode_fn_name: str | None = None,
        show_progress_bar: bool | None = None,
        **kwargs: Any,
    ) -> Array:
        """Embed texts, as queries or as documents."""
        encode = getattr(model, f"encode_{encode_fn_name}" if encode_fn_name else "encode")
        shown = self.show_progress_bar if show_progress_bar is None else show_progress_bar
        options = {"batch_size": self.batch_size, "show_progress_bar": shown, "truncate_dim": self.truncate_dim}
        return as_array(encode(sentences, **options, **kwargs))

    def get_config_dict(self) -> dict[str, Any]:
        """The settings that affect the result."""
        return {"at_k": self.at_k} | ({} if self.truncate_dim is None else {"truncate_dim": self.truncate_dim})


def _as_list(texts: Any) -> Any:
    return [texts] if isinstance(texts, str) else texts
