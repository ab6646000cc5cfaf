"""Search of a corpus larger than a machine's memory: its parts are on the nodes of a Ray cluster."""

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import numpy as np

from minembed.errors import InputError, MinembedError, SourceError
from minembed.jobs.on_ray import connected, ray_module, slots_of
from minembed.jobs.search_parts import Corpus, Found, Part, corpus_of, merged
from minembed.runtime.checks import check_whole
from minembed.runtime.places import as_place
from minembed.runtime.store import Place
from minembed.search.hits import Hit
from minembed.search.index_arguments import Queries, as_queries
from minembed.search.index_fields import fields_of
from minembed.search.index_model import check_model
from minembed.types import Array, Backend, IndexPrecision, TextModel

BEGIN_SECONDS = 60.0
LOSSES = 3  # times that a part whose process or node is lost is restarted, and its search repeated


class ShardedIndex:
    """An index, or the shards of a finished job, in parts on the nodes of a Ray cluster.

    `search` finds the same rows with the same scores as one index of all of them, in the same order, also for equal
    scores.  Close it, or use it in a `with` block, to release the nodes.

    >>> with ShardedIndex.open("vectors-index", model) as index:  # doctest: +SKIP
    ...     index.search("crust that is too hard", k=3)
    """

    def __init__(self, corpus: Corpus, model: TextModel | None, parts: int | None, threads: int) -> None:
        """For `open`."""
        self._corpus, self._model, self._threads = corpus, model, threads
        self._parts = list[Any]()
        self._connection = connected()
        ray = self._connection.__enter__()
        try:
            room = slots_of(ray, threads)
            if parts is not None and check_whole("parts", parts, 1) > room:
                raise InputError(
                    f"parts is {parts:,}: the cluster has room for {room:,}, with {threads:,} threads each"
                )
            kind = ray.remote(Part).options(
                num_cpus=threads, max_restarts=LOSSES, max_task_retries=LOSSES, scheduling_strategy="SPREAD"
            )  # fmt: skip
            self._parts = [kind.remote(corpus, span) for span in corpus.spans(parts or room)]
            self._from_all(lambda part: part.here.remote(), BEGIN_SECONDS)
            self._counts: list[int] = self._from_all(lambda part: part.count.remote())
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls,
        folder: str | Place,
        model: TextModel | None = None,
        *,
        parts: int | None = None,
        threads: int = 1,
        precision: IndexPrecision | None = None,
    ) -> "ShardedIndex":
        """Open a shared folder: an index, whose parts are memory-mapped, or a finished job, whose vectors are
        read into memory and which may be at a URL.

        A part is an actor with `threads` cores; by default there are as many `parts` as fit into the cluster.
        `precision` is that of the scan in parts of a job, as in `jobs.index`; by default "float32".  `model` encodes
        queries; it must be the model that made the vectors.  Raises InputError if there is no such folder or
        cluster, or the parts do not fit, MissingExtraError without Ray.
        """
        threads = check_whole("threads", threads, 1)
        corpus = corpus_of(as_place(folder).absolute(), precision)
        if model is not None and corpus.facts.model is not None:
            check_model(model, corpus.facts, str(folder))
        return cls(corpus, model, parts, threads)

    def search(
        self,
        queries: Queries,
        k: int = 10,
        *,
        as_arrays: bool = False,
        rescore_multiplier: int = 4,
        backend: Backend = "auto",
    ) -> tuple[Array, Array] | list[Hit] | list[list[Hit]]:
        """Find the k rows that are most similar to each query, as `Index.search`, in all parts together.

        Raises the same errors, and SourceError if a part was lost too often.
        """
        k, multiplier = check_whole("k", k, 0), check_whole("rescore_multiplier", rescore_multiplier, 1)
        vectors, alone = as_queries(queries, self._corpus.facts.dimension, self._encoded)
        kept = ray_module().put(np.ascontiguousarray(vectors))
        found: list[Found] = self._from_all(
            lambda part: part.search.remote(kept, k, multiplier, backend, self._threads, not as_arrays)
        )
        scores, positions, places = merged(found, self._counts, k, multiplier)
        if as_arrays:
            return scores, positions
        hits = [self._hits(found, i, scores[i], positions[i], places[i]) for i in range(len(scores))]
        return hits[0] if alone else hits

    def _hits(self, found: Sequence[Found], query: int, scores: Array, positions: Array, places: Array) -> list[Hit]:
        records = list[Any]()
        for one in found:
            width = one.scores.shape[1]
            records += one.records[query * width : (query + 1) * width]
        hits = list[Hit]()
        for score, position, place in zip(scores.tolist(), positions.tolist(), places.tolist(), strict=True):
            name, text, kept = records[place]
            hits.append(Hit(name, text, score, position, fields_of(kept)))
        return hits

    def _encoded(self, queries: Sequence[str]) -> Array:
        if self._model is None:
            raise InputError("there is no model to turn texts into vectors: ShardedIndex.open(folder, model)")
        width = self._corpus.facts.dimension
        return self._model.encode_query(queries, truncate_dim=width if width < self._model.dimension else None)

    def _from_all(self, ask: Callable[[Any], Any], seconds: float | None = None) -> Any:
        """The answers of all parts, in order; errors of minembed are raised unwrapped."""
        ray = ray_module()
        try:
            return ray.get([ask(part) for part in self._parts], timeout=seconds)
        except ray.exceptions.GetTimeoutError as error:
            raise InputError(
                f"the cluster gave no room for {len(self._parts):,} parts in {seconds:.0f} seconds: others use "
                "its cores; wait, or say fewer parts"
            ) from error
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, MinembedError):
                raise error.cause from None
            raise
        except ray.exceptions.RayActorError as error:
            raise SourceError(
                f"a part of {self._corpus.folder} was lost more than {LOSSES} times, or there is no node left with "
                "room for it: open it again, in more parts or on nodes with more memory"
            ) from error

    def __len__(self) -> int:
        return sum(self._counts)

    def close(self) -> None:
        """Release the nodes."""
        ray = ray_module()
        for part in self._parts:
            ray.kill(part)
        self._parts = []
        self._connection.__exit__(None, None, None)

    def __enter__(self) -> "ShardedIndex":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
