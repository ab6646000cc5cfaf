"""The same model on the NumPy tier: for repeated edits or observations, its weights are read once."""

from dataclasses import replace

from minembed.models.embedder import Embedder


def on_numpy(model: Embedder) -> Embedder:
    """The model with a NumPy tier in place of its own, and the same compute type.

    Raises a MinembedError if the weights, which kernels do not keep, cannot be read again.

    >>> on_numpy(Embedder.load("all-MiniLM-L6-v2")).backend  # doctest: +SKIP
    'numpy'
    """
    reference = model.engine.reference()
    if reference is model.engine.compute:
        return model
    return replace(model, engine=replace(model.engine, compute=reference), backend="numpy")
