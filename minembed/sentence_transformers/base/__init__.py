"""`base` of the reference: the common parts of its kinds of models, and of its evaluators."""

from minembed.sentence_transformers.base.evaluation import BaseEvaluator, SentenceEvaluator, SequentialEvaluator
from minembed.sentence_transformers.base.model import BaseModel

__all__ = ["BaseEvaluator", "BaseModel", "SentenceEvaluator", "SequentialEvaluator"]
