"""`evaluation` of the reference, under its current path."""

from minembed.sentence_transformers.evaluation import *  # noqa: F403 (the names are listed once)
from minembed.sentence_transformers.evaluation import __all__ as __all__
