"""A model behind a URL, with the methods of a loaded model; made by `Embedder.connect`."""

import binascii
from base64 import b64decode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import (
    InputAttributeError,
    InputError,
    InputTypeError,
    NumericalError,
    ServerError,
    SourceError,
    TruncationWarning,
    warn,
)
from minembed.models.options import AllOptions, EncodeOptions, Options, check_prompt_name
from minembed.models.precision import check_ranges, quantized
from minembed.models.remote_calls import Call
from minembed.models.remote_facts import Facts, full_name, listed_models
from minembed.models.remote_http import Client, encoded
from minembed.models.remote_pieces import TEXTS, Piece, in_order, pieces, placed
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import column
from minembed.runtime.keywords import takes_options_of
from minembed.runtime.progress import Progress
from minembed.text.tokenizer import clean
from minembed.types import Array

if TYPE_CHECKING:
    from typing_extensions import Unpack

Texts = str | Iterable[str]


@dataclass(frozen=True, slots=True, eq=False)
class RemoteEmbedder:
    """A model on a server.  Threads can share it; it works after a fork and can be pickled (with its key)."""

    client: Client
    model: str
    facts: Facts
    concurrency: int

    @staticmethod
    def of(client: Client, model: str | None, concurrency: int) -> "RemoteEmbedder":
        """Ask which models are served, and take the one of that name, or the first."""
        check_whole("concurrency", concurrency)
        listed = listed_models(client.ask("GET", "/v1/models").value, client.address.url)
        if not listed:
            raise SourceError(f"{client.address.url} serves no embedding model")
        name = next(iter(listed)) if model is None else full_name(model, listed, client.address.url)
        return RemoteEmbedder(client, name, listed[name], concurrency)

    def __repr__(self) -> str:
        return f"RemoteEmbedder({self.model!r} at {self.client.address.url}, {self.dimension} wide)"

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("_"):  # Python and NumPy ask for many such names
            raise AttributeError(f"'RemoteEmbedder' object has no attribute {name!r}")
        raise InputAttributeError(f"a model behind a server has no {name!r}: Embedder.load(...) gives one in memory")

    def __enter__(self) -> "RemoteEmbedder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections; the next call opens new ones."""
        self.client.connections.close()

    @property
    def dimension(self) -> int:
        """The width D of the vectors."""
        return self.facts.dimension

    @property
    def max_seq_length(self) -> int:
        """The maximum length of a text in tokens, special tokens included."""
        return self.facts.max_seq_length

    @takes_options_of(Options, AllOptions)
    def encode(self, texts: Texts, **options: "Unpack[AllOptions]") -> Array:
        """Turn texts into vectors, as `Embedder.encode` does, with the same bits: (D,) for a str, (N, D) for a column.

        The options are the same, except that `batch_size` is the number of texts per request, or fewer if the server
        allows fewer.  Servers do not support output_value="token_embeddings" and empty texts: both are refused.  Raises
        InputError, which names the index of the texts, for bad input, ServerError if the server fails.
        """
        return self._encode(texts, Options(**options))

    @takes_options_of(Options, EncodeOptions)
    def encode_query(self, texts: Texts, **options: "Unpack[EncodeOptions]") -> Array:
        """Encode search queries: as `encode`, with the prompt named "query" if the checkpoint has one."""
        return self.encode(texts, **self._with_prompt(options, ("query",)))

    @takes_options_of(Options, EncodeOptions)
    def encode_document(self, texts: Texts, **options: "Unpack[EncodeOptions]") -> Array:
        """Encode passages: as `encode`, with the first existing prompt of "document", "passage" and "corpus"."""
        return self.encode(texts, **self._with_prompt(options, ("document", "passage", "corpus")))

    @takes_options_of(Options, EncodeOptions)
    async def aencode(self, texts: Texts, **options: "Unpack[EncodeOptions]") -> Array:
        """As `encode`, to be awaited; a task that is cancelled sends no more requests."""
        import asyncio

        call = Call()
        try:
            return await asyncio.to_thread(self._encode, texts, Options(**options), call)
        finally:
            call.stop()

    @takes_options_of(Options, EncodeOptions)
    def stream(self, texts: Iterable[str], **options: "Unpack[EncodeOptions]") -> Iterator[Array]:
        """Encode any iterable in bounded memory: yields blocks (n, D), one per request, in order.

        At most twice `concurrency` requests are running, or finished and not yet taken.  The options are those of
        `encode`; int8 needs `ranges` or `calibration_embeddings`, since a stream never has all its vectors in memory.
        """
        asked = self._checked(Options(**options))
        if isinstance(texts, str):
            raise InputTypeError("texts is one str: use encode, or give stream an iterable of str")
        check_ranges(asked, streamed=True)
        return self._stream(column(texts, "texts"), asked)

    def similarity(self, a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (M, D) -> (N, M)
        """Compare all pairs, on this machine, by the checkpoint's similarity_fn_name."""
        from minembed.search import similarity as sim

        return sim.SIMILARITY[self.facts.similarity_fn_name](a, b)

    def similarity_pairwise(self, a: ArrayLike, b: ArrayLike) -> Array:  # (N, D), (N, D) -> (N,)
        """Compare row i of a with row i of b, on this machine, by the checkpoint's similarity_fn_name."""
        from minembed.search import similarity as sim

        return sim.pairwise(a, b, self.facts.similarity_fn_name)

    def info(self) -> dict[str, Any]:
        """The server's description of the model, with its name and the URL."""
        return {"source": self.client.address.url, "model": self.model, **self.facts.others}

    def _with_prompt(self, options: EncodeOptions, names: tuple[str, ...]) -> EncodeOptions:
        if options.get("prompt_name") is not None or options.get("prompt") is not None:
            return options
        return {**options, "prompt_name": next((n for n in names if n in self.facts.prompts), names[0])}

    def _checked(self, options: Options) -> Options:
        """Refuse options that the server does not support, and a prompt that it does not have."""
        if options.output_value != "sentence_embedding":
            raise InputError(
                f"output_value={options.output_value!r}: a server gives vectors of texts; Embedder.load gives more"
            )
        dim = options.truncate_dim
        if dim is not None and dim > self.dimension:
            raise InputError(f"truncate_dim {dim} is more than the model's {self.dimension} numbers")
        if options.prompt_name is not None and options.prompt is None:
            check_prompt_name(options.prompt_name, self.facts.prompts)
        return options

    def _encode(self, texts: Texts, options: Options, call: Call | None = None) -> Array:
        self._checked(options)
        alone = isinstance(texts, str)
        several: Iterable[str] = [texts] if isinstance(texts, str) else column(texts, "texts")
        check_ranges(options, alone=alone)
        blocks, cut = [np.zeros((0, options.truncate_dim or self.dimension), np.float32)], 0
        stop = None if call is None else call.stopped
        with Progress(several, "text", options.show_progress_bar, stop=stop) as progress:
            for rows, truncated in self._blocks(several, options, call):
                blocks.append(rows)
                cut += truncated
                progress.advance(len(rows))
        self._tell_cut(cut, options)
        vectors = quantized(np.concatenate(blocks), options)
        return vectors[0] if alone else vectors

    def _stream(self, texts: Iterable[str], options: Options) -> Iterator[Array]:
        with Progress(texts, "text", options.show_progress_bar) as progress:
            for rows, truncated in self._blocks(texts, options):
                self._tell_cut(truncated, options)
                progress.advance(len(rows))
                yield quantized(rows, options)

    def _blocks(self, texts: Iterable[str], options: Options, call: Call | None = None) -> Iterator[tuple[Array, int]]:
        """The vectors of each request, in order, and how many of its texts were truncated."""
        told = {
            "model": self.model,
            "encoding_format": "base64",
            "dimensions": options.truncate_dim,
            "prompt_name": options.prompt_name if options.prompt is None else None,  # a prompt makes it of no effect
            "prompt": None if options.prompt is None else clean(options.prompt, 0, options.errors, "prompt"),
            "normalize": options.normalize_embeddings,
            "truncate": options.truncation != "error",
        }
        told = {name: value for name, value in told.items() if value is not None}
        width = options.truncate_dim or self.dimension
        most, limit = min(options.batch_size or TEXTS, self.facts.max_items), self.facts.max_body
        some = pieces(
            texts, options.errors, most, None if limit is None else limit - len(encoded({"input": [], **told}))
        )
        return in_order(lambda piece, own: self._ask(piece, told, width, own), some, self.concurrency, call)

    def _ask(self, piece: Piece, told: dict[str, Any], width: int, call: Call) -> tuple[Array, int]:
        """One request: (n, width) float32, and how many texts were truncated."""
        try:
            reply = self.client.ask("POST", "/v1/embeddings", {"input": piece.texts, **told}, call)
        except (InputError, NumericalError) as error:
            raise placed(error, piece) from error
        rows = rows_of(reply.value, len(piece.texts), width)
        if rows is None:
            what = f"did not answer {len(piece.texts)} texts with vectors of {width} numbers"
            raise ServerError(f"{self.client.address.url} {what}: was another model started there? connect again")
        truncated = reply.headers.get("x-minembed-truncated", "0")
        return rows, int(truncated) if truncated.isascii() and truncated.isdigit() else 0

    def _tell_cut(self, cut: int, options: Options) -> None:
        if cut and options.truncation == "warn":
            message = f"{cut} text(s) longer than {self.max_seq_length} tokens were cut"
            warn(f"{message}: split them, or say truncation='silent'", TruncationWarning)


def rows_of(value: Any, count: int, width: int) -> Array | None:  # (count, width) float32
    """The vectors of an answer, with the bits that were sent; None if it holds anything else.

    >>> rows_of({"data": [{"index": 0, "embedding": "AACAPw=="}]}, 1, 1).tolist()
    [[1.0]]
    """
    try:
        data = [b64decode(one["embedding"], validate=True) for one in value["data"]]
        if [one["index"] for one in value["data"]] != list(range(count)) or {len(row) for row in data} != {4 * width}:
            return None
    except (KeyError, TypeError, binascii.Error):
        return None
    return np.frombuffer(b"".join(data), "<f4").reshape(count, width).astype(np.float32)
