"""`base` of the reference: what its kinds of models, and its evaluators, have in common."""

from minembed.sentence_transformers.base.evaluation import BaseEvaluator, SentenceEvaluator, SequentialEvaluator
from minembed.sentence_transformers.base.model import BaseModel

__all__ = ["BaseEvaluator", "BaseModel", "SentenceEvaluator", "SequentialEvaluator"]
