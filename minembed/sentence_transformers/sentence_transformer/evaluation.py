"""`evaluation` of the reference, under its present path."""

from minembed.sentence_transformers.evaluation import *  # noqa: F403 (the same names, written once)
from minembed.sentence_transformers.evaluation import __all__ as __all__
