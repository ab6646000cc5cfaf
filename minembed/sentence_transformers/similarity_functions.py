"""`similarity_functions` of the reference, under its first path: util.similarity."""

from minembed.sentence_transformers.util.similarity import SimilarityFunction

__all__ = ["SimilarityFunction"]
