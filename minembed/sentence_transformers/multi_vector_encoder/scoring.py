"""`multi_vector_encoder.scoring` of the reference."""

from minembed.sentence_transformers.refusals import MULTI_VECTOR, none_of

__getattr__ = none_of(MULTI_VECTOR)
