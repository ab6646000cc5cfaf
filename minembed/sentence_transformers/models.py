"""The modules of a model, under the reference's names: views of the supported ones; the others are refused by name."""

from typing import Any

from minembed.sentence_transformers.modules import (
    Dense,
    LayerNorm,
    Normalize,
    Pooling,
    StaticEmbedding,
    Transformer,
)
from minembed.sentence_transformers.refusals import PARTS, refused

__all__ = [
    "CNN",
    "LSTM",
    "Asym",
    "BoW",
    "CLIPModel",
    "Dense",
    "Dropout",
    "InputModule",
    "LayerNorm",
    "Module",
    "Normalize",
    "Pooling",
    "Router",
    "StaticEmbedding",
    "Transformer",
    "WeightedLayerPooling",
    "WordEmbeddings",
    "WordWeights",
]

Asym: Any = refused("Asym", PARTS)
BoW: Any = refused("BoW", PARTS)
CLIPModel: Any = refused("CLIPModel", "minembed reads no images; use sentence-transformers")
CNN: Any = refused("CNN", PARTS)
Dropout: Any = refused("Dropout", PARTS)
InputModule: Any = refused("InputModule", PARTS)
LSTM: Any = refused("LSTM", PARTS)
Module: Any = refused("Module", PARTS)
Router: Any = refused("Router", PARTS)
WeightedLayerPooling: Any = refused("WeightedLayerPooling", PARTS)
WordEmbeddings: Any = refused("WordEmbeddings", PARTS)
WordWeights: Any = refused("WordWeights", PARTS)
