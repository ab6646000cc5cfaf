"""Multi-vector encoders of the reference: refused by name."""

from minembed.sentence_transformers.refusals import MULTI_VECTOR, stand_ins

ENDS = ("", "DataCollator", "ModelCardData", "Trainer", "TrainingArguments")
NAMES = {f"MultiVectorEncoder{end}": MULTI_VECTOR for end in ENDS}
NAMES |= dict.fromkeys(("maxsim", "maxsim_pairwise"), MULTI_VECTOR)

__all__ = sorted(NAMES)
__getattr__ = stand_ins(__name__, NAMES)
