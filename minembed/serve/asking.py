"""Shared by the interfaces: finding the model, making a job for it, and headers about truncation."""

from collections.abc import Mapping
from typing import TypeVar

from minembed.models.engine import find_prompt
from minembed.models.options import Options
from minembed.serve.errors import Refusal
from minembed.serve.inputs import Inputs
from minembed.serve.queue import Job
from minembed.serve.served import ServedEmbedder

Named = TypeVar("Named")
PLAIN = Options(truncation="silent")  # of most requests


def find(served: Mapping[str, Named], name: str | None, param: str = "model") -> Named:
    """The model or index with a name, or the first if a request names none; raises Refusal with 404.

    >>> find({"a": 1, "b": 2}, "b"), find({"a": 1}, None)
    (2, 1)
    """
    if name is None and served:
        return next(iter(served.values()))
    if name is None or name not in served:
        which = "of this kind" if name is None else "of that name"
        raise Refusal(404, f"no {param} {which} is served here; /v1/models names what is", "model", param)
    return served[name]


def vector_options(
    served: ServedEmbedder,
    dimensions: int | None,
    normalize: bool | None,
    prompt_name: str | None = None,
    prompt: str | None = None,
) -> Options:
    """The options of `encode` in a request; raises Refusal for a width that the model does not have.

    A prompt_name that the model does not have raises InputError, even where a prompt makes it of no effect.
    """
    width = served.model.dimension
    if dimensions is not None and not 1 <= dimensions <= width:
        raise Refusal(
            400, f"dimensions must be from 1 to {width}, the width of this model's vectors", param="dimensions"
        )
    if dimensions is None and normalize is None and prompt_name is None and prompt is None:
        return PLAIN
    if prompt_name is not None:
        find_prompt(served.model.checkpoint, Options(prompt_name=prompt_name))
    return Options(
        normalize_embeddings=normalize,
        truncate_dim=dimensions,
        prompt_name=prompt_name,
        prompt=prompt,
        truncation="silent",
    )


def job_of(served: ServedEmbedder, inputs: Inputs, options: Options, truncate: bool | None) -> Job:
    """The job of a request for vectors; raises Refusal for a prompt beside token ids, which would have no effect."""
    if inputs.of_ids:
        for name in ("prompt", "prompt_name"):
            if getattr(options, name) is not None:
                raise Refusal(400, f"`{name}` is for texts: send these, or ids that include the prompt's", param=name)
        return served.vectors_of_ids(inputs.items, options)
    return served.vectors(inputs.items, options, truncate)


def told(truncated: int) -> dict[str, str]:
    """The header with the number of truncated texts.

    >>> told(2), told(0)
    ({'x-minembed-truncated': '2'}, {})
    """
    return {"x-minembed-truncated": str(truncated)} if truncated else {}
