"""Text embeddings on CPUs: a transformer encoder in plain NumPy.

>>> from minembed import cosine_similarity
>>> cosine_similarity([[1.0, 0.0]], [[0.0, 2.0], [3.0, 0.0]]).tolist()
[[0.0, 1.0]]
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from minembed.errors import MinembedError, MinembedWarning
from minembed.models.embedder import Embedder
from minembed.version import __version__ as __version__

if TYPE_CHECKING:
    from minembed.models.reranker import Reranker
    from minembed.search.communities import community_detection, deduplicate, near_duplicates
    from minembed.search.index import Index
    from minembed.search.mining import paraphrase_mining, paraphrase_mining_embeddings, semantic_search
    from minembed.search.similarity import cosine_similarity
    from minembed.search.topk import top_k
    from minembed.text.chunking import Chunk, chunk_text
    from minembed.transformer.vectors import quantize_embeddings, truncate_embeddings

_HERE = Path(__file__).parent
if not (_HERE / "weights").is_dir() and (_HERE.parent / "pyproject.toml").is_file():
    __path__.append(str(_HERE.parent))  # in a checkout that hides an installed package: kernels/, weights/

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

_LATE = {  # where the names are that not every program needs
    "Chunk": "text.chunking",
    "Index": "search.index",
    "Reranker": "models.reranker",
    "chunk_text": "text.chunking",
    "community_detection": "search.communities",
    "cosine_similarity": "search.similarity",
    "deduplicate": "search.communities",
    "near_duplicates": "search.communities",
    "paraphrase_mining": "search.mining",
    "paraphrase_mining_embeddings": "search.mining",
    "quantize_embeddings": "transformer.vectors",
    "semantic_search": "search.mining",
    "top_k": "search.topk",
    "truncate_embeddings": "transformer.vectors",
}


def __getattr__(name: str) -> Any:  # imported when it is asked for (PEP 562)
    if name in _LATE:
        from importlib import import_module

        return getattr(import_module(f"minembed.{_LATE[name]}"), name)
    raise AttributeError(f"module 'minembed' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
