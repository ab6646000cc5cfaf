"""Quantized vectors, and search over them, under the reference's names.

Where the reference uses the exact indexes of faiss or usearch, minembed searches: the scores are the same, and equal
scores are ordered by row.  Approximate indexes (`exact=False`) and indexes of those libraries are refused.
"""

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.errors import InputError, UnsupportedCallError
from minembed.runtime.checks import check_whole
from minembed.search.topk import top_k as exact_top_k
from minembed.sentence_transformers.tensors import as_array
from minembed.sentence_transformers.util.retrieval import Hit, best_by
from minembed.transformer.vectors import quantize_embeddings as quantize
from minembed.types import Array

LOG = logging.getLogger("minembed")
CHUNK = 65536  # rows whose bits are unpacked at a time
KINDS: dict[str, type[np.generic]] = {  # the stored type of each precision
    "float32": np.floating,
    "int8": np.int8,
    "uint8": np.uint8,
    "binary": np.int8,
    "ubinary": np.uint8,
}
Answer = tuple[list[list[Hit]], float] | tuple[list[list[Hit]], float, "ExactIndex"]


@dataclass(frozen=True, slots=True)
class ExactIndex:
    """The corpus that `output_index=True` returns and `corpus_index=` takes: the vectors themselves.

    >>> len(ExactIndex(np.zeros((3, 2), np.float32), "float32"))
    3
    """

    embeddings: Array
    precision: str

    def __len__(self) -> int:
        return len(self.embeddings)


def quantize_embeddings(
    embeddings: Any, precision: str, ranges: Array | None = None, calibration_embeddings: Any = None
) -> Any:  # (N, D) -> (N, D) or, for the binary kinds, (N, D / 8)
    """Quantize vectors to "int8", "uint8", "binary" or "ubinary"; a list of matrices gives a list.

    The ranges of int8 and uint8 are `ranges` (2, D), or else those of `calibration_embeddings`, or else those of the
    vectors.  Raises InputError (a ValueError) for one vector without ranges, and for quantized vectors.

    >>> quantize_embeddings(np.float32([[1, -1, 1, -1, -1, -1, -1, 1]]), "ubinary").tolist()
    [[161]]
    """
    if isinstance(embeddings, list) and not embeddings:
        return []
    calibration = None if calibration_embeddings is None else as_array(calibration_embeddings, "calibration_embeddings")
    if isinstance(embeddings, list) and np.ndim(embeddings[0]) == 2:
        matrices = [as_array(matrix) for matrix in embeddings]
        if precision in ("int8", "uint8") and ranges is None:
            ranges = _ranges(np.concatenate(matrices), precision, calibration)
        return [quantize_embeddings(matrix, precision, ranges) for matrix in matrices]
    array = as_array(embeddings)
    if array.ndim == 2 and not len(array) and precision in ("int8", "uint8"):
        return array.astype(precision)
    return quantize(array, precision, ranges, calibration)  # type: ignore[arg-type]  # it checks the name


def _ranges(embeddings: Array, precision: str, calibration: Array | None) -> Array:  # (N, D) -> (2, D)
    base = embeddings if calibration is None else calibration
    if calibration is None and (base.ndim == 1 or len(base) == 1):
        raise InputError(f"one vector gives {precision} no ranges: give ranges= or calibration_embeddings=")
    return np.stack([base.min(axis=0), base.max(axis=0)])


def _restored(levels: Array, precision: str, ranges: Array) -> Array:  # (..., D) -> (..., D) float64
    """Dequantize: each level becomes the lower end of its step, as in the reference."""
    low, high = np.asarray(ranges, np.float32)
    steps = (high - low) / 255
    steps = np.where(steps == 0, 1, steps)
    return np.asarray((levels.astype(np.float64) + (128 if precision == "int8" else 0)) * steps + low)


def _signs(packed: Array) -> Array:  # (n, D / 8) -> (n, D): 1 and -1
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def _nearest(queries: Array, index: ExactIndex, k: int, metric: str) -> tuple[Array, Array]:  # -> (Q, k) twice
    """Search; `metric` is "dot", "cosine" or "hamming"; the last two return distances."""
    if metric == "hamming":

        def closeness(own: Any, rows: Any) -> Any:  # minus the number of bits that differ
            width = 8 * own.shape[1]
            return (_signs(as_array(own)) @ _signs(as_array(rows)).T - width) / 2

        scores, rows = best_by(closeness, queries, index.embeddings, k, CHUNK)
        return -scores, rows
    own, rows = (x.astype(np.float32) for x in (queries, index.embeddings))
    if metric == "cosine":
        scores, found = exact_top_k(own, rows, k, "cosine")
        return 1 - scores, found
    return exact_top_k(own, rows, k, "dot")


@dataclass(frozen=True, slots=True)
class _Search:
    """The arguments of `semantic_search_faiss` and `semantic_search_usearch`."""

    library: str
    top_k: int
    ranges: Array | None
    calibration: Any
    rescore: bool
    multiplier: int
    output_index: bool

    def __call__(self, queries: Any, index: ExactIndex, precision: str, metric: str) -> Answer:
        queries, rescoring = as_array(queries, "query_embeddings"), None
        k = check_whole("top_k", self.top_k, 0)
        ranges = self.ranges
        if queries.dtype not in (np.uint8, np.int8):
            if self.rescore and precision != "float32":
                rescoring, k = queries, k * check_whole("rescore_multiplier", self.multiplier)
                if ranges is None and precision in ("int8", "uint8"):
                    ranges = _ranges(queries, precision, self.calibration)
            queries = quantize_embeddings(queries, precision, ranges, self.calibration)
        if self.rescore and rescoring is None:
            LOG.info("rescore=True changes nothing: it needs float32 queries and a quantized corpus")
        _check_kind("query_embeddings", queries, precision)
        width = index.embeddings.shape[1]
        if queries.shape[-1] != width:
            raise InputError(f"query_embeddings and the corpus must be of one width; got {queries.shape[-1]}, {width}")
        start = time.time()
        if precision == "binary":
            queries = queries.view(np.uint8) ^ 0x80
        scores, rows = _nearest(np.atleast_2d(queries), index, k, metric)
        if rescoring is not None:
            scores, rows = self._rescored(np.atleast_2d(rescoring), index, rows, precision, ranges)
        seconds = time.time() - start
        if metric == "dot" and self.library == "usearch" and rescoring is None:
            scores = 1 - scores
        hits: list[list[Hit]] = [
            [{"corpus_id": row, "score": score} for score, row in zip(*best, strict=True)]
            for best in zip(scores.tolist(), rows.tolist(), strict=True)
        ]
        return (hits, seconds, index) if self.output_index else (hits, seconds)

    def _rescored(
        self, queries: Array, index: ExactIndex, rows: Array, precision: str, ranges: Array | None
    ) -> tuple[Array, Array]:  # (Q, D), (Q, k) -> (Q, top_k) twice
        found = index.embeddings[rows]  # (Q, k, bytes)
        if ranges is not None and precision in ("int8", "uint8"):
            values = _restored(found, precision, ranges)
        else:
            values = np.unpackbits(found, axis=-1)[..., : queries.shape[-1]].astype(np.float64)
        scores = np.einsum("ij,ikj->ik", queries, values)
        order = np.argsort(-scores, axis=1, kind="stable")[:, : self.top_k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(rows, order, 1)


def _index(
    library: str, embeddings: Any, index: Any, precision: str, known: tuple[str, ...], exact: bool
) -> ExactIndex:
    if (embeddings is None) == (index is None):
        raise InputError("give one of corpus_embeddings= and corpus_index=")
    if precision not in known:
        raise InputError(f"corpus_precision must be one of {', '.join(known)} for {library}; not {precision!r}")
    if not exact:
        raise UnsupportedCallError(
            f"exact=False needs an approximate index of {library}, which minembed does not have: omit it"
        )
    if index is None:
        rows = as_array(embeddings, "corpus_embeddings")
        _check_kind("corpus_embeddings", rows, precision)
        return ExactIndex(rows.view(np.uint8) ^ 0x80 if precision == "binary" else rows, precision)
    if not isinstance(index, ExactIndex):
        raise UnsupportedCallError(
            f"corpus_index= is {type(index).__name__}: what output_index=True returned here is taken, or give "
            "corpus_embeddings=; for a corpus that is kept on disk there is minembed.Index"
        )
    if index.precision != precision:
        raise InputError(f"corpus_index is of precision {index.precision!r}, and corpus_precision is {precision!r}")
    return index


def _check_kind(name: str, vectors: Array, precision: str) -> None:
    """Raise InputError for vectors whose numbers are not those of a precision."""
    if vectors.ndim not in (1, 2) or not np.issubdtype(vectors.dtype, KINDS[precision]):
        found = f"{vectors.dtype} of shape {vectors.shape}"
        remedy = "the vectors of encode" if precision == "float32" else f"quantize_embeddings(..., {precision!r})"
        raise InputError(f"{name} is {found}, and corpus_precision is {precision!r}: give {remedy}")


def semantic_search_faiss(
    query_embeddings: Any,
    corpus_embeddings: Any = None,
    corpus_index: Any = None,
    corpus_precision: str = "float32",
    top_k: int = 10,
    ranges: Array | None = None,
    calibration_embeddings: Any = None,
    rescore: bool = True,
    rescore_multiplier: int = 2,
    exact: bool = True,
    output_index: bool = False,
) -> Any:
    """Search as the reference does with faiss: hits of each query, the seconds it took and, if requested, the index.

    The corpus is "float32", "uint8" or "ubinary"; scores are dot products or, for bits, numbers of bits that differ.
    With float32 queries and a quantized corpus, `rescore_multiplier` times `top_k` rows are found and scored again.

    >>> hits, seconds = semantic_search_faiss(np.float32([[1, 0]]), np.float32([[0, 1], [2, 0]]), top_k=1)
    >>> hits
    [[{'corpus_id': 1, 'score': 2.0}]]
    """
    known = ("float32", "uint8", "ubinary")
    index = _index("faiss", corpus_embeddings, corpus_index, corpus_precision, known, exact)
    how = (top_k, ranges, calibration_embeddings, rescore, rescore_multiplier, output_index)
    metric = "hamming" if corpus_precision == "ubinary" else "dot"
    return _Search("faiss", *how)(query_embeddings, index, corpus_precision, metric)


def semantic_search_usearch(
    query_embeddings: Any,
    corpus_embeddings: Any = None,
    corpus_index: Any = None,
    corpus_precision: str = "float32",
    top_k: int = 10,
    ranges: Array | None = None,
    calibration_embeddings: Any = None,
    rescore: bool = True,
    rescore_multiplier: int = 2,
    exact: bool = True,
    output_index: bool = False,
) -> Any:
    """Search as the reference does with usearch: hits of each query, the seconds it took and, if requested, the index.

    The corpus is "float32", "int8", "ubinary" or "binary"; scores are distances (1 - cosine, 1 - dot product, or
    numbers of bits that differ) unless they are scored again.

    >>> hits, seconds = semantic_search_usearch(np.float32([[1, 0]]), np.float32([[0, 1], [2, 0]]), top_k=1)
    >>> hits
    [[{'corpus_id': 1, 'score': 0.0}]]
    """
    known = ("float32", "int8", "ubinary", "binary")
    index = _index("usearch", corpus_embeddings, corpus_index, corpus_precision, known, exact)
    how = (top_k, ranges, calibration_embeddings, rescore, rescore_multiplier, output_index)
    metric = {"float32": "cosine", "int8": "dot"}.get(corpus_precision, "hamming")
    return _Search("usearch", *how)(query_embeddings, index, corpus_precision, metric)
