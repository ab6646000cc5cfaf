"""The settings of the reference's trainer, under their old path: refused by name."""

from typing import Any

from minembed.sentence_transformers.refusals import TRAINING, refused
from minembed.sentence_transformers.sentence_transformer import SentenceTransformerTrainingArguments

__all__ = ["BatchSamplers", "MultiDatasetBatchSamplers", "SentenceTransformerTrainingArguments"]

BatchSamplers: Any = refused("BatchSamplers", TRAINING)
MultiDatasetBatchSamplers: Any = refused("MultiDatasetBatchSamplers", TRAINING)
