"""The base class of SentenceTransformer and CrossEncoder: settings, prompts, devices, parts, pools.

The models of minembed are immutable; these objects hold one, and replace it when a setting changes.  Everything that
belongs to torch's modules is refused by name.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator
from copy import copy
from typing import Any, ClassVar

from minembed.errors import InputError, UnsupportedAttributeError, UnsupportedCallError
from minembed.sentence_transformers.base.arguments import as_prompts
from minembed.sentence_transformers.base.config import ModelConfig
from minembed.sentence_transformers.base.pools import start_pool, stop_pool
from minembed.sentence_transformers.refusals import HUB, PARTS, TORCH, TRAINING, refused_method
from minembed.sentence_transformers.tensors import check_device, cpu, dtype_of
from minembed.sentence_transformers.tokenizer import ModelTokenizer

LOG = logging.getLogger("minembed")
ADAPTERS = "merge the adapter into its base with peft and load the merged folder, or load its folder"
DTYPES = (
    "choose the dtype when you load the model: model_kwargs={'torch_dtype': 'bfloat16'}, or minembed's own "
    "Embedder.load(name, dtype=...) with 'float32', 'bfloat16' or 'int8'"
)
REFUSED = {
    **dict.fromkeys(("fit", "old_fit", "smart_batching_collate", "gradient_checkpointing_enable"), TRAINING),
    **dict.fromkeys(("requires_grad_", "zero_grad", "backward"), TRAINING),
    **dict.fromkeys(("parameters", "named_parameters", "buffers", "named_buffers", "state_dict"), TORCH),
    **dict.fromkeys(("load_state_dict", "apply", "share_memory", "get_parameter", "get_submodule", "append"), TORCH),
    **dict.fromkeys(("add_module", "register_module", "insert", "extend", "pop", "register_forward_hook"), TORCH),
    **dict.fromkeys(("push_to_hub", "save_to_hub"), HUB),
    **dict.fromkeys(("add_adapter", "load_adapter", "set_adapter", "enable_adapters", "disable_adapters"), ADAPTERS),
    **dict.fromkeys(("delete_adapter", "active_adapters", "active_adapter", "get_adapter_state_dict"), ADAPTERS),
    **dict.fromkeys(("check_peft_compatible_model", "has_peft_compatible_model"), ADAPTERS),
    **dict.fromkeys(("half", "double", "type"), DTYPES),
    "smart_batching_collate_text_only": TRAINING,
    "clear_placement_cache": "nothing is placed: minembed computes on the CPU",
    "model_card_data_class": "edit the README.md of the saved folder",
    "compile": "minembed's kernels are compiled on first use: pip install minembed[numba]",
    "merge": "average the tensors of the checkpoints, and load the folder",
    "cuda": "minembed computes on the CPU",
}


class BaseModel(ABC):
    """The reference's interface to a model of minembed."""

    _default_prompts: ClassVar[dict[str, str]] = {}
    default_huggingface_organization: ClassVar[str | None] = None
    model_type: ClassVar[str] = "BaseModel"
    backend = "torch"  # the reference's name for a model that is loaded from safetensors
    training = False
    _own: Any  # an Embedder or a Reranker
    _padding_side: str | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise UnsupportedAttributeError(f"{type(self).__name__}.{name} is not supported: {TORCH}")

    def _take_prompts(self, given: Any, default: str | None, saved: Any, saved_default: str | None) -> None:
        """Use the caller's prompts, and the folder's for names that the caller does not give."""
        named = as_prompts(given)
        told = {name: text for name, text in named.items() if text is not None}
        self.prompts: dict[str, str] = {**self._default_prompts, **dict.fromkeys(named, ""), **saved, **told}
        self.default_prompt_name = saved_default if default is None else default
        if self.default_prompt_name is not None and self.default_prompt_name not in self.prompts:
            known = ", ".join(self.prompts)
            raise InputError(f"default_prompt_name {self.default_prompt_name!r} is not among the prompts: {known}")

    def _find_prompt(self, prompt: str | None, prompt_name: str | None) -> str:
        """The text of the prompt."""
        if prompt is not None:
            if prompt_name is not None:
                LOG.warning("prompt= and prompt_name= were given: prompt_name=%r is not used", prompt_name)
            return prompt
        prompts = as_prompts(self.prompts)
        if prompt_name is None:
            return prompts.get(self.default_prompt_name, "") if self.default_prompt_name is not None else ""
        if prompt_name not in prompts:
            raise InputError(f"prompt_name {prompt_name!r} is not among the prompts: {', '.join(prompts)}")
        return prompts[prompt_name]

    # ---- device, type, settings

    @property
    @abstractmethod
    def _checkpoint(self) -> Any: ...

    @property
    def device(self) -> Any:
        """The CPU."""
        return cpu()

    @property
    def _target_device(self) -> Any:
        return cpu()

    @_target_device.setter
    def _target_device(self, value: Any) -> None:
        check_device(value)

    @property
    def dtype(self) -> Any:
        """The compute type."""
        return dtype_of(self._own.dtype)

    @property
    def config(self) -> ModelConfig:
        """The settings of config.json."""
        return ModelConfig(self._checkpoint.weights / "config.json", self._labels())

    def _labels(self) -> tuple[str, ...]:
        return ()

    @property
    def tokenizer(self) -> ModelTokenizer:
        """The tokenizer."""
        return ModelTokenizer(self._own_tokenizer(), self._checkpoint.folder, self._padding_side)

    @tokenizer.setter
    def tokenizer(self, value: Any) -> None:
        raise UnsupportedCallError("a tokenizer cannot be put in place of a model's own: change its folder's files")

    @abstractmethod
    def _own_tokenizer(self) -> Any: ...

    @property
    def processor(self) -> ModelTokenizer:
        """The tokenizer."""
        return self.tokenizer

    @property
    def transformers_model(self) -> Any:
        """Refuse: there is no model of transformers."""
        raise UnsupportedAttributeError(f"{type(self).__name__}.transformers_model is not supported: {TORCH}")

    def get_max_seq_length(self) -> int:
        """The number of tokens that are read at most."""
        return int(self.max_seq_length)

    @property
    def max_seq_length(self) -> int:
        """The number of tokens that are read at most, with special tokens."""
        return int(self._checkpoint.max_seq_length)

    @max_seq_length.setter
    def max_seq_length(self, value: Any) -> None:
        self._set_limit(value)

    @abstractmethod
    def _set_limit(self, value: Any) -> None: ...

    def _limited(self, value: int) -> Any:
        """A copy of the model with another limit."""
        other = copy(self)
        other._set_limit(value)
        return other

    @property
    def modalities(self) -> list[str]:
        """The kinds of input."""
        return ["text"]

    def supports(self, modality: Any) -> bool:
        """Whether the model reads this kind of input; only "text" is supported."""
        return modality in self.modalities

    def get_backend(self) -> str:
        """The reference's name for a model that is loaded from safetensors: "torch"."""
        return self.backend

    def get_model_kwargs(self) -> list[str]:
        """The keyword arguments that this model accepts in addition to the reference's."""
        return []

    # ---- devices and types

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """Return the model; raises InputError for another device, UnsupportedCallError for another dtype."""
        for value in (*args, *kwargs.values()):
            if str(value).removeprefix("torch.") in ("float16", "half", "float64", "bfloat16", "float32", "int8"):
                if str(value).removeprefix("torch.") != self._own.dtype:
                    raise UnsupportedCallError(f"to({value}) is not supported: {DTYPES}")
            elif not isinstance(value, bool):
                check_device(value)
        return self

    def cpu(self) -> Any:
        """Return the model, which is on the CPU."""
        return self

    def eval(self) -> Any:
        """Return the model, which is always in evaluation mode."""
        return self

    def train(self, mode: bool = True) -> Any:
        """Refuse, except for mode=False."""
        if mode:
            raise UnsupportedCallError(f"train is not supported: {TRAINING}")
        return self

    def float(self) -> Any:
        """Return the model; raises UnsupportedCallError unless it computes in float32."""
        return self.to("float32")

    def bfloat16(self) -> Any:
        """Return the model; raises UnsupportedCallError unless it computes in bfloat16."""
        return self.to("bfloat16")

    # ---- parts

    @abstractmethod
    def _parts(self) -> list[Any]: ...

    def __getitem__(self, which: Any) -> Any:
        return self._parts()[which]

    def __setitem__(self, which: Any, part: Any) -> None:
        raise UnsupportedCallError(f"a part of a model cannot be put in place of another here: {PARTS}")

    def __delitem__(self, which: Any) -> None:
        raise UnsupportedCallError(f"a part of a model cannot be taken away here: {PARTS}")

    def __len__(self) -> int:
        return len(self._parts())

    def __iter__(self) -> Iterator[Any]:
        return iter(self._parts())

    def children(self) -> Iterator[Any]:
        """The parts of the model."""
        return iter(self._parts())

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """The parts of the model, by number."""
        return ((str(i), part) for i, part in enumerate(self._parts()))

    def modules(self) -> Iterator[Any]:
        """The model itself and its parts."""
        return iter([self, *self._parts()])

    def named_modules(self) -> Iterator[tuple[str, Any]]:
        """The model itself and its parts, by number."""
        return iter([("", self), *self.named_children()])

    def _first_module(self) -> Any:
        return self[0]

    def _last_module(self) -> Any:
        return self[-1]

    def __repr__(self) -> str:
        lines = "".join(f"\n  ({name}): {part!r}" for name, part in self.named_children())
        return f"{type(self).__name__}({lines}\n)"

    # ---- pools, evaluation, saving

    def start_multi_process_pool(self, target_devices: list[str] | None = None) -> dict[str, Any]:
        """A pool for `encode(pool=...)`: the model's own threads do the work, with the same results."""
        return start_pool(target_devices)

    @staticmethod
    def stop_multi_process_pool(pool: dict[str, Any]) -> None:
        """Stop a pool."""
        stop_pool(pool)

    def evaluate(self, evaluator: Any, output_path: str | None = None) -> Any:
        """Call an evaluator; `output_path` is a folder for its results."""
        return evaluator(self, output_path)

    def save_pretrained(
        self,
        path: str,
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: list[str] | None = None,
        safe_serialization: bool = True,
    ) -> None:
        """The same as `save`."""
        self.save(path, model_name, create_model_card, train_datasets, safe_serialization)

    @abstractmethod
    def save(
        self,
        path: str,
        model_name: str | None = None,
        create_model_card: bool = True,
        train_datasets: list[str] | None = None,
        safe_serialization: bool = True,
    ) -> None:
        """Write the model to a folder."""
        ...

    def tokenize(self, texts: Any, **kwargs: Any) -> dict[str, Any]:
        """The same as `preprocess`, under its old name."""
        return self.preprocess(texts, **kwargs)

    @abstractmethod
    def preprocess(self, inputs: Any, prompt: str | None = None, **kwargs: Any) -> dict[str, Any]:
        """Tokenize texts: the input of `forward`."""
        ...

    @abstractmethod
    def is_singular_input(self, inputs: Any) -> bool:
        """Whether `inputs` is one input, not several."""
        ...

    def __call__(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """The same as `forward`."""
        return self.forward(input, **kwargs)

    @abstractmethod
    def forward(self, input: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Compute the output for the features that `preprocess` returned."""
        ...


for _name, _instead in REFUSED.items():
    setattr(BaseModel, _name, staticmethod(refused_method(_name, _instead)))
