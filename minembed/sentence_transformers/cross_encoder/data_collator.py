"""`cross_encoder.data_collator` of the reference, which belongs to its training."""

from minembed.sentence_transformers.refusals import CROSS_TRAINING, none_of

__getattr__ = none_of(CROSS_TRAINING)
