"""Checkpoints in half precision: the reference computes in the stored type unless an option names another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from minembed.errors import ModelWarning, UnsupportedCallError, warn
from minembed.runtime.json_files import optional_json
from minembed.weights.tensors import TensorFiles

Model = TypeVar("Model")
HALF = {"BF16": "bfloat16", "F16": "float16"}


def half_of(folder: Path) -> str | None:
    """The half precision that config.json names, or else that of the first weights: "bfloat16", "float16" or None.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "config.json").write_text('{"torch_dtype": "bfloat16"}')
    ...     half_of(Path(folder))
    'bfloat16'
    """
    settings = optional_json(folder / "config.json")
    named = settings.get("dtype", settings.get("torch_dtype"))
    if named is None:
        stored = [tensor.dtype for tensor in TensorFiles.open(folder).stored.values()]
        named = next((HALF.get(dtype) for dtype in stored if dtype.startswith(("F", "BF"))), None)
    return named if named in HALF.values() else None


def load_as_asked(load: Callable[..., Model], name: str, options: dict[str, Any], checkpoint_of: Any) -> Model:
    """Load a model in the compute type that `options` name; "stored" is the checkpoint's own type.

    If none is named and the checkpoint is in half precision, it is computed in float32, with a ModelWarning.  Raises
    UnsupportedCallError for "stored" if that is float16.
    """
    asked = options.get("dtype")
    model = load(name, **options | {"dtype": None if asked == "stored" else asked})
    checkpoint = checkpoint_of(model)
    if asked not in (None, "stored") or checkpoint.stored_dtype != "float32":
        return model
    half = half_of(checkpoint.weights)
    if half is None:
        return model
    if asked is None:
        warn(
            f"{checkpoint.weights} says {half}, and the reference computes in it; minembed computes in float32: "
            "confirm that with model_kwargs={'torch_dtype': 'float32'}, or pass 'bfloat16'",
            ModelWarning,
        )
        return model
    if half == "float16":
        raise UnsupportedCallError(
            f"torch_dtype 'auto' of {checkpoint.weights} is float16, which is not supported: "
            "use 'float32' or 'bfloat16'"
        )
    return load(name, **options | {"dtype": half})
