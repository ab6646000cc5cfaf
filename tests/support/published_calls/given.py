"""What many calls begin with: models that are only read, and texts of our own."""

MINILM = """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2")
"""
TINY = """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2")
"""
PROMPTED = """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("mixedbread-ai/mxbai-embed-large-v1")
"""
CROSS = """
from sentence_transformers import CrossEncoder
model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2")
"""
STSB = """
from sentence_transformers import CrossEncoder
model = CrossEncoder("cross-encoder/stsb-roberta-base")
"""
LABELS = """
from sentence_transformers import CrossEncoder
model = CrossEncoder("cross-encoder/nli-deberta-v3-base")
"""
UTIL = "from sentence_transformers import util"

THREE = """
sentences = ["The bakery opens at six.", "Fresh bread is sold in the morning.", "Our train is late again."]
"""
BAKERY = """
query = "When can I buy bread?"
corpus = [
    "The bakery opens at six.",
    "Our train is late again.",
    "Fresh bread is sold in the morning.",
    "The library lends books for a month.",
]
"""
PAIRS = """
pairs = [("When can I buy bread?", "The bakery opens at six."), ("When can I buy bread?", "Our train is late again.")]
"""
MANY = """
texts = [
    "A baker kneads dough.",
    "Dough is kneaded by a baker.",
    "The baker is kneading the dough.",
    "Two trains meet at the station.",
    "At the station two trains meet.",
    "Rain falls on the river.",
    "It rains on the river.",
    "A cat sleeps in the library.",
]
"""
VECTORS = """
import numpy as np
left = np.random.default_rng(1).standard_normal((3, 8)).astype(np.float32)
right = np.random.default_rng(2).standard_normal((4, 8)).astype(np.float32)
"""
CORPUS_VECTORS = """
import numpy as np
corpus_embeddings = np.random.default_rng(3).standard_normal((40, 16)).astype(np.float32)
query_embeddings = np.random.default_rng(4).standard_normal((3, 16)).astype(np.float32)
"""

SHARED = {MINILM, TINY, PROMPTED, CROSS, STSB, LABELS, UTIL, THREE, BAKERY, PAIRS, MANY, VECTORS, CORPUS_VECTORS}
EVALUATED = "\n" + TINY  # a model of its own, as the reference notes in a model what has evaluated it
assert EVALUATED not in SHARED
