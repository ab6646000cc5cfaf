"""What is not here of the reference, by name, and what to write instead.

A name that is refused can be imported, so that a script that never calls it runs; calling it, or asking for one of its
attributes, raises UnsupportedCallError.
"""

from collections.abc import Callable, Mapping
from typing import Any

from minembed.errors import UnsupportedAttributeError, UnsupportedCallError

TRAINING = (
    "training is here under other names: minembed.train.train_contrastive(Trainee.load(name), Examples(...), "
    "Settings(loss=...), folder), or `minembed train`; docs/training.md says how"
)
PARTS = (
    "a model is loaded from a folder here, not put together of torch's modules: SentenceTransformer(folder), or "
    "minembed.train.new_model for one that is made from nothing"
)
SPARSE = "sparse encoders are not computed here; sentence-transformers has them"
MULTI_VECTOR = (
    "late interaction is not computed here; encode(texts, output_value='token_embeddings') gives the vectors of tokens"
)
CROSS_TRAINING = "cross-encoders are not trained here; sentence-transformers does it, and minembed loads what it saves"
CARD = "edit the README.md of the saved folder"
EXPORT = "minembed needs no exported model: load the checkpoint with its safetensors, with dtype 'bfloat16' or 'int8'"
TORCH = "minembed computes in NumPy and its own kernels: there are no torch modules, parameters or gradients"
HUB = "save(folder), and upload that with huggingface_hub.HfApi().upload_folder(folder_path=..., repo_id=...)"
DATASETS = "load the data yourself, and give them to InformationRetrievalEvaluator or to `minembed evaluate`"


class _Refusing(type):
    """The type of names that are refused: their attributes are, as well."""

    instead: str

    def __getattr__(cls, name: str) -> Any:
        raise UnsupportedAttributeError(f"{cls.__name__}.{name} is not here: {cls.instead}")


def refused(name: str, instead: str) -> Any:
    """Stand for a class or a function of the reference that is not here.

    >>> refused("SparseEncoder", "use another library")("name")
    Traceback (most recent call last):
    minembed.errors.UnsupportedCallError: SparseEncoder is not here: use another library
    """

    def refuse(self: object, *args: Any, **options: Any) -> None:
        raise UnsupportedCallError(f"{name} is not here: {instead}")

    return _Refusing(name, (), {"__init__": refuse, "__doc__": f"Not here: {instead}.", "instead": instead})


def refused_method(name: str, instead: str) -> Callable[..., Any]:
    """A method that is not here.

    >>> refused_method("fit", "use minembed.train")(None)
    Traceback (most recent call last):
    minembed.errors.UnsupportedCallError: fit is not here: use minembed.train
    """

    def refuse(*args: Any, **options: Any) -> Any:
        raise UnsupportedCallError(f"{name} is not here: {instead}")

    refuse.__name__, refuse.__doc__ = name, f"Not here: {instead}."
    return refuse


def stand_ins(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a module of names that are refused.

    >>> stand_ins("losses", {"SoftmaxLoss": TRAINING})("SoftmaxLoss").__name__
    'SoftmaxLoss'
    """

    def find(name: str) -> Any:
        if name in names:
            return refused(name, names[name])
        raise AttributeError(f"module {module!r} has no attribute {name!r}")

    return find


def none_of(instead: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module of which nothing is here, whatever the name.

    >>> none_of(SPARSE)("SpladeLoss").__name__
    'SpladeLoss'
    """

    def find(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return refused(name, instead)

    return find
