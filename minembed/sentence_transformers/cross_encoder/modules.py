"""`cross_encoder.modules` of the reference."""

from minembed.sentence_transformers.refusals import PARTS, none_of

__getattr__ = none_of(PARTS)
