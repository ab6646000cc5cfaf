"""Evaluate a model: with pairs scored by people, triplets, and retrieval."""

from minembed.evaluation.pairs import evaluate_pairs, evaluate_triplets, pearson, spearman
from minembed.evaluation.retrieval import evaluate_retrieval, ranking_metrics

__all__ = ["evaluate_pairs", "evaluate_retrieval", "evaluate_triplets", "pearson", "ranking_metrics", "spearman"]
