"""`cross_encoder` of the reference: models that score pairs; unsupported names are refused."""

from typing import Any

from minembed.sentence_transformers.cross_encoder.model import CrossEncoder
from minembed.sentence_transformers.refusals import CARD, CROSS_TRAINING, refused

__all__ = [
    "CrossEncoder",
    "CrossEncoderDataCollator",
    "CrossEncoderModelCardData",
    "CrossEncoderTrainer",
    "CrossEncoderTrainingArguments",
]

CrossEncoderDataCollator: Any = refused("CrossEncoderDataCollator", CROSS_TRAINING)
CrossEncoderModelCardData: Any = refused("CrossEncoderModelCardData", CARD)
CrossEncoderTrainer: Any = refused("CrossEncoderTrainer", CROSS_TRAINING)
CrossEncoderTrainingArguments: Any = refused("CrossEncoderTrainingArguments", CROSS_TRAINING)
