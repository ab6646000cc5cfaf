"""Exact top-k by minembed and its peers: how each prepares a corpus once, and how it answers queries."""

from collections.abc import Callable

import numpy as np

Answer = tuple[np.ndarray, np.ndarray]  # scores (Q, k), best first, and indices
Search = Callable[[np.ndarray, int], Answer]


def sorted_best(scores: np.ndarray, k: int) -> Answer:
    """The k best columns of each row, best first."""
    index = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    best = np.take_along_axis(scores, index, axis=1)
    order = np.argsort(-best, axis=1)
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(index, order, axis=1)


def minembed(corpus: np.ndarray, threads: int, backend: str = "numba", quantized: bool = False) -> Search:
    from minembed.search.quantized import quantize_corpus
    from minembed.search.topk import top_k

    small = quantize_corpus(corpus) if quantized else None
    return lambda queries, k: top_k(queries, corpus, k, backend=backend, threads=threads, quantized=small)


def numpy(corpus: np.ndarray, threads: int) -> Search:
    return lambda queries, k: sorted_best(queries @ corpus.T, k)


def faiss(corpus: np.ndarray, threads: int) -> Search:
    import faiss as library

    library.omp_set_num_threads(threads)
    index = library.IndexFlatIP(corpus.shape[1])
    index.add(corpus)
    return lambda queries, k: index.search(queries, k)


def usearch(corpus: np.ndarray, threads: int) -> Search:
    from usearch.index import MetricKind, search

    def answer(queries: np.ndarray, k: int) -> Answer:
        found = search(corpus, queries, k, MetricKind.IP, exact=True, threads=threads)
        return 1 - np.atleast_2d(found.distances), np.atleast_2d(found.keys)

    return answer


def numkong(corpus: np.ndarray, threads: int) -> Search:
    """Its products of a packed matrix, one thread: it deals nothing out to others by itself."""
    import numkong as library

    packed = library.dots_pack(corpus)
    return lambda queries, k: sorted_best(np.asarray(library.dots_packed(queries, packed), np.float32), k)


CONTESTANTS: dict[str, tuple[Callable[..., Search], dict, tuple[str, ...]]] = {
    "minembed": (minembed, {}, ("minembed", "numba")),
    "minembed-int8": (minembed, {"quantized": True}, ("minembed", "numba")),
    "minembed-numpy": (minembed, {"backend": "numpy"}, ("minembed", "numpy")),
    "faiss": (faiss, {}, ("faiss-cpu",)),
    "usearch": (usearch, {}, ("usearch",)),
    "numkong": (numkong, {}, ("numkong",)),
    "numpy": (numpy, {}, ("numpy",)),
}
ONE_BY_ONE = ("usearch", "numkong")  # their time grows with the queries
OWN = ("minembed", "minembed-int8", "minembed-numpy")
