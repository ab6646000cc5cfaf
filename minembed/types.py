"""The types that rooms share, and the names that options may have: written here once, checked from here everywhere."""

from typing import Any, Literal

from numpy.typing import NDArray

Array = NDArray[Any]

Dtype = Literal["float32", "bfloat16", "int8"]  # what an encoder computes in
Backend = Literal["auto", "numpy", "numba"]
Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]  # what vectors are stored in
IndexPrecision = Literal["float32", "int8", "binary"]  # what a search of an index reads
Metric = Literal["cosine", "dot", "euclidean", "manhattan"]
OutputValue = Literal["sentence_embedding", "token_embeddings"]
Truncation = Literal["warn", "error", "silent"]  # what happens to texts that are too long
Errors = Literal["replace", "strict"]  # what happens to lone surrogates
