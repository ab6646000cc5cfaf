"""Cross-encoders: read a query and a document together, and score how well they match."""

import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args, overload

import numpy as np

from minembed.errors import InputError, InputTypeError, NumericalError, TruncationWarning, warn
from minembed.models.batching import plan, windows
from minembed.models.misuse import explained
from minembed.models.pairs import as_pair, as_pairs, is_one_pair
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import as_texts
from minembed.runtime.keywords import takes_options, takes_options_of
from minembed.runtime.progress import Progress
from minembed.runtime.threads import run, single_threaded_blas
from minembed.text.tokenizer import Tokenizer
from minembed.transformer.config import Config
from minembed.transformer.heads import SCORE_ACTIVATIONS, Block, through
from minembed.transformer.tier import Tier
from minembed.transformer.tokens import Tokens
from minembed.types import Array, Backend, DtypeChoice, Truncation

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minembed.weights.cross_encoder import CrossEncoder

ORGANISATION = "cross-encoder"  # of bare names, as in sentence-transformers


def _full_name(name: str | os.PathLike[str]) -> str | os.PathLike[str]:
    plain = isinstance(name, str) and name and not {"/", os.sep} & set(name)
    bare = plain and not os.path.exists(name)  # noqa: PTH110 (pathlib raises OSError for names that are too long)
    return f"{ORGANISATION}/{name}" if bare else name


def _check_size(name: str, size: object) -> None:
    if size is not None:
        check_whole(name, size, also=", or None")


class PredictOptions(TypedDict, total=False):
    """The options that `rank` takes as well; `predict` explains them."""

    activation: str | None
    batch_size: int | None
    show_progress_bar: bool | None
    truncation: Truncation


class Ranked(TypedDict):
    """A document in the result of `rank`."""

    corpus_id: int
    score: float


class RankedText(Ranked):
    """A document with its text."""

    text: str


@explained(call="predict", namesake="CrossEncoder")
@dataclass(frozen=True, slots=True, eq=False)  # equal only to itself, and hashable
class Reranker:
    """A loaded cross-encoder.  It does not change after `load`, so threads can share it."""

    model: "CrossEncoder"  # what the folder says
    tokenizer: Tokenizer
    compute: Tier
    head: tuple[Block, ...]  # (D,) -> (L,)
    threads: int
    backend: str
    dtype: str
    source: str  # where the checkpoint was found
    revision: str | None
    dtype_reason: str | None = None  # why that dtype, for dtype="auto"

    def __repr__(self) -> str:
        facts = f"{len(self.labels)} labels, {self.max_seq_length} tokens, {self.dtype}, {self.backend}"
        return f"Reranker({str(self.model.checkpoint.folder)!r}, {facts})"

    def __deepcopy__(self, memo: object) -> "Reranker":  # immutable: a copy would only take memory
        return self

    @classmethod
    @takes_options
    def load(
        cls,
        name: str | os.PathLike[str],
        *,
        dtype: DtypeChoice | None = None,
        backend: Backend = "auto",
        threads: int | None = None,
        max_seq_length: int | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        show_progress_bar: bool | None = None,
    ) -> "Reranker":
        """Load a cross-encoder: a folder, "org/name", or a bare name, which means "cross-encoder/name".

        The options are those of `Embedder.load`; `dtype` applies to the encoder, the head is computed in float32.
        Raises MissingHeadError for a checkpoint that cannot score pairs, and a MinembedError that names the file or the
        argument, and what to do.
        """
        from minembed.models import loading
        from minembed.weights.cross_encoder import read_cross_encoder
        from minembed.weights.heads import read_classifier

        threads = loading.check_request(dtype, backend, threads)  # raises before anything is read
        find = loading.finder(local_files_only, token, show_progress_bar)
        found = find(_full_name(name), revision=revision)
        model = read_cross_encoder(found.folder, find)
        head = read_classifier(model.checkpoint, len(model.labels))
        model = replace(model, checkpoint=loading.with_limit(model.checkpoint, max_seq_length))
        tokenizer = loading.load_tokenizer(model.checkpoint)
        tokenizer.pairs(["a"], ["b"])  # refuses a tokenizer that has no place for two texts
        ready = loading.prepare_encoder(model.checkpoint, backend, dtype, threads=threads)
        how = ready.compute, head, threads, ready.backend, ready.dtype
        return cls(model, tokenizer, *how, found.source, found.revision, ready.dtype_reason)

    @property
    def config(self) -> Config:
        """The architecture."""
        return self.model.checkpoint.config

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the L scores of a pair; models that rank have one."""
        return self.model.labels

    @property
    def max_seq_length(self) -> int:
        """The maximum length of a pair in tokens, special tokens included."""
        return self.model.checkpoint.max_seq_length

    @overload
    def predict(  # type: ignore[overload-overlap]  # one pair, a sequence of str, comes first
        self, pairs: Sequence[str], **options: "Unpack[PredictOptions]"
    ) -> np.float32 | Array: ...

    @overload
    def predict(self, pairs: Iterable[Sequence[str]], **options: "Unpack[PredictOptions]") -> Array: ...

    @takes_options
    def predict(
        self,
        pairs: Iterable[Sequence[str]] | Sequence[str],
        *,
        activation: str | None = None,
        batch_size: int | None = None,
        show_progress_bar: bool | None = None,
        truncation: Truncation = "warn",
    ) -> np.float32 | Array:
        """Score pairs of a query and a document: (N,) float32, (N, L) for L > 1 labels; one pair gives one row.

        A pair's score has the same bits in any batch.  `activation` is applied to the logits: None for the
        checkpoint's own (Sigmoid for one label unless it names another), or a name: "Identity" for the logits
        themselves, "Sigmoid", "Softmax", ...  `truncation` is "warn", "error" or "silent" for pairs beyond
        max_seq_length, which lose the end of the longer text first.

        Raises InputTypeError (which names the index) for anything but a pair of texts, InputError for other bad
        arguments, NumericalError if a score would be NaN or infinite.
        """
        activation = self._check(activation, batch_size, truncation)
        several = as_pairs(pairs)
        alone = is_one_pair(several)
        several = [several] if alone else several
        blocks = [np.zeros((0, len(self.labels)), np.float32)]
        cut: list[int] = []
        with Progress(several, "pair", show_progress_bar) as progress:
            for start, window in windows(several, ""):
                checked = [as_pair(pair, i) for i, pair in enumerate(window, start)]
                scores, indices = self._score(checked, batch_size, progress, start)
                cut += [start + i for i in indices]
                if cut and truncation == "error":
                    raise InputError(f"pairs[{cut[0]}] has more than {self.max_seq_length} tokens; shorten it")
                blocks.append(scores)
        if cut and truncation == "warn":
            which = ", ".join(map(str, cut[:5])) + (", ..." if len(cut) > 5 else "")
            message = f"{len(cut)} pair(s) longer than {self.max_seq_length} tokens were cut: {which}"
            warn(f"{message}; shorten the texts, or say truncation='silent'", TruncationWarning)
        scores = SCORE_ACTIVATIONS[activation](np.concatenate(blocks))  # (N, L)
        scores = scores[:, 0] if len(self.labels) == 1 else scores
        return scores[0] if alone else scores

    @overload
    def rank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top_k: int | None = ...,
        return_documents: Literal[False] = ...,
        **options: "Unpack[PredictOptions]",
    ) -> list[Ranked]: ...

    @overload
    def rank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top_k: int | None = ...,
        return_documents: Literal[True],
        **options: "Unpack[PredictOptions]",
    ) -> list[RankedText]: ...

    @takes_options_of(predict, PredictOptions)
    def rank(
        self,
        query: str,
        documents: Iterable[str],
        *,
        top_k: int | None = None,
        return_documents: bool = False,
        **options: "Unpack[PredictOptions]",
    ) -> list[Ranked] | list[RankedText]:
        """Order documents by how well they answer a query, best first; equal scores keep the given order.

        Returns {"corpus_id": index, "score": float} for each, with "text" if `return_documents`; only the best
        `top_k`, if given.  The other options are those of `predict`.  Raises InputError if the model has several
        labels: they are classes, which give no order.
        """
        if not isinstance(query, str):
            raise InputTypeError(f"query is {type(query).__name__}, not str; for several queries use predict")
        if len(self.labels) != 1:
            raise InputError(f"the model scores {len(self.labels)} labels, {', '.join(self.labels)}: use predict")
        _check_size("top_k", top_k)
        texts = as_texts(documents, "documents")
        scores = self.predict([(query, text) for text in texts], **options)
        order = np.argsort(-scores, kind="stable")[:top_k].tolist()
        if return_documents:
            return [RankedText(corpus_id=i, score=float(scores[i]), text=texts[i]) for i in order]
        return [Ranked(corpus_id=i, score=float(scores[i])) for i in order]

    def info(self) -> dict[str, Any]:
        """Say what was loaded, from where, and how it computes."""
        from minembed.weights.adapters import about_adapter

        checkpoint = self.model.checkpoint
        own = {"source": self.source, "revision": self.revision, "folder": str(checkpoint.folder)}
        what = {"family": checkpoint.family, "labels": self.labels, "activation": self.model.activation}
        tier = {"backend": self.backend, "dtype": self.dtype, "dtype_reason": self.dtype_reason}
        read = what | {"max_seq_length": self.max_seq_length, "adapter": about_adapter(checkpoint.adapter)}
        return own | read | tier | {"threads": self.threads}

    def _check(self, activation: str | None, batch_size: int | None, truncation: str) -> str:
        activation = self.model.activation if activation is None else activation
        if not isinstance(activation, str) or activation not in SCORE_ACTIVATIONS:
            raise InputError(f"activation must be one of {', '.join(SCORE_ACTIVATIONS)}; not {activation!r}")
        if activation == "Softmax" and len(self.labels) == 1:
            raise InputError("activation 'Softmax' of one label would be 1 for every pair; 'Sigmoid' may be meant")
        if truncation not in get_args(Truncation):
            raise InputError(f"truncation must be one of {', '.join(get_args(Truncation))}; not {truncation!r}")
        _check_size("batch_size", batch_size)
        return activation

    def _score(
        self, pairs: list[tuple[str, str]], batch_size: int | None, progress: Progress, start: int
    ) -> tuple[Array, list[int]]:  # -> (n, L), the indices of truncated pairs
        """Compute the logits of a window of pairs, in chunks of similar length, on the threads."""
        tokens = self.tokenizer.pairs([query for query, _ in pairs], [document for _, document in pairs])
        logits = np.empty((len(tokens), len(self.labels)), np.float32)
        chunks = plan(tokens.lengths(), self.threads, batch_size)
        work = partial(self._logits, together=len(chunks) == 1 and self.threads > 1)
        with single_threaded_blas(), closing(run(lambda c: work(tokens.select(c)), chunks, self.threads)) as results:
            for i, result in results:
                if bad := chunks[i][~np.isfinite(result).all(axis=1)].tolist():
                    raise NumericalError(f"pairs[{start + bad[0]}] gives NaN or infinity: the weights overflow float32")
                logits[chunks[i]] = result
                progress.advance(len(chunks[i]))
        return logits, [] if tokens.truncated is None else np.flatnonzero(tokens.truncated).tolist()

    def _logits(self, tokens: Tokens, together: bool) -> Array:  # (T,) -> (B, L)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # the result is checked instead
            rows = self.compute.pooled(tokens, self.model.checkpoint.pooling, together=together)  # (T,) -> (B, D)
            return through(rows, self.head)
