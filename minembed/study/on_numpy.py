"""The same model, computed by the NumPy tier: what is edited or watched often reads its weights once."""

from dataclasses import replace

from minembed.models.embedder import Embedder


def on_numpy(model: Embedder) -> Embedder:
    """The model with its NumPy tier in place of its own; its compute type stays.

    Raises a MinembedError where the weights, which kernels do not keep, cannot be read again.

    >>> on_numpy(Embedder.load("all-MiniLM-L6-v2")).backend  # doctest: +SKIP
    'numpy'
    """
    reference = model.engine.reference()
    if reference is model.engine.compute:
        return model
    return replace(model, engine=replace(model.engine, compute=reference), backend="numpy")
