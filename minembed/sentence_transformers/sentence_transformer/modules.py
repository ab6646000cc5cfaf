"""`modules` of the reference, under its current path."""

from minembed.sentence_transformers.models import *  # noqa: F403 (the names are listed once)
from minembed.sentence_transformers.models import __all__ as __all__
