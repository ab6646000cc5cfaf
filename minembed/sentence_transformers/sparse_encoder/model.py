"""`sparse_encoder.model` of the reference."""

from minembed.sentence_transformers.refusals import SPARSE, none_of

__getattr__ = none_of(SPARSE)
