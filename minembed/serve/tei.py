"""The interface of text-embeddings-inference: /embed and the routes beside it."""

from typing import Literal

import msgspec

from minembed.serve.asking import find, job_of, told, vector_options
from minembed.serve.inputs import as_inputs
from minembed.serve.request import Answer, Request, answer_json
from minembed.serve.served import Models
from minembed.serve.service import Service, counted, joined
from minembed.serve.settings import Settings

Direction = Literal["left", "Left", "right", "Right"]


class EmbedRequest(msgspec.Struct):
    """The body of /embed."""

    inputs: str | list[str | int | list[int]]
    truncate: bool | None = None
    truncation_direction: Direction = "Right"
    prompt_name: str | None = None
    normalize: bool | None = True
    dimensions: int | None = None
    model: str | None = None  # ours: TEI serves one


class TEI:
    """The handlers."""

    def __init__(self, settings: Settings, models: Models, service: Service) -> None:
        self.settings, self.models, self.service = settings, models, service

    async def embed(self, request: Request) -> Answer:
        """Vectors of texts, a list of numbers each."""
        asked = request.read(EmbedRequest)
        served = find(self.models.embedders, asked.model)
        inputs = as_inputs(asked.inputs, "inputs", self.settings)
        options = vector_options(served, asked.dimensions, asked.normalize, asked.prompt_name)
        parts = await self.service.run(job_of(served, inputs, options, asked.truncate), request)
        tokens, truncated = counted(parts)
        return answer_json(joined(parts), headers=told(truncated), tokens=tokens, model=served.name)
