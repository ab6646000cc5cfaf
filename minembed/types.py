"""The types that rooms share, and the names that options may have: written here once, checked from here everywhere."""

from typing import Any, Literal, Protocol

from numpy.typing import NDArray

Array = NDArray[Any]

Dtype = Literal["float32", "bfloat16", "int8"]  # what an encoder computes in
DtypeChoice = Literal["auto", Dtype]  # what it is asked to compute in
Backend = Literal["auto", "numpy", "numba", "native"]
Precision = Literal["float32", "int8", "uint8", "binary", "ubinary"]  # what vectors are stored in
IndexPrecision = Literal["float32", "int8", "binary"]  # what a search of an index reads
Metric = Literal["cosine", "dot", "euclidean", "manhattan"]
OutputValue = Literal["sentence_embedding", "token_embeddings"]
Truncation = Literal["warn", "error", "silent"]  # what happens to texts that are too long
Errors = Literal["replace", "strict"]  # what happens to lone surrogates

Schedule = Literal["linear", "cosine", "constant"]  # how the learning rate goes; the first is the default
LabelledLoss = Literal["contrastive", "online_contrastive", "cosine_similarity", "cosent"]
Loss = Literal["multiple_negatives_ranking", "multiple_negatives_symmetric_ranking", "triplet", LabelledLoss]
Size = Literal["tiny", "small"]  # of a model that is made from nothing
MapMethod = Literal["tsne", "umap", "pca"]
ClusterMethod = Literal["kmeans", "hdbscan"]
TextFormat = Literal["txt", "csv", "tsv", "jsonl", "json", "parquet", "feather"]  # of a file of texts
Missing = Literal["error", "skip", "empty"]  # what happens to a row without a text
Header = Literal["yes", "no"]  # whether the first row of a table names its columns
Quotes = Literal["yes", "no"]  # whether quotes around a cell enclose it, or are part of its text
Color = Literal["auto", "truecolor", "256", "never"]  # of a terminal


class TextModel(Protocol):
    """What search needs of a model: from texts to vectors, and which model it is.  An `Embedder` is one."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def revision(self) -> str | None: ...  # noqa: D102
    @property
    def dtype(self) -> str: ...  # noqa: D102
    @property
    def dimension(self) -> int: ...  # noqa: D102
    @property
    def max_seq_length(self) -> int: ...  # noqa: D102
    @property
    def checkpoint(self) -> Any: ...  # noqa: D102

    def encode(self, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102
    def encode_query(self, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102
    def encode_document(self, *args: Any, **kwargs: Any) -> Any: ...  # noqa: D102
