"""CrossEncoder: the reference's interface over a Reranker."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minembed.errors import InputError, InputTypeError, UnsupportedCallError
from minembed.models.changed import reranker_with_limit
from minembed.models.reranker import Reranker
from minembed.runtime.checks import check_whole
from minembed.runtime.columns import column
from minembed.sentence_transformers.base.arguments import as_batch, check_new_options, heeds_processing
from minembed.sentence_transformers.base.model import BaseModel
from minembed.sentence_transformers.base.pools import check_pool
from minembed.sentence_transformers.cross_encoder.activations import Activation, activated, activation_name, softmax
from minembed.sentence_transformers.cross_encoder.saving import save_folder, saved_prompts
from minembed.sentence_transformers.modules import Transformer
from minembed.sentence_transformers.renames import takes_old_names
from minembed.sentence_transformers.sentence_transformer.features import pairs_in, tokens_of
from minembed.sentence_transformers.settings import read_request
from minembed.sentence_transformers.stored import load_as_asked
from minembed.sentence_transformers.tensors import as_array, need_torch, tensor
from minembed.sentence_transformers.tokenizer import Features, padded

OLD_POSITIONS = ("num_labels", "max_length", "activation_fn", "device")
OLD_NAMES = {
    "model_name": "model_name_or_path",
    "automodel_args": "model_kwargs",
    "tokenizer_args": "processor_kwargs",
    "tokenizer_kwargs": "processor_kwargs",
    "config_args": "config_kwargs",
    "cache_dir": "cache_folder",
    "default_activation_function": "activation_fn",
    "classifier_dropout": "",  # used only in training
}
NO_CHANGE = ("num_workers", "convert_to_numpy", "convert_to_tensor", "apply_softmax")  # removed from `rank`


def _takes_old_positions(function: Callable[..., None]) -> Callable[..., None]:
    """Let a constructor accept the positional arguments of the reference's first releases."""
    from functools import wraps

    @wraps(function)
    def renamed(self: Any, *args: Any, **options: Any) -> None:
        options |= dict(zip(OLD_POSITIONS, args[1:], strict=False))
        function(self, *args[:1], **options)

    return renamed


class CrossEncoder(BaseModel):
    """A model that scores pairs of texts, with the reference's interface; minembed computes."""

    default_huggingface_organization: ClassVar[str | None] = "cross-encoder"
    model_type: ClassVar[str] = "CrossEncoder"
    _own: Reranker

    @takes_old_names(**OLD_NAMES)
    @_takes_old_positions
    def __init__(
        self,
        model_name_or_path: str | None = None,
        *,
        modules: list[Any] | None = None,
        device: str | None = None,
        prompts: dict[str, str] | None = None,
        default_prompt_name: str | None = None,
        cache_folder: str | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        local_files_only: bool = False,
        token: bool | str | None = None,
        model_kwargs: dict[str, Any] | None = None,
        processor_kwargs: dict[str, Any] | None = None,
        config_kwargs: dict[str, Any] | None = None,
        model_card_data: Any = None,
        backend: str = "torch",
        num_labels: int | None = None,
        max_length: int | None = None,
        activation_fn: Any = None,
        keep_in_fp32_modules: list[str] | None = None,
    ) -> None:
        request = read_request(locals(), "cross-encoder")
        self.trust_remote_code = trust_remote_code  # code of a repository is never run
        self._padding_side = request.padding_side
        limit = request.load.pop("max_seq_length", None) if max_length is None else max_length
        self._own = load_as_asked(Reranker.load, request.name, request.load, lambda model: model.model.checkpoint)
        if limit is not None:
            self._set_limit(limit)
        wanted = (config_kwargs or {}).get("num_labels") if num_labels is None else num_labels
        if wanted not in (None, self.num_labels):
            raise UnsupportedCallError(
                f"num_labels={wanted}: the checkpoint's head has {self.num_labels}, and none is made anew here"
            )
        self.keep_in_fp32_modules = list(keep_in_fp32_modules or [])
        self._take_prompts(prompts, default_prompt_name, saved_prompts(self._checkpoint.root), None)
        self.activation_fn = activation_fn or Activation(self._own.model.activation)

    @property
    def reranker(self) -> Reranker:
        """The underlying model of minembed; prompts and activations that were set here do not affect it."""
        return self._own

    @takes_old_names(sentences="inputs", activation_fct="activation_fn", num_workers="")
    @heeds_processing
    def predict(
        self,
        inputs: Any,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Any = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
        device: Any = None,
        pool: dict[str, Any] | None = None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """Score pairs: (N,) float32, (N, L) for L > 1 labels; one pair gives one row.

        `activation_fn` is any function of the logits, a tensor (N, L); None means the model's own.  A prompt is put in
        front of the first text of each pair.  `truncation` works as in `Reranker.predict`.
        """
        own = check_new_options(kwargs, ("truncation",), "predict")
        check_pool(pool, device, chunk_size)
        check_whole("batch_size", batch_size)
        if convert_to_tensor or not convert_to_numpy:
            need_torch("convert_to_tensor=True" if convert_to_tensor else "convert_to_numpy=False")
        before = self._find_prompt(prompt, prompt_name)
        alone = self.is_singular_input(inputs)
        pairs = [as_batch(inputs)] if alone else list(column(as_batch(inputs), "inputs", "pairs"))
        if before:
            pairs = [(before + first, second) for first, second in pairs_in(pairs) or ()]
        options = {"batch_size": batch_size, "show_progress_bar": show_progress_bar, **own}
        logits = self._own.predict(pairs, activation="Identity", **options).reshape(len(pairs), self.num_labels)
        scores = activated(logits, self.activation_fn if activation_fn is None else activation_fn)
        if scores.shape[:1] != (len(pairs),):
            raise InputError(
                f"activation_fn gave shape {scores.shape} for {len(pairs)} pairs: a row for each is needed"
            )
        if self.num_labels == 1 and scores.ndim > 1:
            scores = scores[:, 0]
        if apply_softmax and scores.ndim > 1:
            scores = softmax(scores)
        if not len(pairs):
            return np.array([]) if convert_to_numpy and not convert_to_tensor else tensor(np.zeros(0, np.float32))
        if convert_to_tensor or not convert_to_numpy:
            given = tensor(scores)
            return given[0] if alone else given if convert_to_tensor else list(given)
        scores = scores.astype(np.float32, copy=False)  # the function may return another type
        return scores[0] if alone else scores

    @takes_old_names(**dict.fromkeys(NO_CHANGE, ""), activation_fct="activation_fn")
    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        prompt_name: str | None = None,
        prompt: str | None = None,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Any = None,
        device: Any = None,
        pool: dict[str, Any] | None = None,
        chunk_size: int | None = None,
    ) -> list[dict[str, Any]]:
        """Rank documents by how well they answer a query: {"corpus_id", "score"} and, if requested, "text"."""
        if self.num_labels != 1:
            raise InputError(f"rank needs one score a pair, and the model has {self.num_labels}: use predict")
        texts = list(documents)
        scores = self.predict(
            [(query, text) for text in texts],
            prompt_name=prompt_name,
            prompt=prompt,
            batch_size=batch_size,
            show_progress_bar=show_progress_bar,
            activation_fn=activation_fn,
            device=device,
            pool=pool,
            chunk_size=chunk_size,
        )
        order = np.argsort(-scores, kind="stable")[:top_k].tolist()
        hits: list[dict[str, Any]] = [{"corpus_id": i, "score": float(scores[i])} for i in order]
        return [hit | {"text": texts[hit["corpus_id"]]} for hit in hits] if return_documents else hits

    def is_singular_input(self, inputs: Any) -> bool:
        """Whether `inputs` is one pair."""
        if isinstance(inputs, np.ndarray):
            return inputs.size > 0 and inputs.ndim < 2
        return isinstance(inputs, list | tuple) and len(inputs) > 0 and not isinstance(inputs[0], list | tuple)

    def preprocess(self, inputs: Any, prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Tokenize pairs, padded to the longest: input_ids, token_type_ids, attention_mask, as tensors (B, T)."""
        check_new_options(kwargs, (), "preprocess")
        given = list(column(as_batch(inputs), "inputs", "pairs"))
        if not given:
            return Features()
        if not (pairs := pairs_in(given)):
            raise InputTypeError("inputs[0] is no pair of str: give a list of pairs")
        pairs = [((prompt or "") + first, second) for first, second in pairs]
        found = self.tokenizer([a for a, _ in pairs], [b for _, b in pairs], truncation=True)
        own = self.tokenizer
        fills = {"input_ids": own.pad_token_id or 0}
        rows = {name: list(map(np.asarray, value)) for name, value in found.items()}
        features = {name: tensor(padded(value, fills.get(name, 0), own.padding_side)) for name, value in rows.items()}
        return Features(features, modality="text")

    def get_default_activation_fn(self) -> Activation:
        """The checkpoint's own activation."""
        return Activation(self._own.model.activation)

    @property
    def default_activation_function(self) -> Any:
        """The activation."""
        return self.activation_fn

    @property
    def num_labels(self) -> int:
        """The number of scores per pair."""
        return len(self._own.labels)

    @property
    def model(self) -> Any:
        """Refuse: there is no transformers model."""
        return self.transformers_model

    @property
    def max_length(self) -> int:
        """The number of tokens of a pair that are read at most."""
        return self.max_seq_length

    @max_length.setter
    def max_length(self, value: int) -> None:
        self.max_seq_length = value

    def set_keep_in_fp32_modules(self, module_names: list[str]) -> None:
        """Do nothing: the head is always computed in float32."""
        self.keep_in_fp32_modules = list(module_names)

    @property
    def _checkpoint(self) -> Any:
        return self._own.model.checkpoint

    def _labels(self) -> tuple[str, ...]:
        return self._own.labels

    def _own_tokenizer(self) -> Any:
        return self._own.tokenizer

    def _set_limit(self, value: Any) -> None:
        self._own = reranker_with_limit(self._own, value)

    def _parts(self) -> list[Any]:
        width = self._checkpoint.config.hidden_size
        return [Transformer.of(self, transformer_task="sequence-classification", _width=width)]

    def save(
        self,
        path: str,
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: list[str] | None = None,
        safe_serialization: bool = True,
    ) -> None:
        """Copy the checkpoint's folder, with the current limit and activation, to a new or empty folder.

        Raises InputError if the folder is not empty, UnsupportedCallError for safe_serialization=False, and for an
        activation or prompts that were set here and cannot be saved.
        """
        if not safe_serialization:
            raise UnsupportedCallError(
                "safe_serialization=False is not supported: reading pickled weights can run code"
            )
        if self.prompts != saved_prompts(self._checkpoint.root) or self.default_prompt_name is not None:
            raise UnsupportedCallError("prompts are not saved with a cross-encoder here: give them when it is loaded")
        save_folder(self._own.model, Path(path), activation_name(self.activation_fn), create_model_card)

    def forward(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Add the logits, as "scores", to the features that `preprocess` returned."""
        check_new_options(kwargs, (), "forward")
        tokens = tokens_of({name: as_array(value) for name, value in input.items() if name != "modality"})
        return {**input, "scores": tensor(self._own._logits(tokens, together=False))}
