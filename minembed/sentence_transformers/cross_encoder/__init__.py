"""`cross_encoder` of the reference: models that score pairs, and names that are refused."""

from typing import Any

from minembed.sentence_transformers.cross_encoder.model import CrossEncoder
from minembed.sentence_transformers.refusals import refused

__all__ = [
    "CrossEncoder",
    "CrossEncoderDataCollator",
    "CrossEncoderModelCardData",
    "CrossEncoderTrainer",
    "CrossEncoderTrainingArguments",
]

NONE = "cross-encoders are not trained here; sentence-transformers does it, and minembed loads what it saves"
CrossEncoderDataCollator: Any = refused("CrossEncoderDataCollator", NONE)
CrossEncoderModelCardData: Any = refused("CrossEncoderModelCardData", "edit the README.md of the folder")
CrossEncoderTrainer: Any = refused("CrossEncoderTrainer", NONE)
CrossEncoderTrainingArguments: Any = refused("CrossEncoderTrainingArguments", NONE)
