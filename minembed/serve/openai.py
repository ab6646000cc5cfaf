"""OpenAI's interface: /v1/embeddings and /v1/models."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from minembed.serve.app import MODELS
from minembed.serve.asking import find, find_embedder, job_of, told, vector_options
from minembed.serve.inputs import as_inputs
from minembed.serve.request import Answer, Request, answer_json
from minembed.serve.served import Models, ServedEmbedder, ServedReranker
from minembed.serve.service import Service, counted, joined
from minembed.serve.settings import Settings
from minembed.types import Array


class EmbeddingsRequest(msgspec.Struct):
    """The body of /v1/embeddings; the fields below `user` are ours, with the meaning that they have in `encode`."""

    input: str | list[str | int | list[int]]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None
    user: str | None = None
    prompt_name: str | None = None
    prompt: str | None = None
    normalize: bool | None = None
    truncate: bool | None = None


class OpenAI:
    """The handlers."""

    def __init__(self, settings: Settings, models: Models, service: Service) -> None:
        self.settings, self.models, self.service = settings, models, service

    async def embeddings(self, request: Request) -> Answer:
        """Vectors of texts, as lists of numbers or as base64 of their float32 bytes."""
        asked = request.read(EmbeddingsRequest)
        served = find_embedder(self.models, asked.model)
        inputs = as_inputs(asked.input, "input", self.settings)
        options = vector_options(served, asked.dimensions, asked.normalize, asked.prompt_name, asked.prompt)
        parts = await self.service.run(job_of(served, inputs, options, asked.truncate), request)
        rows, (tokens, truncated) = joined(parts), counted(parts)
        data = [
            {"object": "embedding", "index": i, "embedding": value}
            for i, value in enumerate(as_base64(rows) if asked.encoding_format == "base64" else rows)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        value = {"object": "list", "data": data, "model": served.name, "usage": usage}
        return answer_json(value, headers=told(truncated), tokens=tokens, model=served.name)

    async def list_models(self, request: Request) -> Answer:
        """The models that are served."""
        served: list[ServedEmbedder | ServedReranker] = [*self.models.embedders.values()]
        served = list(dict.fromkeys([*served, *self.models.rerankers.values()]))  # some have two names
        return answer_json({"object": "list", "data": [_described(one, self.settings) for one in served]})

    async def one_model(self, request: Request) -> Answer:
        """One of them, by the end of the path."""
        name = request.path.removeprefix(MODELS)
        known: dict[str, ServedEmbedder | ServedReranker] = {**self.models.rerankers, **self.models.embedders}
        return answer_json(_described(find(known, name, "model"), self.settings))


def _described(one: ServedEmbedder | ServedReranker, settings: Settings) -> dict[str, Any]:
    """OpenAI's object of a model, and in our own field what `Embedder.connect` needs."""
    told = {"id": one.name, "object": "model", "created": one.created, "owned_by": "minembed"}
    return told | ({"minembed": facts_of(one, settings)} if isinstance(one, ServedEmbedder) else {})


def facts_of(served: ServedEmbedder, settings: Settings) -> dict[str, Any]:
    """The facts about a model and the limits that `Embedder.connect` needs beside those of OpenAI's object."""
    model, checkpoint = served.model, served.model.checkpoint
    return {
        "dimension": model.dimension,
        "max_seq_length": model.max_seq_length,
        "prompts": sorted(checkpoint.prompts),
        "similarity_fn_name": checkpoint.similarity_fn_name,
        "dtype": model.dtype,
        "backend": model.backend,
        "revision": model.revision,
        "max_items": settings.max_items,
        "max_body": settings.max_body,
    }


def as_base64(rows: Array) -> Sequence[str]:  # (N, D) float32
    """Each row as base64 of its little-endian float32 bytes.

    >>> import numpy as np
    >>> as_base64(np.float32([[1.0]]))
    ['AACAPw==']
    """
    little = rows.astype("<f4", copy=False)
    return [b64encode(row.tobytes()).decode("ascii") for row in little]
