"""The reference's trainer, under its old path: refused by name."""

from minembed.sentence_transformers.sentence_transformer import SentenceTransformerTrainer

__all__ = ["SentenceTransformerTrainer"]
