"""Calls of the reference pages of `util`."""

from published_calls.call import of_page
from published_calls.given import CORPUS_VECTORS, MANY, MINILM, THREE, TINY, UTIL, VECTORS

util = of_page("util")

QUANTIZE = "from sentence_transformers import quantize_embeddings"
MATRICES = ("cos_sim", "dot_score", "euclidean_sim", "manhattan_sim", "pytorch_cos_sim")
PAIRWISE = (
    "pairwise_cos_sim",
    "pairwise_dot_score",
    "pairwise_euclidean_sim",
    "pairwise_manhattan_sim",
    "pairwise_angle_sim",
)

CALLS = [
    *(util(name, f"scores = util.{name}(left, right)", UTIL, VECTORS) for name in MATRICES),
    *(util(name, f"scores = util.{name}(left, right[:3])", UTIL, VECTORS) for name in PAIRWISE),
    util("one vector with many", "scores = util.cos_sim(left[0], right)", UTIL, VECTORS),
    util("vectors as lists", "scores = util.cos_sim(left.tolist(), right.tolist())", UTIL, VECTORS),
    util(
        "tensors",
        "scores = util.cos_sim(torch.from_numpy(left), torch.from_numpy(right))",
        UTIL,
        VECTORS,
        "import torch",
        needs=("torch",),
    ),
    util(
        "similarity functions by name",
        """
function = SimilarityFunction.to_similarity_fn("cosine")
scores = function(left, right)
""",
        VECTORS,
        "from sentence_transformers.util import SimilarityFunction",
    ),
    util(
        "pairwise functions by name",
        """
function = SimilarityFunction.to_similarity_pairwise_fn(SimilarityFunction.DOT_PRODUCT)
scores = function(left, right[:3])
""",
        VECTORS,
        "from sentence_transformers.util.similarity import SimilarityFunction",
    ),
    util(
        "names of similarity functions",
        "SimilarityFunction.possible_values()",
        "from sentence_transformers.util import SimilarityFunction",
    ),
    util("semantic_search", "hits = util.semantic_search(query_embeddings, corpus_embeddings)", UTIL, CORPUS_VECTORS),
    util(
        "semantic_search, argument by argument",
        """
hits = util.semantic_search(
    query_embeddings, corpus_embeddings, query_chunk_size=2, corpus_chunk_size=7, top_k=3, score_function=util.dot_score
)
""",
        UTIL,
        CORPUS_VECTORS,
    ),
    util(
        "semantic_search by place",
        "hits = util.semantic_search(query_embeddings, corpus_embeddings, 100, 500000, 2)",
        UTIL,
        CORPUS_VECTORS,
    ),
    util(
        "the old name of semantic_search",
        "hits = util.information_retrieval(query_embeddings, corpus_embeddings, top_k=2)",
        UTIL,
        CORPUS_VECTORS,
    ),
    util(
        "paraphrase_mining, argument by argument",
        """
pairs = util.paraphrase_mining(
    model,
    texts,
    show_progress_bar=False,
    batch_size=4,
    query_chunk_size=5000,
    corpus_chunk_size=100000,
    max_pairs=6,
    top_k=3,
    score_function=util.cos_sim,
)
""",
        UTIL,
        MINILM,
        MANY,
    ),
    util(
        "paraphrase_mining at a width, with a prompt",
        'pairs = util.paraphrase_mining(model, sentences, truncate_dim=16, prompt="on: ")',
        UTIL,
        TINY,
        THREE,
    ),
    util(
        "paraphrase_mining_embeddings",
        "pairs = util.paraphrase_mining_embeddings(torch.from_numpy(corpus_embeddings), max_pairs=9)",
        UTIL,
        CORPUS_VECTORS,
        "import torch",
        needs=("torch",),
    ),
    util(
        "paraphrase_mining_embeddings of an array",
        "pairs = util.paraphrase_mining_embeddings(model.encode(sentences, convert_to_tensor=True))",
        UTIL,
        TINY,
        THREE,
        needs=("torch",),
    ),
    util(
        "community_detection",
        """
communities = util.community_detection(model.encode(texts), threshold=0.7, min_community_size=2, batch_size=3)
""",
        UTIL,
        MINILM,
        MANY,
    ),
    util(
        "normalize_embeddings",
        "normalised = util.normalize_embeddings(torch.from_numpy(left))",
        UTIL,
        VECTORS,
        "import torch",
        needs=("torch",),
    ),
    util("truncate_embeddings", "shorter = util.truncate_embeddings(left, 4)", UTIL, VECTORS),
    util("truncate_embeddings to no width", "same = util.truncate_embeddings(left, truncate_dim=None)", UTIL, VECTORS),
    *(
        util(
            f"quantize_embeddings, {precision}",
            f'quantised = quantize_embeddings(corpus_embeddings, precision="{precision}")',
            QUANTIZE,
            CORPUS_VECTORS,
        )
        for precision in ("float32", "int8", "uint8", "binary", "ubinary")
    ),
    util(
        "quantize_embeddings by ranges",
        """
ranges = np.stack([corpus_embeddings.min(axis=0), corpus_embeddings.max(axis=0)])
quantised = quantize_embeddings(query_embeddings, precision="uint8", ranges=ranges)
""",
        QUANTIZE,
        CORPUS_VECTORS,
    ),
    util(
        "batch_to_device",
        'util.batch_to_device({"a": torch.zeros(2)}, torch.device("cpu"))["a"]',
        UTIL,
        "import torch",
        needs=("torch",),
    ),
    util("get_device_name", "util.get_device_name()", UTIL),
    util(
        "is_sentence_transformer_model",
        'util.is_sentence_transformer_model("output/models/mpnet-base-finetuned-all-nli")',
        UTIL,
    ),
    util(
        "a logger beside progress bars",
        "handler = LoggingHandler()",
        "from sentence_transformers import LoggingHandler",
        result="type(handler).__mro__[1].__name__",
    ),
    util("mine_hard_negatives", "util.mine_hard_negatives(dataset=None, model=model)", UTIL, TINY, kind="training"),
    util("resolve_ids", "util.resolve_ids({})", UTIL, kind="training"),
    util("http_get", 'util.http_get("http://127.0.0.1:9/x", "x")', UTIL, kind="hub"),
    util("maxsim", "util.maxsim([left], [right])", UTIL, VECTORS, kind="multi-vector"),
    util("mean_maxsim", "util.mean_maxsim([left], [right])", UTIL, VECTORS, kind="multi-vector"),
    util("to_scipy_coo", "util.to_scipy_coo(left)", UTIL, VECTORS, kind="sparse"),
    util("select_max_active_dims", "util.select_max_active_dims(left, 2)", UTIL, VECTORS, kind="sparse"),
    util("all_gather", "util.all_gather(left)", UTIL, VECTORS, kind="training"),
]
