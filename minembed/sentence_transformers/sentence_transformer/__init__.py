"""`sentence_transformer` of the reference: models that return vectors; unsupported names are refused."""

from typing import Any

from minembed.sentence_transformers.refusals import TRAINING, refused
from minembed.sentence_transformers.sentence_transformer.model import SentenceTransformer

__all__ = [
    "SentenceTransformer",
    "SentenceTransformerDataCollator",
    "SentenceTransformerModelCardData",
    "SentenceTransformerTrainer",
    "SentenceTransformerTrainingArguments",
]

SentenceTransformerDataCollator: Any = refused("SentenceTransformerDataCollator", TRAINING)
SentenceTransformerModelCardData: Any = refused("SentenceTransformerModelCardData", "edit the saved README.md")
SentenceTransformerTrainer: Any = refused("SentenceTransformerTrainer", TRAINING)
SentenceTransformerTrainingArguments: Any = refused("SentenceTransformerTrainingArguments", TRAINING)
