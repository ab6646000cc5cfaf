"""Examples for training, as documented: they are read by `minembed.data.examples`."""

from minembed.data.examples import Examples, read_examples, read_texts
from minembed.data.table import Reading

__all__ = ["Examples", "Reading", "read_examples", "read_texts"]
