"""`sentence_transformer.model_card` of the reference."""

from minembed.sentence_transformers.refusals import CARD, none_of

__getattr__ = none_of(CARD)
