"""The modules that a checkpoint applies to a vector after pooling: Dense, LayerNorm and Normalize, in any order.

B texts, D width before, D' width after.  Row i of a result depends only on row i of the input, bit for bit.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from minembed.transformer.ops import gelu, layer_norm, linear, sigmoid
from minembed.transformer.params import Linear, Norm
from minembed.transformer.vectors import l2_normalize
from minembed.types import Array

LAYER_NORM_EPS = 1e-5  # torch's; sentence-transformers has no setting for it


@dataclass(frozen=True, slots=True)
class Dense:
    """activation(x @ weight + bias), plus x if there is a residual."""

    folder: str  # of its weights, below the checkpoint's root
    in_features: int
    out_features: int
    activation: str = "Tanh"  # a row of ACTIVATIONS
    bias: bool = True
    use_residual: bool = False

    def __str__(self) -> str:
        residual = ", residual" if self.use_residual else ""
        return f"Dense({self.in_features} -> {self.out_features}, {self.activation}{residual})"


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Mean 0 and variance 1 over each vector, then a learned scale and shift."""

    folder: str  # of its weights, below the checkpoint's root
    dimension: int

    def __str__(self) -> str:
        return "LayerNorm"


@dataclass(frozen=True, slots=True)
class Normalize:
    """Each vector scaled to length 1."""

    def __str__(self) -> str:
        return "Normalize"


@dataclass(frozen=True, slots=True)
class DenseParams:
    """The weights of a Dense module."""

    linear: Linear  # (in, out)
    residual: Linear | None = None  # (in, out), if the widths differ and x itself cannot be added


Module = Dense | LayerNorm | Normalize
ModuleParams = DenseParams | Norm | None


def width_after(module: Module, width: int) -> int:
    """The width of vectors after a module, if it is `width` before.

    >>> width_after(Dense("2_Dense", 384, 128), 384), width_after(Normalize(), 384)
    (128, 384)
    """
    return module.out_features if isinstance(module, Dense) else width


def transform(x: Array, modules: Sequence[Module], params: Sequence[ModuleParams]) -> Array:  # (B, D) -> (B, D')
    """Send pooled vectors through the modules.

    >>> half = DenseParams(Linear(np.float32([[0.5], [0.5]]), np.float32([0])))
    >>> transform(np.float32([[3, 5]]), [Dense("", 2, 1, "ReLU"), Normalize()], [half, None]).tolist()
    [[1.0]]
    """
    for module, p in zip(modules, params, strict=True):
        if isinstance(module, Dense) and isinstance(p, DenseParams):
            x = dense(x, module, p)  # (B, in) -> (B, out)
        elif isinstance(module, LayerNorm) and isinstance(p, Norm):
            x = layer_norm(x, p, LAYER_NORM_EPS)
        else:
            x = l2_normalize(x)
    return x


def dense(x: Array, module: Dense, p: DenseParams) -> Array:  # (B, in) -> (B, out)
    """One Dense module.

    >>> twice = DenseParams(Linear(np.float32([[2]]), np.float32([1])))
    >>> dense(np.float32([[10]]), Dense("", 1, 1, "Identity", use_residual=True), twice).tolist()
    [[31.0]]
    """
    y = ACTIVATIONS[module.activation](linear(x, p.linear))
    if module.use_residual:
        y = y + (x if p.residual is None else linear(x, p.residual))
    return y


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _elu(x: Array) -> Array:
    return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {  # torch's classes, with their default settings
    "Identity": lambda x: x,
    "Tanh": np.tanh,
    "ReLU": lambda x: np.maximum(x, 0),
    "GELU": gelu,
    "SiLU": lambda x: x * sigmoid(x),
    "Sigmoid": sigmoid,
    "LeakyReLU": lambda x: np.where(x > 0, x, x * x.dtype.type(0.01)),
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "ELU": _elu,
    "SELU": lambda x: (
        x.dtype.type(1.0507009873554805)
        * np.where(x > 0, x, x.dtype.type(1.6732632423543772) * np.expm1(np.minimum(x, 0)))
    ),
    "Mish": lambda x: x * np.tanh(_softplus(x)),
    "Softplus": _softplus,
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Hardtanh": lambda x: np.clip(x, -1, 1),
}
