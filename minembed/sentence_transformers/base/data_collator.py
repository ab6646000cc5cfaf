"""`base.data_collator` of the reference, a part of its training: refused by name."""

from minembed.sentence_transformers.refusals import TRAINING, none_of

__getattr__ = none_of(TRAINING)
