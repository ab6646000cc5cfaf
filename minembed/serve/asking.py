"""Shared by the interfaces: finding the model, making a job for it, and headers about truncation."""

from collections.abc import Mapping
from typing import Protocol, TypeVar

from minembed.models.options import Options, check_prompt_name
from minembed.serve.errors import Refusal
from minembed.serve.inputs import Inputs
from minembed.serve.queue import Job
from minembed.serve.served import Models, ServedEmbedder

PLAIN = Options(truncation="silent")  # of most requests
MOST_NAMES = 10  # in a message


class Named(Protocol):
    """A served model or index."""

    @property
    def name(self) -> str:
        """Its full name."""
        ...


One = TypeVar("One", bound=Named)


def find(served: Mapping[str, One], name: str | None, kind: str, param: str = "model") -> One:
    """The model or index with a name, or the first if a request names none; raises Refusal with 404.

    >>> from types import SimpleNamespace as Served
    >>> find({"a": Served(name="a")}, "b", "reranker")
    Traceback (most recent call last):
    minembed.serve.errors.Refusal: no reranker of that name is served here; there is a
    """
    if name is None and served:
        return next(iter(served.values()))
    if name is None or name not in served:
        known = list(dict.fromkeys(one.name for one in served.values()))
        there = ", ".join(known[:MOST_NAMES]) + (", ..." if len(known) > MOST_NAMES else "")
        raise Refusal(404, f"no {kind} of that name is served here; there is {there or 'none'}", "model", param)
    return served[name]


def find_embedder(models: Models, name: str | None) -> ServedEmbedder:
    """The embedding model with a name, or the first; raises Refusal with 404.

    >>> find_embedder(Models({}), "a")
    Traceback (most recent call last):
    minembed.serve.errors.Refusal: no embedding model of that name is served here; there is none
    """
    return find(models.embedders, name, "embedding model")


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
        check_prompt_name(prompt_name, served.model.checkpoint.prompts)
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
