"""Datasets of the reference's first training loop: refused by name."""

from minembed.sentence_transformers.refusals import TRAINING, stand_ins

NAMES = dict.fromkeys(
    (
        *("DenoisingAutoEncoderDataset", "NoDuplicatesDataLoader", "ParallelSentencesDataset"),
        *("SentenceLabelDataset", "SentencesDataset"),
    ),
    TRAINING,
)

__all__ = sorted(NAMES)
__getattr__ = stand_ins(__name__, NAMES)
