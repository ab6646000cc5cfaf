"""Examples for training, as documented: they are read by `minembed.data.examples`."""

from minembed.data.examples import Examples, read_examples, read_texts

__all__ = ["Examples", "read_examples", "read_texts"]
