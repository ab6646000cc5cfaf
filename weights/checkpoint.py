"""The content of a checkpoint folder except its tensors, as one frozen dataclass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from minembed.transformer.config import Config
from minembed.transformer.modules import Module, Normalize, width_after
from minembed.types import Dtype, Metric

if TYPE_CHECKING:
    from minembed.weights.adapters import Adapter


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint folder, read and checked; made by `minembed.weights.directory.read_checkpoint`.

    >>> config = Config(30522, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)
    >>> Checkpoint(Path("model"), "bert", config, ("mean", "max"), max_seq_length=256).dimension
    768
    """

    folder: Path  # with tokenizer.json; also with config.json and the tensors, unless `adapter` names another
    family: str  # "bert", ...: a row of minembed.weights.families.FAMILIES
    config: Config
    pooling: tuple[str, ...]  # modes, concatenated in this order
    max_seq_length: int  # tokens, special ones included
    include_prompt: bool = True  # whether the tokens of a prompt are pooled
    modules: tuple[Module, ...] = ()  # after the pooling, in this order
    root: Path = Path()  # with modules.json and the folders of the modules; often the same as `folder`
    do_lower_case: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt_name: str | None = None
    similarity_fn_name: Metric = "cosine"
    truncate_dim: int | None = None
    stored_dtype: Dtype = "float32"  # or "int8", if `minembed quantize` made the folder
    adapter: "Adapter | None" = None  # merged into the tensors when they are read

    @property
    def weights(self) -> Path:
        """The folder with config.json and the full tensors."""
        return self.folder if self.adapter is None else self.adapter.base

    @property
    def dimension(self) -> int:
        """The width of the vectors."""
        width = self.config.hidden_size * len(self.pooling)
        for module in self.modules:
            width = width_after(module, width)
        return width

    @property
    def is_static(self) -> bool:
        """Whether this is a table of static embeddings, without an encoder."""
        return self.config.num_hidden_layers == 0

    @property
    def normalize(self) -> bool:
        """Whether the modules end in vectors of length 1."""
        return bool(self.modules) and isinstance(self.modules[-1], Normalize)
