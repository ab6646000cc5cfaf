"""`modules` of the reference, under its present path."""

from minembed.sentence_transformers.models import *  # noqa: F403 (the same names, written once)
from minembed.sentence_transformers.models import __all__ as __all__
