"""Make an Embedder from a checkpoint whose settings have been read; used by `Embedder.load` and by workers of jobs."""

from typing import TYPE_CHECKING

from minembed.models import loading
from minembed.models.engine import Engine
from minembed.types import DtypeChoice
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.modules import read_module_params

if TYPE_CHECKING:
    from minembed.models.embedder import Embedder
    from minembed.weights.sources.locate import Located


def assembled(
    kind: "type[Embedder]",
    checkpoint: Checkpoint,
    found: "Located",
    backend: str,
    dtype: DtypeChoice | None,
    threads: int,
    keep_params: bool = False,
) -> "Embedder":
    """Load the tokenizer and the weights of a checkpoint whose settings have been read, from the folders that it names.

    `kind` is Embedder or a subclass.

    >>> assembled(Embedder, checkpoint, Located(folder, "folder", None), "numpy", None, 1)  # doctest: +SKIP
    Embedder('all-MiniLM-L6-v2', 384 wide, 256 tokens, float32, numpy)
    """
    tokenizer = (
        loading.load_static_tokenizer(checkpoint) if checkpoint.is_static else loading.load_tokenizer(checkpoint)
    )
    ready = loading.prepare_encoder(checkpoint, backend, dtype, keep_params, threads)
    modules = read_module_params(checkpoint.root, checkpoint.modules)
    engine = Engine(checkpoint, tokenizer, ready.compute, threads, modules)
    return kind(engine, ready.backend, ready.dtype, found.source, found.revision, ready.dtype_reason)
