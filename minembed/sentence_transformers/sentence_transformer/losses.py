"""`losses` of the reference, under its current path."""

from minembed.sentence_transformers import losses
from minembed.sentence_transformers.refusals import stand_ins

__all__ = losses.__all__
__getattr__ = stand_ins(__name__, losses.NAMES)
