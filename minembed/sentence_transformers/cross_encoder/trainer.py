"""`cross_encoder.trainer` of the reference, a part of its training: refused by name."""

from minembed.sentence_transformers.refusals import CROSS_TRAINING, none_of

__getattr__ = none_of(CROSS_TRAINING)
