"""`quantization` of the reference, the old path of util.quantization."""

from minembed.sentence_transformers.util.quantization import (
    ExactIndex,
    quantize_embeddings,
    semantic_search_faiss,
    semantic_search_usearch,
)

__all__ = ["ExactIndex", "quantize_embeddings", "semantic_search_faiss", "semantic_search_usearch"]
