"""`base.modules` of the reference: its modules, under another path."""

from functools import partial

from minembed.sentence_transformers import models

__getattr__ = partial(getattr, models)
