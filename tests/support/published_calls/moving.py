"""Calls of the migration guide, in their old and new spellings; and the pages about what is not text on a CPU."""

from published_calls.call import of_page
from published_calls.given import BAKERY, CROSS, PAIRS, PROMPTED, STSB, THREE, TINY

migration = of_page("migration")
images = of_page("images", kind="image")
sparse = of_page("sparse", kind="sparse")
multi = of_page("multi-vector", kind="multi-vector")
custom = of_page("custom", kind="torch")

STARTED = "from sentence_transformers import SentenceTransformer"
CROSS_STARTED = "from sentence_transformers import CrossEncoder"
EVALUATED = """
sentences1, sentences2, scores = ["bread", "a train", "rain"], ["a baker's bread", "a cat", "it rains"], [0.9, 0.1, 0.8]
"""
OLD_PATHS = {  # an old or new path: what is imported from it
    "sentence_transformers.evaluation": "EmbeddingSimilarityEvaluator",
    "sentence_transformers.sentence_transformer.evaluation": "EmbeddingSimilarityEvaluator",
    "sentence_transformers.similarity_functions": "SimilarityFunction",
    "sentence_transformers.util.similarity": "SimilarityFunction",
    "sentence_transformers.quantization": "quantize_embeddings",
    "sentence_transformers.util.quantization": "quantize_embeddings",
    "sentence_transformers.sentence_transformer.model": "SentenceTransformer",
    "sentence_transformers.cross_encoder.model": "CrossEncoder",
}
TRAINING_PATHS = {
    "sentence_transformers.losses": "MultipleNegativesRankingLoss",
    "sentence_transformers.training_args": "SentenceTransformerTrainingArguments",
    "sentence_transformers.trainer": "SentenceTransformerTrainer",
    "sentence_transformers.data_collator": "SentenceTransformerDataCollator",
    "sentence_transformers.model_card": "SentenceTransformerModelCardData",
    "sentence_transformers.base.sampler": "NoDuplicatesBatchSampler",
    "sentence_transformers.sampler": "NoDuplicatesBatchSampler",
    "sentence_transformers.datasets": "NoDuplicatesDataLoader",
}

CALLS = [
    *(
        migration(f"from {path}", f"from {path} import {name}", result=f"{name}.__name__")
        for path, name in OLD_PATHS.items()
    ),
    migration("the old name of the dimension", "dim = model.get_sentence_embedding_dimension()", TINY),
    migration("the new name of the dimension", "dim = model.get_embedding_dimension()", TINY),
    migration("encode(sentences=...)", "embeddings = model.encode(sentences=sentences)", TINY, THREE),
    migration("encode(inputs=...)", "embeddings = model.encode(inputs=sentences)", TINY, THREE),
    migration(
        "the old name of the tokenizer's options",
        """
model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2", tokenizer_kwargs={"model_max_length": 8})
""",
        STARTED,
        result='model.max_seq_length, model.encode("rain " * 20)',
    ),
    migration(
        "the new name of the tokenizer's options",
        """
model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2", processor_kwargs={"model_max_length": 8})
""",
        STARTED,
        result='model.max_seq_length, model.encode("rain " * 20)',
    ),
    migration(
        "a cross-encoder's options by place",
        """
model = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2", 1, 512, nn.Sigmoid(), "cpu")
scores = model.predict(pairs)
""",
        CROSS_STARTED,
        PAIRS,
        "from torch import nn",
        needs=("torch",),
    ),
    migration(
        "a cross-encoder's options by name",
        """
model = CrossEncoder(
    "cross-encoder/ms-marco-MiniLM-L6-v2", num_labels=1, max_length=512, activation_fn=nn.Sigmoid(), device="cpu"
)
scores = model.predict(pairs)
""",
        CROSS_STARTED,
        PAIRS,
        "from torch import nn",
        needs=("torch",),
    ),
    migration("max_length of a cross-encoder, old", "model.max_length", STSB),
    migration("max_seq_length of a cross-encoder, new", "model.max_seq_length", STSB),
    migration(
        "old names of a cross-encoder's options",
        """
model = CrossEncoder(
    model_name="cross-encoder/ms-marco-MiniLM-L6-v2",
    automodel_args={},
    tokenizer_args={},
    config_args={},
    cache_dir=None,
    default_activation_function=None,
)
scores = model.predict(pairs)
""",
        CROSS_STARTED,
        PAIRS,
    ),
    migration(
        "new names of a cross-encoder's options",
        """
model = CrossEncoder(
    model_name_or_path="cross-encoder/ms-marco-MiniLM-L6-v2",
    model_kwargs={},
    processor_kwargs={},
    config_kwargs={},
    cache_folder=None,
    activation_fn=None,
)
scores = model.predict(pairs)
""",
        CROSS_STARTED,
        PAIRS,
    ),
    migration(
        "old arguments of predict", "scores = model.predict(pairs, activation_fct=None, num_workers=0)", CROSS, PAIRS
    ),
    migration(
        "old arguments of rank", "ranks = model.rank(query, corpus, activation_fct=None, num_workers=0)", CROSS, BAKERY
    ),
    migration(
        "scores of a ranking as JSON", "json.loads(json.dumps(model.rank(query, corpus)))", CROSS, BAKERY, "import json"
    ),
    migration(
        "a query's prompt by name",
        """
query_embedding = model.encode(query, prompt_name="query")
document_embedding = model.encode(corpus[0])
""",
        PROMPTED,
        BAKERY,
        result="query_embedding, document_embedding",
    ),
    migration(
        "queries and documents by their own methods",
        """
query_embedding = model.encode_query(query)
document_embedding = model.encode_document(corpus[0])
""",
        PROMPTED,
        BAKERY,
        result="query_embedding, document_embedding",
    ),
    migration(
        "encode_multi_process",
        """
pool = model.start_multi_process_pool(["cpu", "cpu", "cpu", "cpu"])
embeddings = model.encode_multi_process(sentences, pool, chunk_size=512)
model.stop_multi_process_pool(pool)
""",
        TINY,
        THREE,
        result="embeddings",
    ),
    migration(
        "encode with several devices",
        'embeddings = model.encode(sentences, device=["cpu", "cpu", "cpu", "cpu"], chunk_size=512)',
        TINY,
        THREE,
    ),
    migration(
        "a width at loading",
        """
model = SentenceTransformer("mixedbread-ai/mxbai-embed-large-v1", truncate_dim=16)
embeddings = model.encode(sentences)
""",
        STARTED,
        THREE,
    ),
    migration(
        "the argument's width comes first",
        """
model = SentenceTransformer("mixedbread-ai/mxbai-embed-large-v1", truncate_dim=16)
embeddings = model.encode(sentences, truncate_dim=8)
""",
        STARTED,
        THREE,
    ),
    migration(
        "int8 from several processes",
        'embeddings = model.encode(sentences, device=["cpu", "cpu"], precision="int8")',
        TINY,
        THREE,
        exact=False,
    ),
    migration(
        "a similarity function set by name",
        'model.similarity_fn_name = "dot"',
        STARTED,
        'model = SentenceTransformer("sentence-transformers/all-mpnet-base-v2")',
        THREE,
        result="model.similarity(model.encode(sentences), model.encode(sentences))",
    ),
    migration(
        "the old evaluator of correlation",
        """
evaluator = CECorrelationEvaluator(sentence_pairs=list(zip(sentences1, sentences2)), scores=scores, name="dev")
results = evaluator(model)
""",
        CROSS,
        EVALUATED,
        "from sentence_transformers.cross_encoder.evaluation import CECorrelationEvaluator",
        result="results",
    ),
    migration(
        "the old evaluator of two classes",
        """
pairs = list(zip(sentences1, sentences2))
evaluator = CEBinaryClassificationEvaluator(sentence_pairs=pairs, labels=[1, 0, 1], name="dev")
results = evaluator(model)
""",
        STSB,
        EVALUATED,
        "from sentence_transformers.cross_encoder.evaluation import CEBinaryClassificationEvaluator",
        result="results",
    ),
    *(
        migration(
            f"the old evaluator {name}",
            f"from sentence_transformers.cross_encoder.evaluation import {name}",
            result=f"callable({name})",
        )
        for name in ("CEBinaryAccuracyEvaluator", "CEF1Evaluator", "CESoftmaxAccuracyEvaluator", "CERerankingEvaluator")
    ),
    migration("a task of a router", 'embeddings = model.encode(sentences, task="classification")', TINY, THREE),
    migration("modules", "asym_model = Asym({})", "from sentence_transformers.models import Asym, Dense", kind="torch"),
    migration("a layer added", 'model.add_module("router", None)', TINY, kind="torch"),
    *(
        migration(f"training: from {path}", f"{name}()", f"from {path} import {name}", kind="training")
        for path, name in TRAINING_PATHS.items()
    ),
    custom(
        "modules of one's own",
        """
class DecayMeanPooling(Module):
    config_keys = ["dimension", "decay"]

DecayMeanPooling()
""",
        "from sentence_transformers.sentence_transformer.modules import Module",
    ),
    custom(
        "a pipeline of modules",
        """
transformer = Transformer("sentence-transformers/all-MiniLM-L6-v2", max_seq_length=256)
""",
        "from sentence_transformers.base.modules import Normalize, Transformer",
    ),
    images("a picture", 'model.encode(Image.new("RGB", (2, 2)))', TINY, "from PIL import Image", needs=("PIL",)),
    images("a picture's text", 'model.encode({"text": "a dog", "image": "dog.jpg"})', TINY),
    images("CLIP", 'model = SentenceTransformer("sentence-transformers/clip-ViT-B-32")', STARTED),
    sparse(
        "SparseEncoder",
        'model = SparseEncoder("naver/splade-cocondenser-ensembledistil")',
        "from sentence_transformers import SparseEncoder",
    ),
    sparse(
        "its evaluators",
        "SparseTripletEvaluator([], [], [])",
        "from sentence_transformers.sparse_encoder.evaluation import SparseTripletEvaluator",
    ),
    sparse(
        "its search engines",
        "semantic_search_qdrant(None)",
        "from sentence_transformers.sparse_encoder.search_engines import semantic_search_qdrant",
    ),
    sparse("its trainer", "SparseEncoderTrainer(model=None)", "from sentence_transformers import SparseEncoderTrainer"),
    multi(
        "MultiVectorEncoder",
        'model = MultiVectorEncoder("lightonai/LateOn")',
        "from sentence_transformers import MultiVectorEncoder",
    ),
    multi(
        "its evaluators",
        "MultiVectorTripletEvaluator([], [], [])",
        "from sentence_transformers.multi_vector_encoder.evaluation import MultiVectorTripletEvaluator",
    ),
]
