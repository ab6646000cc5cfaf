"""The evaluators of vectors: constructors, keys, values and files of results as in the reference."""

from typing import Any

from minembed.sentence_transformers.base.evaluation import BaseEvaluator, SentenceEvaluator, SequentialEvaluator
from minembed.sentence_transformers.evaluation.distances import MSEEvaluator, MSEEvaluatorFromDataFrame
from minembed.sentence_transformers.evaluation.mining import (
    ParaphraseMiningEvaluator,
    RerankingEvaluator,
    TranslationEvaluator,
)
from minembed.sentence_transformers.evaluation.pairs import BinaryClassificationEvaluator, EmbeddingSimilarityEvaluator
from minembed.sentence_transformers.evaluation.retrieval import InformationRetrievalEvaluator
from minembed.sentence_transformers.evaluation.triplets import TripletEvaluator
from minembed.sentence_transformers.refusals import DATASETS, TORCH, refused
from minembed.sentence_transformers.util.similarity import SimilarityFunction

__all__ = [
    "BaseEvaluator",
    "BinaryClassificationEvaluator",
    "EmbeddingSimilarityEvaluator",
    "InformationRetrievalEvaluator",
    "LabelAccuracyEvaluator",
    "MSEEvaluator",
    "MSEEvaluatorFromDataFrame",
    "NanoBEIREvaluator",
    "ParaphraseMiningEvaluator",
    "RerankingEvaluator",
    "SentenceEvaluator",
    "SequentialEvaluator",
    "SimilarityFunction",
    "TranslationEvaluator",
    "TripletEvaluator",
]

LabelAccuracyEvaluator: Any = refused("LabelAccuracyEvaluator", f"it needs a softmax model and a DataLoader; {TORCH}")
NanoBEIREvaluator: Any = refused("NanoBEIREvaluator", f"its datasets are on the Hub; {DATASETS}")
