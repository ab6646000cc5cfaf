"""`sentence_transformer.trainer` of the reference, which belongs to its training."""

from minembed.sentence_transformers.refusals import TRAINING, none_of

__getattr__ = none_of(TRAINING)
