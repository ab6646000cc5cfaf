"""The interface of text-embeddings-inference: /embed, /embed_all, /similarity and /info."""

from typing import Annotated, Any, Literal

import msgspec

from minembed.search.similarity import cosine_similarity
from minembed.serve.asking import find_embedder, job_of, told, vector_options
from minembed.serve.errors import Refusal
from minembed.serve.inputs import as_inputs
from minembed.serve.request import Answer, Request, answer_json
from minembed.serve.served import Models, ServedEmbedder
from minembed.serve.service import Service, chained, counted, joined
from minembed.serve.settings import Settings
from minembed.version import __version__

Direction = Literal["right", "Right"]  # our tokenizers truncate as the model's own does
MOST_STATES = 16_384  # tokens per request for hidden states: some 100 MB of JSON


class EmbedRequest(msgspec.Struct):
    """The body of /embed."""

    inputs: str | list[str | int | list[int]]
    truncate: bool | None = None
    truncation_direction: Direction = "Right"
    prompt_name: str | None = None
    normalize: bool | None = True
    dimensions: int | None = None
    model: str | None = None  # an extension: TEI serves one model


class EmbedAllRequest(msgspec.Struct):
    """The body of /embed_all."""

    inputs: str | list[str]
    truncate: bool | None = None
    truncation_direction: Direction = "Right"
    prompt_name: str | None = None
    model: str | None = None


class Compared(msgspec.Struct):
    """The texts to compare."""

    source_sentence: Annotated[str, msgspec.Meta(min_length=1)]
    sentences: list[str]


class SimilarityParameters(msgspec.Struct):
    """The options of the comparison."""

    truncate: bool | None = None
    truncation_direction: Direction = "Right"
    prompt_name: str | None = None


class SimilarityRequest(msgspec.Struct):
    """The body of /similarity."""

    inputs: Compared
    parameters: SimilarityParameters | None = None
    model: str | None = None


class TEI:
    """The handlers."""

    def __init__(self, settings: Settings, models: Models, service: Service) -> None:
        self.settings, self.models, self.service = settings, models, service

    async def embed(self, request: Request) -> Answer:
        """Vectors of texts, each a list of numbers."""
        asked = request.read(EmbedRequest)
        served = find_embedder(self.models, asked.model)
        inputs = as_inputs(asked.inputs, "inputs", self.settings)
        options = vector_options(served, asked.dimensions, unit(served, asked.normalize), asked.prompt_name)
        parts = await self.service.run(job_of(served, inputs, options, asked.truncate), request)
        tokens, truncated = counted(parts)
        return answer_json(joined(parts), headers=told(truncated), tokens=tokens, model=served.name)

    async def embed_all(self, request: Request) -> Answer:
        """The hidden states of every token of every text."""
        asked = request.read(EmbedAllRequest)
        served = find_embedder(self.models, asked.model)
        inputs = as_inputs(asked.inputs, "inputs", self.settings)
        options = vector_options(served, None, None, asked.prompt_name)
        count = sum(chained(await self.service.run(served.counts(inputs.items, options, asked.truncate), request)))
        if count > MOST_STATES:
            raise Refusal(413, f"`inputs` has {count} tokens: send up to {MOST_STATES} a request", param="inputs")
        parts = await self.service.run(served.states(inputs.items, options, asked.truncate), request)
        tokens, truncated = counted(parts)
        body = b"[" + b",".join(chained(parts)) + b"]"
        return Answer(body, headers=told(truncated), tokens=tokens, model=served.name)

    async def similarity(self, request: Request) -> Answer:
        """The cosines of one text with each of several others."""
        asked = request.read(SimilarityRequest)
        served, how = find_embedder(self.models, asked.model), asked.parameters or SimilarityParameters()
        others = as_inputs(asked.inputs.sentences, "inputs.sentences", self.settings).items
        options = vector_options(served, None, unit(served, True), how.prompt_name)
        texts = [asked.inputs.source_sentence, *others]
        parts = await self.service.run(served.vectors(texts, options, how.truncate, compared), request)
        rows, (tokens, truncated) = joined(parts), counted(parts)
        scores = cosine_similarity(rows[:1], rows[1:])[0]
        return answer_json(scores, headers=told(truncated), tokens=tokens, model=served.name)

    async def info(self, request: Request) -> Answer:
        """The served model, with TEI's field names; with several models, the first."""
        return answer_json(facts_of(self.models.first(), self.settings, self.service.queue.threads))


def compared(i: int) -> str:
    """The name of a text of /similarity in an error.

    >>> compared(0), compared(2)
    ('`source_sentence`', '`sentences[1]`')
    """
    return f"`sentences[{i - 1}]`" if i else "`source_sentence`"


def unit(served: ServedEmbedder, normalize: bool | None) -> bool | None:
    """TEI's `normalize` as an option of `encode`: a model that normalises itself does so only once, with equal bits."""
    return None if normalize and served.model.checkpoint.normalize else normalize


def facts_of(served: Any, settings: Settings, threads: int) -> dict[str, Any]:
    """The answer of /info for a model."""
    model = served.model
    if isinstance(served, ServedEmbedder):
        pooling = "+".join(model.checkpoint.pooling)
        kind: dict[str, Any] = {"embedding": {"pooling": pooling}}
        more: dict[str, Any] = {"dimension": model.dimension, "prompts": sorted(model.checkpoint.prompts)}
    else:
        labels = {str(i): label for i, label in enumerate(model.labels)}
        own = {"id2label": labels, "label2id": {label: i for i, label in enumerate(model.labels)}}
        kind, more = {"reranker" if len(labels) == 1 else "classifier": own}, {}
    return {
        "model_id": served.name,
        "model_sha": model.revision,
        "model_dtype": model.dtype,
        "served_model_name": served.name,
        "model_type": kind,
        "max_concurrent_requests": settings.max_queue_requests,
        "max_input_length": served.limit,
        "max_batch_tokens": settings.max_batch_tokens,
        "max_batch_requests": None,
        "max_client_batch_size": settings.max_items,
        "auto_truncate": not settings.strict,
        "tokenization_workers": threads,
        "version": __version__,
        "sha": None,
        "docker_label": None,
        "backend": model.backend,
        **more,
    }
