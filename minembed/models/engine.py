"""From texts to vectors: tokenize, cut into chunks, encode, pool, normalise, and restore the order."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minembed.errors import (
    InputError,
    InputTypeError,
    MinembedError,
    NumericalError,
    TruncationWarning,
    of_text,
    warn,
)
from minembed.models.alone import encode_alone
from minembed.models.batching import SMALLEST_CHUNK, plan, windows
from minembed.models.options import Options, check_prompt_name
from minembed.models.precision import check_ranges, quantized
from minembed.models.static import StaticTokenizer
from minembed.runtime.columns import column
from minembed.runtime.progress import Progress
from minembed.runtime.threads import run, single_threaded_blas
from minembed.text.tokenizer import Tokenizer
from minembed.transformer.modules import Dense, ModuleParams, transform
from minembed.transformer.operations import Observer
from minembed.transformer.tier import NumPyTier, Tier, prepare
from minembed.transformer.tokens import Tokens
from minembed.transformer.vectors import l2_normalize, truncate_embeddings
from minembed.types import Array

if TYPE_CHECKING:
    from threading import Event

    from minembed.weights.checkpoint import Checkpoint

LOG = logging.getLogger("minembed")
Block = Array | list[Array]  # vectors (n, D), or hidden states (T_i, D) of n texts


def find_prompt(checkpoint: "Checkpoint", options: Options) -> str:
    """The text to put in front: `prompt`, else the prompt named `prompt_name`, else the checkpoint's default."""
    if options.prompt is not None:
        return options.prompt
    name = options.prompt_name if options.prompt_name is not None else checkpoint.default_prompt_name
    if name is None:
        return ""
    check_prompt_name(name, checkpoint.prompts)
    return checkpoint.prompts.get(name, "")


def report_truncation(cut: list[int], limit: int, options: Options) -> None:
    """Warn, once per call, about texts that were truncated."""
    if cut and options.truncation == "warn":
        which = ", ".join(map(str, cut[:5])) + (", ..." if len(cut) > 5 else "")
        message = (
            f"{len(cut)} text(s) longer than {limit} tokens were cut: texts[{which}]; "
            "split them, or say truncation='silent'"
        )
        warn(message, TruncationWarning)


@dataclass(frozen=True, slots=True)
class Engine:
    """A checkpoint, its tokenizer and the prepared encoder; immutable."""

    checkpoint: "Checkpoint"
    tokenizer: Tokenizer | StaticTokenizer
    compute: Tier
    threads: int
    modules: tuple[ModuleParams, ...] = ()  # the weights of checkpoint.modules

    def __repr__(self) -> str:  # without the weights, which are too long to show
        return f"Engine({str(self.checkpoint.folder)!r}, threads={self.threads})"

    def encode(self, texts: str | Iterable[str], options: Options, stop: "Event | None" = None) -> Any:
        """Compute all texts: (D,) for a str, (N, D) for an iterable, or lists of hidden states.

        Raises Stopped at the end of the current chunk once `stop` is set.
        """
        if type(texts) is str and stop is None:
            vector = encode_alone(self, texts, find_prompt(self.checkpoint, options), options)
            if vector is not None:
                return vector
        width, alone = self.width(options.truncate_dim), isinstance(texts, str)
        several: Iterable[str] = [texts] if isinstance(texts, str) else column(texts, "texts")
        check_ranges(options, alone=alone)
        blocks: list[Any] = []
        cut: list[int] = []
        with Progress(several, "text", options.show_progress_bar, stop=stop) as progress:
            for block, indices in self.blocks(several, options, progress):
                blocks.append(block)
                cut += indices
        report_truncation(cut, self.checkpoint.max_seq_length, options)
        if options.output_value == "token_embeddings":
            hidden = [states for block in blocks for states in block]
            return hidden[0] if alone else hidden
        vectors = np.concatenate([np.zeros((0, width), np.float32), *blocks])
        vectors = quantized(vectors, options)
        return vectors[0] if alone else vectors

    def stream(
        self, texts: Iterable[str], options: Options, tell_cut: Callable[[list[int]], None] | None = None
    ) -> Iterator[Array]:
        """Check the arguments, then compute window by window; `tell_cut` gets truncated texts instead of a warning."""
        self.width(options.truncate_dim)
        if isinstance(texts, str):
            raise InputTypeError("texts is one str: use encode, or give stream an iterable of str")
        several = column(texts, "texts")
        check_ranges(options, streamed=True)
        return self._stream(several, options, tell_cut or partial(self._warn_of_cut, options=options))

    def _warn_of_cut(self, cut: list[int], options: Options) -> None:
        report_truncation(cut, self.checkpoint.max_seq_length, options)

    def _stream(self, texts: Iterable[str], options: Options, tell_cut: Callable[[list[int]], None]) -> Iterator[Array]:
        with Progress(texts, "text", options.show_progress_bar) as progress:
            for block, cut in self.blocks(texts, options, progress):
                tell_cut(cut)
                yield quantized(np.asarray(block), options)

    def tokenize(self, texts: str | Iterable[str], errors: str) -> Tokens:
        """Turn one text, or a column of texts, into Tokens."""
        return self.tokenizer([texts] if isinstance(texts, str) else list(column(texts, "texts")), errors)

    def width(self, truncate_dim: int | None) -> int:
        """The width of the vectors, truncated to `truncate_dim` if given; raises InputError if that is wider."""
        if truncate_dim is not None and truncate_dim > self.checkpoint.dimension:
            raise InputError(
                f"truncate_dim {truncate_dim} is more than the model's {self.checkpoint.dimension} numbers"
            )
        return truncate_dim or self.checkpoint.truncate_dim or self.checkpoint.dimension

    def blocks(self, texts: Iterable[str], options: Options, progress: Progress) -> Iterator[tuple[Block, list[int]]]:
        """Yield a block for each window of texts, in order, and the indices of the texts that were truncated."""
        prompt = find_prompt(self.checkpoint, options)
        skipped = self.skipped(prompt)
        for start, window in windows(texts, prompt):
            tokens = self.tokenizer(window, options.errors, start)
            cut = [] if tokens.truncated is None else (start + np.flatnonzero(tokens.truncated)).tolist()
            if cut and options.truncation == "error":
                limit = self.checkpoint.max_seq_length
                about = f"has more than {limit} tokens; shorten it, or let truncation='warn' cut it"
                raise of_text(InputError, cut[0], about)
            if options.output_value == "token_embeddings":
                yield self.hidden_states(tokens, options.batch_size, progress, start), cut
            else:
                yield self._vectors(tokens, options, skipped, start, progress), cut

    def skipped(self, prompt: str) -> int:
        """Count the tokens of a prompt that are left out of the pooling."""
        return self.tokenizer.prompt_length(prompt) if prompt and not self.checkpoint.include_prompt else 0

    def hidden_states(self, tokens: Tokens, batch_size: int | None, progress: Progress, start: int = 0) -> list[Array]:
        """Compute the hidden states (T_i, D) of every text; `start` is the caller's index of the first."""
        states: list[Array] = [np.empty(0)] * len(tokens)

        def receive(chunk: Array, hidden: Array) -> None:
            bounds = np.cumsum(tokens.lengths()[chunk])[:-1]
            for text, rows in zip(chunk.tolist(), np.split(hidden, bounds), strict=True):
                if not np.isfinite(rows).all():
                    raise self._explain(tokens.select([text]), start + text)
                states[text] = rows.copy()  # a view would keep the whole chunk alive
            progress.advance(len(chunk))

        self._run(self.compute, receive, tokens, batch_size)
        return states

    def _vectors(self, tokens: Tokens, options: Options, skipped: int, start: int, progress: Progress) -> Array:
        vectors = np.empty((len(tokens), self.width(options.truncate_dim)), np.float32)

        def receive(chunk: Array, result: Array) -> None:
            bad = ~np.isfinite(result).all(axis=1)
            if bad.any():
                text = int(chunk[bad][0])
                raise self._explain(tokens.select([text]), start + text)
            vectors[chunk] = result
            progress.advance(len(chunk))

        together = self._is_single(tokens, options.batch_size)
        work = partial(self._embed, options=options, skipped=skipped, together=together)
        self._run(work, receive, tokens, options.batch_size)
        return vectors

    @property
    def shares(self) -> bool:
        """Whether another core may help with one chunk of texts."""
        return self.threads > 1 and self.compute.shares_work

    def _is_single(self, tokens: Tokens, batch_size: int | None) -> bool:
        """Whether this is one chunk, so that another core is idle and the tier may use it."""
        return (
            self.shares and len(tokens) <= SMALLEST_CHUNK and len(plan(tokens.lengths(), self.threads, batch_size)) == 1
        )

    def _embed(self, tokens: Tokens, options: Options, skipped: int, together: bool) -> Array:  # (T,) -> (B, width)
        return self.shaped(self.embed(tokens, skipped, together), options)

    def embed(self, tokens: Tokens, skipped: int = 0, together: bool = False) -> Array:  # (T,) -> (B, D) float32
        """Compute the vectors of one chunk on the calling thread: encode, pool, and apply the modules.

        `skipped` tokens at the beginning of every text, those of a prompt, are left out of the pooling; `together` lets
        an idle core help.  The caller limits BLAS to one thread and checks for NaN and infinity.
        """
        pooled = self.compute.pooled(tokens, self.checkpoint.pooling, skipped, together)
        return transform(pooled, self.checkpoint.modules, self.modules)

    def shaped(self, vectors: Array, options: Options) -> Array:  # (B, D) -> (B, width)
        """Truncate and normalise vectors of `embed`, as `truncate_dim` and `normalize_embeddings` say."""
        dim = options.truncate_dim or self.checkpoint.truncate_dim
        vectors = truncate_embeddings(vectors, dim)
        again = options.normalize_embeddings
        if again or (again is None and self.checkpoint.normalize and dim is not None):
            vectors = l2_normalize(vectors)
        return vectors

    def _run(
        self,
        work: Callable[[Tokens], Array],
        receive: Callable[[Array, Array], None],
        tokens: Tokens,
        batch_size: int | None,
    ) -> None:
        """Run the work chunk by chunk on the threads; `receive` gets the texts of each chunk and its result."""

        def quietly(chunk: Array) -> Array:
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # the result is checked instead
                return work(tokens.select(chunk))

        chunks = plan(tokens.lengths(), self.threads, batch_size)
        with self._guard(), closing(run(quietly, chunks, self.threads)) as results:
            for i, result in results:
                receive(chunks[i], result)

    def _guard(self) -> AbstractContextManager[None]:
        """Limit BLAS to one thread, if it is used."""
        dense = any(isinstance(module, Dense) for module in self.checkpoint.modules)
        return single_threaded_blas() if dense or self.compute.needs_blas else nullcontext()

    def reference(self) -> NumPyTier:
        """The NumPy tier in the model's compute type: the model's own, one that was kept, or a new one.

        A new one reads the weights from the checkpoint's files again, and raises a MinembedError if it cannot.
        """
        if self.compute.reference is not None:
            return self.compute.reference
        from minembed.weights.families import read_params

        LOG.info("reading the weights of %s again: keep_params=True keeps them", self.checkpoint.folder)
        return prepare(read_params(self.checkpoint), self.checkpoint.config, self.compute.dtype)

    def observed(self, tokens: Tokens, observe: Observer, attention: bool = False) -> Array:  # (T,) -> (T, D)
        """Compute hidden states with an observer: always by the NumPy tier, whatever the model's own tier is."""
        reference = self.reference()
        if reference is not self.compute:
            LOG.info("forward with observe= is computed by the NumPy tier in %s", reference.dtype)
        with np.errstate(over="ignore", invalid="ignore", under="ignore"), single_threaded_blas():
            hidden = reference(tokens, observe=observe, observe_attention=attention)
        bad = ~np.isfinite(hidden).all(axis=1)
        if bad.any():
            text = int(np.searchsorted(tokens.cu_seqlens, bad.argmax(), side="right")) - 1
            raise NumericalError(
                f"texts[{text}] gives NaN or infinity: the weights overflow float32, or observe returned such numbers"
            )
        return hidden

    def _explain(self, tokens: Tokens, index: int) -> NumericalError:
        """Find the first layer in which a text's hidden states become NaN or infinite, with the NumPy tier."""
        first: list[str] = []

        def observe(name: str, states: Array) -> None:
            if not first and not np.isfinite(states).all():
                first.append(name.split(".")[0] if name.startswith("embeddings") else ".".join(name.split(".")[:2]))

        try:
            reference = self.reference()
        except MinembedError:  # the files may be gone
            return of_text(NumericalError, index, "gives NaN or infinity: the weights overflow float32")
        with np.errstate(all="ignore"), single_threaded_blas():
            reference(tokens, observe=observe)
        where = first[0] if first else "pooling"
        about = f"gives NaN or infinity, first in {where}: the weights overflow float32"
        return of_text(NumericalError, index, about)
