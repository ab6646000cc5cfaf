"""Text embeddings on CPUs: a transformer encoder in plain NumPy.

>>> from minembed import cosine_similarity
>>> cosine_similarity([[1.0, 0.0]], [[0.0, 2.0], [3.0, 0.0]]).tolist()
[[0.0, 1.0]]
"""

from typing import TYPE_CHECKING, Any

from minembed.embedder import Embedder
from minembed.errors import MinembedError, MinembedWarning
from minembed.pooling import quantize_embeddings, truncate_embeddings
from minembed.similarity import cosine_similarity
from minembed.topk import top_k
from minembed.version import __version__ as __version__

if TYPE_CHECKING:
    from minembed.chunking import Chunk, chunk_text
    from minembed.index import Index
    from minembed.reranker import Reranker
    from minembed.search import (
        community_detection,
        deduplicate,
        near_duplicates,
        paraphrase_mining,
        paraphrase_mining_embeddings,
        semantic_search,
    )

__all__ = [
    "Chunk",
    "Embedder",
    "Index",
    "MinembedError",
    "MinembedWarning",
    "Reranker",
    "chunk_text",
    "community_detection",
    "cosine_similarity",
    "deduplicate",
    "near_duplicates",
    "paraphrase_mining",
    "paraphrase_mining_embeddings",
    "quantize_embeddings",
    "semantic_search",
    "top_k",
    "truncate_embeddings",
]

_LATE = {
    "Chunk": "chunking",
    "Index": "index",
    "Reranker": "reranker",
    "chunk_text": "chunking",
    "community_detection": "search",
    "deduplicate": "search",
    "near_duplicates": "search",
    "paraphrase_mining": "search",
    "paraphrase_mining_embeddings": "search",
    "semantic_search": "search",
}


def __getattr__(name: str) -> Any:  # what not every program needs is imported when it is asked for (PEP 562)
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(f"minembed.{_LATE[name]}"), name)
    raise AttributeError(f"module 'minembed' has no attribute {name!r}")
