"""Code written for sentence-transformers, unchanged except for its imports.

    from minembed.sentence_transformers import SentenceTransformer, util

    model = SentenceTransformer("all-MiniLM-L6-v2")
    util.semantic_search(model.encode_query("a question"), model.encode_document(passages))

Names, signatures, defaults and return types are those of its release 6.2 ("the reference"); minembed computes the
numbers.  A name that is not supported can be imported too; calling it raises an error that says what to write instead.
"""

from typing import Any

from minembed.sentence_transformers.cross_encoder import (
    CrossEncoder,
    CrossEncoderModelCardData,
    CrossEncoderTrainer,
    CrossEncoderTrainingArguments,
)
from minembed.sentence_transformers.readers import InputExample
from minembed.sentence_transformers.refusals import EXPORT, MULTI_VECTOR, SPARSE, TRAINING, refused
from minembed.sentence_transformers.sentence_transformer import (
    SentenceTransformer,
    SentenceTransformerModelCardData,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from minembed.sentence_transformers.util import (
    LoggingHandler,
    SimilarityFunction,
    mine_hard_negatives,
    quantize_embeddings,
    resolve_ids,
)

__all__ = [
    "CrossEncoder",
    "CrossEncoderModelCardData",
    "CrossEncoderTrainer",
    "CrossEncoderTrainingArguments",
    "DefaultBatchSampler",
    "InputExample",
    "LoggingHandler",
    "MultiDatasetDefaultBatchSampler",
    "MultiVectorEncoder",
    "MultiVectorEncoderModelCardData",
    "MultiVectorEncoderTrainer",
    "MultiVectorEncoderTrainingArguments",
    "ParallelSentencesDataset",
    "SentenceTransformer",
    "SentenceTransformerModelCardData",
    "SentenceTransformerTrainer",
    "SentenceTransformerTrainingArguments",
    "SentencesDataset",
    "SimilarityFunction",
    "SparseEncoder",
    "SparseEncoderModelCardData",
    "SparseEncoderTrainer",
    "SparseEncoderTrainingArguments",
    "export_dynamic_quantized_onnx_model",
    "export_optimized_onnx_model",
    "export_static_quantized_openvino_model",
    "mine_hard_negatives",
    "quantize_embeddings",
    "resolve_ids",
]

__version__ = "6.2.0"  # the release of the reference

DefaultBatchSampler: Any = refused("DefaultBatchSampler", TRAINING)
MultiDatasetDefaultBatchSampler: Any = refused("MultiDatasetDefaultBatchSampler", TRAINING)
MultiVectorEncoder: Any = refused("MultiVectorEncoder", MULTI_VECTOR)
MultiVectorEncoderModelCardData: Any = refused("MultiVectorEncoderModelCardData", MULTI_VECTOR)
MultiVectorEncoderTrainer: Any = refused("MultiVectorEncoderTrainer", MULTI_VECTOR)
MultiVectorEncoderTrainingArguments: Any = refused("MultiVectorEncoderTrainingArguments", MULTI_VECTOR)
ParallelSentencesDataset: Any = refused("ParallelSentencesDataset", TRAINING)
SentencesDataset: Any = refused("SentencesDataset", TRAINING)
SparseEncoder: Any = refused("SparseEncoder", SPARSE)
SparseEncoderModelCardData: Any = refused("SparseEncoderModelCardData", SPARSE)
SparseEncoderTrainer: Any = refused("SparseEncoderTrainer", SPARSE)
SparseEncoderTrainingArguments: Any = refused("SparseEncoderTrainingArguments", SPARSE)
export_dynamic_quantized_onnx_model: Any = refused("export_dynamic_quantized_onnx_model", EXPORT)
export_optimized_onnx_model: Any = refused("export_optimized_onnx_model", EXPORT)
export_static_quantized_openvino_model: Any = refused("export_static_quantized_openvino_model", EXPORT)
