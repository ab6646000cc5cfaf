"""`datasets` of the reference, under its current path."""

from minembed.sentence_transformers import datasets
from minembed.sentence_transformers.refusals import stand_ins

__all__ = datasets.__all__
__getattr__ = stand_ins(__name__, datasets.NAMES)
