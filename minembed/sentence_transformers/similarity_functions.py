"""`similarity_functions` of the reference, the old path of util.similarity."""

from minembed.sentence_transformers.util.similarity import SimilarityFunction

__all__ = ["SimilarityFunction"]
