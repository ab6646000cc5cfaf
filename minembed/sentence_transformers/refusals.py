"""Names of the reference that are not supported, and what to write instead.

A refused name can still be imported, so a script that never uses it runs; calling it, or reading one of its attributes,
raises UnsupportedCallError.
"""

from collections.abc import Callable, Mapping
from typing import Any

from minembed.errors import UnsupportedAttributeError, UnsupportedCallError

TRAINING = (
    "minembed trains in another way: minembed.train.train_contrastive(Trainee.load(name), Examples(...), "
    "Settings(loss=...), folder), or `minembed train`; see docs/training.md"
)
PARTS = (
    "models are loaded from a folder, not built from torch modules: use SentenceTransformer(folder), or "
    "minembed.train.new_model to begin with random weights"
)
SPARSE = "minembed has no sparse encoders; use sentence-transformers"
MULTI_VECTOR = (
    "minembed has no late interaction; encode(texts, output_value='token_embeddings') gives the vectors of tokens"
)
CROSS_TRAINING = "train cross-encoders with sentence-transformers; minembed loads the saved folder"
CARD = "edit the README.md of the saved folder"
EXPORT = "minembed needs no exported model: load the checkpoint with its safetensors, with dtype 'bfloat16' or 'int8'"
TORCH = "minembed computes in NumPy and its own kernels: there are no torch modules, parameters or gradients"
HUB = (
    "call save(folder), and upload the folder with huggingface_hub.HfApi().upload_folder(folder_path=..., repo_id=...)"
)
DATASETS = "load the data yourself, and pass them to InformationRetrievalEvaluator or to `minembed evaluate`"


class _Refusing(type):
    """The type of refused names: their attributes are refused as well."""

    instead: str

    def __getattr__(cls, name: str) -> Any:
        raise UnsupportedAttributeError(f"{cls.__name__}.{name} is not supported: {cls.instead}")


def refused(name: str, instead: str) -> Any:
    """Stand in for a class or a function of the reference that is not supported.

    >>> refused("SparseEncoder", "use another library")("name")
    Traceback (most recent call last):
    minembed.errors.UnsupportedCallError: SparseEncoder is not supported: use another library
    """

    def refuse(self: object, *args: Any, **options: Any) -> None:
        raise UnsupportedCallError(f"{name} is not supported: {instead}")

    return _Refusing(name, (), {"__init__": refuse, "__doc__": f"Not supported: {instead}.", "instead": instead})


def refused_method(name: str, instead: str) -> Callable[..., Any]:
    """A method that is not supported.

    >>> refused_method("fit", "use minembed.train")(None)
    Traceback (most recent call last):
    minembed.errors.UnsupportedCallError: fit is not supported: use minembed.train
    """

    def refuse(*args: Any, **options: Any) -> Any:
        raise UnsupportedCallError(f"{name} is not supported: {instead}")

    refuse.__name__, refuse.__doc__ = name, f"Not supported: {instead}."
    return refuse


def stand_ins(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module of refused names.

    >>> stand_ins("losses", {"SoftmaxLoss": TRAINING})("SoftmaxLoss").__name__
    'SoftmaxLoss'
    """

    def find(name: str) -> Any:
        if name in names:
            return refused(name, names[name])
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return find


def none_of(instead: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module in which every name is refused.

    >>> none_of(SPARSE)("SpladeLoss").__name__
    'SpladeLoss'
    """

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return refused(name, instead)

    return find
