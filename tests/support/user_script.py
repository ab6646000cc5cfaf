"""A user's script, only for type checkers: tests/house/test_types.py reads which lines must be errors."""

import numpy as np
from typing_extensions import assert_type

from minembed import Embedder, Index, Reranker, cosine_similarity, quantize_embeddings, semantic_search, top_k
from minembed.models.reranker import Ranked, RankedText
from minembed.search.index import Hit
from minembed.types import Array

model = Embedder.load("all-MiniLM-L6-v2", dtype="int8", backend="auto", threads=2)
Embedder.load(dtype="auto")
Embedder.load(dtype="int9")  # error
Embedder.load(backend="cuda")  # error
Reranker.load("ms-marco-MiniLM-L6-v2", dtype="float16")  # error

texts = ["a", "b"]
assert_type(model.encode("a"), Array)
assert_type(model.encode(texts), Array)
assert_type(model.encode(np.array(texts)), Array)
assert_type(model.encode(text for text in texts), Array)
assert_type(model.encode("a", output_value="token_embeddings"), Array)
assert_type(model.encode(texts, output_value="token_embeddings"), list[Array])
assert_type(model.encode(texts, output_value="sentence_embedding", precision="int8", device="cpu"), Array)
assert_type(model.encode_query("a", prompt="query: ", truncate_dim=64), Array)
assert_type(model.encode_document(texts, batch_size=8, truncation="error"), Array)
for block in model.stream(texts, errors="strict"):
    assert_type(block, Array)
model.encode("a", precision="int9")  # error
model.encode("a", output_value="pooled")  # error
model.encode("a", device="cuda")  # error
model.encode("a", convert_to_numpy=False)  # error
model.encode_query("a", precision="int9")  # error
model.encode_query("a", precison="int8")  # error
model.encode_document(texts, truncation="cut")  # error
model.encode_document(texts, output_value="token_embeddings")  # error
model.stream(texts, normalize_embeddings="yes")  # error
model.tokenize(texts, errors="ignore")  # error
model.fill_mask("a [MASK]")[0]["score"]

index = Index.build(model, texts, metric="dot", precision="int8")
Index.build(model, texts, metric="cosinus")  # error
Index.build(model, texts, precision="uint8")  # error
assert_type(index.search("a"), list[Hit])
assert_type(index.search([0.5, 0.5], k=3, backend="numpy"), list[Hit])
assert_type(index.search(texts, threads=1), list[list[Hit]])
assert_type(index.search([[0.5, 0.5]]), list[list[Hit]])
assert_type(index.search("a", as_arrays=True), tuple[Array, Array])
assert_type(index.search(model.encode(texts), as_arrays=True, rescore_multiplier=8), tuple[Array, Array])
print(index.search(model.encode("a"))[0].text)
index.search("a", backend="cuda")  # error

reranker = Reranker.load("ms-marco-MiniLM-L6-v2", local_files_only=True)
assert_type(reranker.predict([("a", "b")]), Array)
assert_type(reranker.predict(("a", "b"), activation="Identity"), np.float32 | Array)
assert_type(reranker.rank("a", texts, top_k=1), list[Ranked])
assert_type(reranker.rank("a", texts, return_documents=True, batch_size=4), list[RankedText])
reranker.predict([("a", "b")], truncation="cut")  # error
reranker.rank("a", texts, top=1)  # error

assert_type(cosine_similarity([1.0, 0.0], [0.0, 1.0]), Array)
top_k([[1.0]], [[1.0]], 1, metric="dot")
top_k([[1.0]], [[1.0]], 1, metric="dots")  # error
semantic_search([[1.0]], [[1.0]], score_function=cosine_similarity)
semantic_search([[1.0]], [[1.0]], score_function="cos")  # error
quantize_embeddings(np.ones((2, 8)), "ubinary")
quantize_embeddings(np.ones((2, 8)), "int4")  # error
