"""Activations for the logits of a cross-encoder: minembed's under torch's names, or any callable."""

from typing import Any

import numpy as np  # noqa: F401 (in the examples)

from minembed.errors import InputTypeError, UnsupportedCallError
from minembed.sentence_transformers.tensors import as_array, tensor
from minembed.transformer.heads import SCORE_ACTIVATIONS
from minembed.types import Array


class Activation:
    """An activation by its name in torch.nn; it is called as torch's module is.

    >>> Activation("Sigmoid"), Activation("Sigmoid")(np.float32([[0.0]])).tolist()
    (Sigmoid(), [[0.5]])
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, logits: Any) -> Any:
        """Apply the activation to logits (N, L); returns a tensor."""
        return tensor(SCORE_ACTIVATIONS[self.name](as_array(logits, "logits")))

    def __repr__(self) -> str:
        return f"{self.name}()"


def activated(logits: Array, function: Any) -> Array:  # (N, L) -> (N, L)
    """Apply an activation: minembed's, or the caller's own function, which gets a tensor.

    Raises InputTypeError if it is not callable.

    >>> activated(np.float32([[-1.0], [2.0]]), abs).tolist()
    [[1.0], [2.0]]
    """
    if isinstance(function, Activation):
        return SCORE_ACTIVATIONS[function.name](logits)
    if not callable(function):
        raise InputTypeError(f"activation_fn is {type(function).__name__}: give a function of logits, or torch.nn's")
    return as_array(function(tensor(logits)), "activation_fn(...)")


def activation_name(function: Any) -> str:
    """The name of an activation in torch.nn; raises UnsupportedCallError for another function.

    >>> activation_name(Activation("Sigmoid"))
    'Sigmoid'
    """
    name = function.name if isinstance(function, Activation) else type(function).__name__
    own = isinstance(function, Activation) or type(function).__module__.startswith("torch.nn.")
    if not own or name not in SCORE_ACTIVATIONS:
        raise UnsupportedCallError(f"activation_fn {name} cannot be saved: give it when the model is loaded")
    return str(name)


def softmax(scores: Array) -> Array:  # (N, L) -> (N, L)
    """Make the scores of each row sum to 1.

    >>> softmax(np.float32([[1.0, 1.0]])).tolist()
    [[0.5, 0.5]]
    """
    return SCORE_ACTIVATIONS["Softmax"](scores)
