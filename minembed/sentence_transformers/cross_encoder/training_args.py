"""`cross_encoder.training_args` of the reference, which belongs to its training."""

from minembed.sentence_transformers.refusals import CROSS_TRAINING, none_of

__getattr__ = none_of(CROSS_TRAINING)
