"""MTEB: an embedding model and a cross-encoder for its tasks."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minembed.errors import InputError
from minembed.integrations.models import DEFAULT_MODEL, HeldEmbedder, HeldReranker
from minembed.integrations.settings import GivenRerankSettings, GivenSettings, RerankSettings, Settings, needs
from minembed.models.embedder import Embedder
from minembed.models.reranker import Reranker
from minembed.runtime.keywords import takes_options_of
from minembed.types import Array

with needs("MTEB", "mteb", "mteb"):
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
    from mteb.types import PromptType

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MinembedCrossEncoder", "MinembedEncoder"]

NO_REVISION = "no_revision_available"  # MTEB's value for a model without a revision


class MinembedEncoder(AbsEncoder):
    """A model for MTEB: `model` is a name, a folder, or a loaded Embedder; it is loaded at once.

    A task takes the checkpoint's prompt that MTEB chooses by the names of task, type and role; if there is none,
    queries and documents take those of `encode_query` and `encode_document`.  `prompt` and `prompt_name` override both.
    Results are stored under the model's name and the settings that are not the defaults.
    """

    @takes_options_of(Settings, GivenSettings)
    def __init__(
        self,
        model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
        *,
        device: str | None = None,
        **settings: "Unpack[GivenSettings]",
    ) -> None:
        _check_device(device)
        if settings.get("revision") == NO_REVISION:
            del settings["revision"]
        self._held = HeldEmbedder(model, Settings(**settings))
        self.model = self._held.model
        self.model_prompts = dict(self.model.checkpoint.prompts)
        similarity = self.model.checkpoint.similarity_fn_name
        facts = {
            "max_tokens": self.model.max_seq_length,
            "embed_dim": self._held.dimension,
            "similarity_fn_name": ScoringFunction(similarity) if similarity in ("cosine", "dot") else None,
        }
        self.mteb_model_meta = _meta(type(self), self._held, facts)

    def encode(
        self,
        inputs: Iterable[Any],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **options: Any,
    ) -> Array:  # N texts -> (N, D)
        """The vectors of a task's texts; `options` are those of `Embedder.encode`, and override the model's own."""
        options = {**self._held.settings.computing(), **options}
        if options["prompt"] is None and options["prompt_name"] is None:
            options["prompt_name"] = self.get_prompt_name(task_metadata, prompt_type)
        by_role = {PromptType.query: self.model.encode_query, PromptType.document: self.model.encode_document}
        encode = self.model.encode if prompt_type is None else by_role[prompt_type]
        return encode(_texts(inputs), **options)


class MinembedCrossEncoder:
    """A cross-encoder for MTEB: `model` is a name, a folder, or a loaded Reranker; it is loaded at once."""

    @takes_options_of(RerankSettings, GivenRerankSettings)
    def __init__(
        self,
        model: str | os.PathLike[str] | Reranker,
        *,
        device: str | None = None,
        **settings: "Unpack[GivenRerankSettings]",
    ) -> None:
        _check_device(device)
        if settings.get("revision") == NO_REVISION:
            del settings["revision"]
        self._held = HeldReranker(model, RerankSettings(**settings))
        self.model = self._held.model
        self.mteb_model_meta = _meta(
            type(self), self._held, {"max_tokens": self.model.max_seq_length, "model_type": ["cross-encoder"]}
        )

    def predict(
        self,
        inputs1: Iterable[Any],
        inputs2: Iterable[Any],
        *,
        task_metadata: Any,
        hf_split: str,
        hf_subset: str,
        prompt_type: PromptType | None = None,
        **options: Any,
    ) -> Array:  # N pairs -> (N,)
        """The scores of a task's pairs; `options` are those of `Reranker.predict`, and override the model's own."""
        pairs = list(zip(_texts(inputs1), _texts(inputs2), strict=True))
        return self.model.predict(pairs, **{**self._held.settings.computing(), **options})


def _texts(batches: Iterable[Any]) -> list[str]:
    texts: list[str] = []
    for batch in batches:
        if "text" not in batch:
            raise InputError(f"the task gives {', '.join(batch)} and no text: minembed encodes texts alone")
        texts += batch["text"]
    return texts


def _check_device(device: str | None) -> None:
    if device not in (None, "cpu"):
        raise InputError(f"device {device!r}: minembed computes on the CPU; omit the option")


def _meta(loader: type, held: HeldEmbedder | HeldReranker, facts: dict[str, Any]) -> Any:
    config = held.config()
    name = str(config.pop("model"))
    if Path(name).is_dir():
        name = f"folder/{Path(name).name}"  # MTEB requires two parts
    elif "/" not in name:
        name = f"{'sentence-transformers' if isinstance(held, HeldEmbedder) else 'cross-encoder'}/{name}"
    known = {"loader": loader, "name": name, "revision": config.pop("revision", None) or held.model.revision}
    return ModelMeta.create_empty(overwrites={**known, "experiment_kwargs": config or None, **facts})
