"""Sparse encoders of the reference: refused by name."""

from minembed.sentence_transformers.refusals import SPARSE, stand_ins

ENDS = ("", "DataCollator", "ModelCardData", "Trainer", "TrainingArguments")
NAMES = {f"SparseEncoder{end}": SPARSE for end in ENDS}

__all__ = sorted(NAMES)
__getattr__ = stand_ins(__name__, NAMES)
