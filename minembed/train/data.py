"""The documented import path for training examples; the code is in `minembed.data.examples`."""

from minembed.data.examples import Examples, read_examples, read_texts
from minembed.data.table import Reading

__all__ = ["Examples", "Reading", "read_examples", "read_texts"]
