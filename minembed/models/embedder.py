"""The main class of the package: load a checkpoint, turn texts into vectors.

Methods import what they need when they are called, so `import minembed` costs little more than NumPy.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.models.misuse import explained
from minembed.models.options import EncodeOptions, Options
from minembed.runtime.keywords import takes_options, takes_options_of
from minembed.types import Array, Backend, DtypeChoice, Errors, OutputValue, Precision, Truncation

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from minembed.models.engine import Engine
    from minembed.models.remote import RemoteEmbedder
    from minembed.transformer.config import Config
    from minembed.transformer.operations import Observer
    from minembed.transformer.params import Params
    from minembed.transformer.tokens import Tokens
    from minembed.weights.checkpoint import Checkpoint

Texts = str | Iterable[str]


@explained(call="encode", namesake="SentenceTransformer")
@dataclass(frozen=True, slots=True, eq=False)  # one is equal to itself alone, and can be a key
class Embedder:
    """A loaded model.  Nothing in it changes after `load`: threads share it, and it survives fork and pickling."""

    engine: "Engine"
    backend: str
    dtype: str
    source: str  # where the checkpoint was found
    revision: str | None
    dtype_reason: str | None = None  # why that dtype, where "auto" was asked for

    @classmethod
    @takes_options
    def load(
        cls,
        name: str | os.PathLike[str] = "all-MiniLM-L6-v2",
        *,
        dtype: DtypeChoice | None = None,
        backend: Backend = "auto",
        threads: int | None = None,
        max_seq_length: int | None = None,
        prompts: Mapping[str, str] | None = None,
        truncate_dim: int | None = None,
        keep_params: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: str | bool | None = None,
        show_progress_bar: bool | None = None,
    ) -> "Embedder":
        """Load a checkpoint: a folder, "org/name", or a bare name of sentence-transformers.

        `dtype` is the number type of the computation: "float32", "bfloat16", "int8", None (float32, or int8 if the
        folder stores int8), or "auto": the fastest on this CPU whose vectors have a mean cosine of at least 0.9999 to
        float32's (`info` names it).  `backend` is "native" or "numba" for the kernels, compiled with the wheel or on
        this machine, "numpy", or "auto", the first of these that is available.  `threads=None` uses all cores that this
        process may use.  `max_seq_length` (tokens) replaces the checkpoint's limit, `truncate_dim` its width of the
        vectors, and `prompts` its prompts of the same names; `save` keeps all three.  `keep_params=True` keeps the
        weights of `params` in memory beside those of the kernels.  Names are looked up in local caches, then
        downloaded, unless `local_files_only`.  Raises a MinembedError that names the file or the argument, and what to
        do.
        """
        from minembed.models import loading
        from minembed.models.assembling import assembled
        from minembed.weights.directory import read_checkpoint

        threads = loading.check_request(dtype, backend, threads)  # raises before anything is read
        find = loading.finder(local_files_only, token, show_progress_bar)
        found = find(name, revision=revision)
        checkpoint = read_checkpoint(found.folder, find)
        checkpoint = loading.with_settings(checkpoint, max_seq_length, prompts, truncate_dim)
        return assembled(cls, checkpoint, found, backend, dtype, threads, keep_params)

    @staticmethod
    @takes_options
    def connect(
        url: str,
        *,
        model: str | None = None,
        api_key: str | None = None,
        timeout: float = 60.0,
        concurrency: int = 4,
        retries: int = 5,
    ) -> "RemoteEmbedder":
        """Connect to a model behind `minembed serve`: the same methods and the same bits, computed there.

        `model` is a name that the server lists (None: its first); `timeout` is in seconds, for each wait; `concurrency`
        is the number of requests that a call sends at once.  `retries` is how often a request is sent again if the
        server was overloaded (after the time that it asks for, at most 30 s) or the connection broke.  Raises
        ServerError if no such server answers or the key is wrong, SourceError for a model that it does not serve.

        >>> model = Embedder.connect("http://127.0.0.1:8080")  # doctest: +SKIP
        >>> model.encode(["one", "two"]).shape  # doctest: +SKIP
        (2, 384)
        """
        from minembed.models.remote import RemoteEmbedder
        from minembed.models.remote_http import Client

        client = Client.to(url, api_key=api_key, timeout=timeout, retries=retries)
        return RemoteEmbedder.of(client, model, concurrency)

    def __repr__(self) -> str:
        facts = f"{self.dimension} wide, {self.max_seq_length} tokens, {self.dtype}, {self.backend}"
        return f"Embedder({str(self.checkpoint.folder)!r}, {facts})"

    def __deepcopy__(self, memo: object) -> "Embedder":  # nothing in it changes: a copy would only take memory
        return self

    @property
    def checkpoint(self) -> "Checkpoint":
        """What the checkpoint's folder says."""
        return self.engine.checkpoint

    @property
    def config(self) -> "Config":
        """The architecture."""
        return self.checkpoint.config

    @property
    def params(self) -> "Params":
        """The weights as the NumPy tier computes with them in the model's dtype: `minembed.transformer.params`.

        Only one copy of the weights is kept in memory.  With backend="numpy" it is this one.  Kernels keep a packed
        copy, so every access reads the checkpoint's files again, unless the model was loaded with `keep_params=True`.
        A copy kept beside the kernels shares its word table with them, except in bfloat16: for all-MiniLM-L6-v2 it adds
        43 MB in float32 (to 90 MB), 89 MB in bfloat16 (to 46 MB; rounded numbers, held as float32), 11 MB in int8 (to
        24 MB).  Raises a MinembedError if the files cannot be read any more.
        """
        return self.engine.reference().params

    @property
    def dimension(self) -> int:
        """The width D of the vectors."""
        return self.engine.width(None)

    @property
    def max_seq_length(self) -> int:
        """How many tokens of a text are read, special ones included."""
        return self.checkpoint.max_seq_length

    @overload
    def encode(  # type: ignore[overload-overlap]  # a str is an iterable of str, and comes first
        self, texts: str, *, output_value: Literal["token_embeddings"], **options: "Unpack[EncodeOptions]"
    ) -> Array: ...

    @overload
    def encode(
        self, texts: Iterable[str], *, output_value: Literal["token_embeddings"], **options: "Unpack[EncodeOptions]"
    ) -> list[Array]: ...

    @overload
    def encode(
        self,
        texts: Texts,
        *,
        output_value: Literal["sentence_embedding"] = ...,
        device: Literal["cpu"] | None = ...,
        convert_to_numpy: Literal[True] = ...,
        **options: "Unpack[EncodeOptions]",
    ) -> Array: ...

    @takes_options
    def encode(
        self,
        texts: Texts,
        *,
        normalize_embeddings: bool | None = None,
        prompt_name: str | None = None,
        prompt: str | None = None,
        truncate_dim: int | None = None,
        precision: Precision = "float32",
        ranges: Array | None = None,
        calibration_embeddings: Array | None = None,
        output_value: OutputValue = "sentence_embedding",
        truncation: Truncation = "warn",
        errors: Errors = "replace",
        show_progress_bar: bool | None = None,
        batch_size: int | None = None,
        device: Literal["cpu"] | None = "cpu",
        convert_to_numpy: Literal[True] = True,
    ) -> Array | list[Array]:
        """Turn texts into vectors: a str into (D,), a column of N texts into (N, D) float32.

        A column is any iterable of str: a list, a generator, an array, a Series of pandas or polars, an array of
        pyarrow.

        A text's vector has the same bits in any batch.  `normalize_embeddings`: None follows the checkpoint's modules
        (and normalises again after `truncate_dim`), True always normalises, False only as the modules do.  `truncation`
        is "warn", "error" or "silent" for texts beyond max_seq_length; `errors` is "replace" or "strict" for lone
        surrogates; `batch_size` only limits how many texts are computed together.  `output_value="token_embeddings"`
        returns hidden states instead, (T, D) per text.

        Raises InputError and InputTypeError (which names the index of the text) for bad input, NumericalError if the
        result would contain NaN or infinity.
        """
        options = Options(
            normalize_embeddings=normalize_embeddings,
            prompt_name=prompt_name,
            prompt=prompt,
            truncate_dim=truncate_dim,
            precision=precision,
            ranges=ranges,
            calibration_embeddings=calibration_embeddings,
            output_value=output_value,
            truncation=truncation,
            errors=errors,
            show_progress_bar=show_progress_bar,
            batch_size=batch_size,
            device=device,
            convert_to_numpy=convert_to_numpy,
        )
        return self.engine.encode(texts, options)

    @takes_options_of(encode, EncodeOptions)
    def encode_query(self, texts: Texts, **options: "Unpack[EncodeOptions]") -> Array:
        """Encode search queries: as `encode`, with the prompt named "query" if the checkpoint has one."""
        return self.encode(texts, **self._with_prompt(options, ("query",)))

    @takes_options_of(encode, EncodeOptions)
    def encode_document(self, texts: Texts, **options: "Unpack[EncodeOptions]") -> Array:
        """Encode passages: as `encode`, with the first existing prompt of "document", "passage" and "corpus"."""
        return self.encode(texts, **self._with_prompt(options, ("document", "passage", "corpus")))

    @takes_options_of(encode, EncodeOptions)
    async def aencode(self, texts: Texts, **options: "Unpack[EncodeOptions]") -> Array:
        """Encode in a thread, so that the event loop is not blocked: as `encode`, to be awaited.

        If the task is cancelled or times out, the computation stops at the next chunk of texts.

        >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> vectors = await asyncio.wait_for(model.aencode(["one", "two"]), timeout=5)  # doctest: +SKIP
        """
        import asyncio
        from threading import Event

        stop = Event()
        try:
            return await asyncio.to_thread(_without_stop_iteration, self.engine.encode, texts, Options(**options), stop)
        finally:
            stop.set()

    @takes_options_of(encode, EncodeOptions)
    def stream(self, texts: Iterable[str], **options: "Unpack[EncodeOptions]") -> Iterator[Array]:
        """Encode any iterable in bounded memory: yields blocks (n, D) of a few thousand texts, in order.

        The options mean what they mean to `encode`; int8 needs `ranges` or `calibration_embeddings`, since the
        vectors of a stream are never all there.
        """
        return self.engine.stream(texts, Options(**options))

    def tokenize(self, texts: Texts, *, errors: Errors = "replace") -> "Tokens":
        """Turn texts into packed Tokens, truncated to max_seq_length; they say which texts were truncated."""
        return self.engine.tokenize(texts, errors)

    def forward(self, tokens: "Tokens", *, observe: "Observer | None" = None, observe_attention: bool = False) -> Array:
        """Compute the hidden states (T, D) of the last layer.

        `observe(name, array)` is called with these intermediate results, as they are computed:

        - "embeddings.word", "embeddings.position", "embeddings.token_type" (T, D), the rows that are added;
          "embeddings.sum" and "embeddings", before and after their norm;
        - of each layer i, "layer.i.qkv", "layer.i.context" (before the output projection), "layer.i.attention" (after
          it), "layer.i.attention.sum" (with the residual), "layer.i.intermediate" (before the activation),
          "layer.i.activated", "layer.i.feed_forward", "layer.i.feed_forward.sum", and last "layer.i" (T, D), its hidden
          states; what a norm gives is "layer.i.attention_norm", "layer.i.output_norm" (where norms come first),
          "layer.i.attention_post_norm", "layer.i.output_post_norm", and at the end "final_norm";
        - with `observe_attention`, of each layer i and text b, (heads, N, width) "layer.i.query.b" (divided by the root
          of the width), "layer.i.key.b", "layer.i.value.b", and (heads, N, N) "layer.i.scores.b" and
          "layer.i.probabilities.b": N^2 numbers a head of a text of N tokens.

        Results that a model does not have are not shown.  `minembed.study.trace` collects all of them, with their
        formulas.

        `observe` returns None, or an array of the same shape, which replaces the result: everything after is computed
        from it.  The arrays are read-only and used again: copy what you keep.  Names and numbers are the same, bit for
        bit, with every backend: the NumPy tier computes such a call, all texts at once, on one thread, with `params`.
        If the model's own tier is another, the logger "minembed" says so at INFO.

        Raises InputError for ids, types or lengths that the model does not have and for arrays that do not fit,
        NumericalError if the result would contain NaN or infinity.

        >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> def without_attention(name, x):
        ...     return np.zeros_like(x) if name == "layer.2.attention" else None
        >>> model.forward(model.tokenize("hello"), observe=without_attention).shape  # doctest: +SKIP
        (3, 384)
        """
        from minembed.runtime.progress import Progress

        config = self.config
        for name, values, bound in (
            ("ids", tokens.ids, config.vocab_size),
            ("types", tokens.types, max(1, config.type_vocab_size)),
            ("lengths", tokens.lengths(), config.max_tokens + 1),
        ):
            if len(values) and not (0 <= values.min() and values.max() < bound):
                raise InputError(
                    f"tokens.{name} must lie from 0 to {bound - 1}; found {values.min()} to {values.max()}"
                )
        if observe is not None and len(tokens):
            return self.engine.observed(tokens, observe, observe_attention)
        with Progress(tokens, "text", show=False) as progress:
            states = self.engine.hidden_states(tokens, None, progress)
        return np.concatenate([np.zeros((0, config.hidden_size), np.float32), *states])

    def token_embeddings(self, texts: Texts) -> list[Array]:
        """Compute the hidden states of each text, (T_i, D) each."""
        return self.encode([texts] if isinstance(texts, str) else texts, output_value="token_embeddings")

    @overload
    def fill_mask(self, text: str, top_k: int = 5) -> list[Any]: ...  # of words, or of lists where masks are several

    @overload
    def fill_mask(self, text: Iterable[str], top_k: int = 5) -> list[list[Any]]: ...

    def fill_mask(self, text: Texts, top_k: int = 5) -> list[Any]:
        """Predict the words for the mask in a text, if the checkpoint has its masked-LM head.

        A text with one mask gives a list of {"score", "token", "token_str", "sequence"}, the most probable first; with
        several masks, one such list per mask; an iterable of texts, a list of these.  The head is read from the files
        at every call and not kept: for many calls keep a `models.fill_mask.MaskFiller`.  Raises MissingHeadError if the
        checkpoint was saved without its head, InputError for a text without a mask.
        """
        from minembed.models.fill_mask import MaskFiller

        return MaskFiller.load(self.engine)(text, top_k)

    def similarity(self, a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
        """Compare all pairs, by the checkpoint's similarity_fn_name (cosine, if it names none)."""
        from minembed.search import similarity as sim

        return sim.SIMILARITY[self.checkpoint.similarity_fn_name](a, b)

    def similarity_pairwise(self, a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (N, D) -> (N,)
        """Compare row i of a with row i of b, by the checkpoint's similarity_fn_name."""
        from minembed.search import similarity as sim

        return sim.pairwise(a, b, self.checkpoint.similarity_fn_name)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the checkpoint to a new folder that sentence-transformers and minembed load, completely or not at all.

        The weights are those of the checkpoint's folder, in float32 (for any `dtype`), and the maximum length is this
        model's.  Raises InputError if the folder exists, or if the checkpoint is stored in int8, which cannot be
        converted back: copy its folder instead.
        """
        from minembed.weights.saving import save_checkpoint, stored_tensors

        save_checkpoint(self.checkpoint, stored_tensors(self.checkpoint), Path(folder))

    def info(self) -> dict[str, Any]:
        """Describe what was loaded, from where, and how it computes."""
        from minembed.weights.adapters import about_adapter

        own = {"source": self.source, "revision": self.revision, "dimension": self.dimension}
        tier = {"backend": self.backend, "dtype": self.dtype, "dtype_reason": self.dtype_reason}
        read = asdict(self.checkpoint) | {"modules": tuple(map(str, self.checkpoint.modules))}
        read["adapter"] = about_adapter(self.checkpoint.adapter)
        return (
            own | read | {key: str(read[key]) for key in ("folder", "root")} | tier | {"threads": self.engine.threads}
        )

    def _with_prompt(self, options: EncodeOptions, names: tuple[str, ...]) -> EncodeOptions:
        """The options with the prompt of a task, unless they name one: the first there is of `names`."""
        if options.get("prompt_name") is not None or options.get("prompt") is not None:
            return options
        return {**options, "prompt_name": next((n for n in names if n in self.checkpoint.prompts), names[0])}


def _without_stop_iteration(encode: Callable[..., Array], *arguments: Any) -> Array:
    """Call `encode`: a StopIteration, which cannot come out of a thread that is awaited, is another error."""
    try:
        return encode(*arguments)
    except StopIteration as error:
        raise InputError("texts cannot be iterated: it raised StopIteration where an iterator was asked for") from error
