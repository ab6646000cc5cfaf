"""The reference's trainer, under its first path: refused by name."""

from minembed.sentence_transformers.sentence_transformer import SentenceTransformerTrainer

__all__ = ["SentenceTransformerTrainer"]
