"""The documented import path for masked language modelling; the code is in `minembed.train.masked_lm`."""

from minembed.train.masked_lm import masked_loss, train_masked_lm, unigram_entropy

__all__ = ["masked_loss", "train_masked_lm", "unigram_entropy"]
