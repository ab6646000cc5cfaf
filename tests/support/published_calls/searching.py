"""Calls that compare and search: similarity, semantic search, re-ranking, clusters, paraphrases, quantised vectors."""

from published_calls.call import of_page
from published_calls.given import BAKERY, CORPUS_VECTORS, MANY, MINILM, PROMPTED, THREE, TINY

similarity = of_page("similarity")
search = of_page("search")
rerank = of_page("rerank")
clustering = of_page("clustering")
paraphrases = of_page("paraphrases")
bitext = of_page("bitext")
summaries = of_page("summaries")
quantization = of_page("quantization")

FUNCTION = "from sentence_transformers import SentenceTransformer, SimilarityFunction"
OWN = FUNCTION + '\nmodel = SentenceTransformer("sentence-transformers/all-mpnet-base-v2")'
TWO_LISTS = """
sentences1 = ["A baker kneads dough.", "A cat sleeps.", "Rain on the river"]
sentences2 = ["Dough is kneaded.", "Two trains meet.", "It rains on the river."]
"""
SEARCH = "from sentence_transformers.util import semantic_search"
SEARCHED = (
    SEARCH
    + """
corpus_embeddings = model.encode(corpus, convert_to_tensor=True)
query_embedding = model.encode(query, convert_to_tensor=True)
"""
)
FOUND = """
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import semantic_search
bi_encoder = SentenceTransformer("sentence-transformers/multi-qa-MiniLM-L6-cos-v1")
bi_encoder.max_seq_length = 24
cross_encoder = CrossEncoder("cross-encoder/ms-marco-MiniLM-L6-v2")
"""
QUANTIZE = """
from sentence_transformers.util.quantization import quantize_embeddings, semantic_search_faiss, semantic_search_usearch
full_corpus_embeddings = corpus_embeddings
"""


SEARCHED_BY = {"faiss": ("float32", "uint8", "ubinary"), "usearch": ("float32", "int8", "binary")}


def with_library(library, precision, exact):
    """A search in quantised vectors, as the scripts make it."""
    return f"""
results, search_time, corpus_index = semantic_search_{library}(
    query_embeddings,
    corpus_index=None,
    corpus_embeddings=quantize_embeddings(full_corpus_embeddings, precision="{precision}"),
    corpus_precision="{precision}",
    top_k=10,
    calibration_embeddings=full_corpus_embeddings,
    rescore={precision != "float32"},
    rescore_multiplier=4,
    exact={exact},
    output_index=True,
)
"""


CALLS = [
    similarity(
        "two lists, all with all",
        """
embeddings1 = model.encode(sentences1)
embeddings2 = model.encode(sentences2)
similarities = model.similarity(embeddings1, embeddings2)
""",
        MINILM,
        TWO_LISTS,
    ),
    similarity(
        "one number out of the matrix",
        'f"{similarities[0][1]:.4f}"',
        MINILM,
        TWO_LISTS,
        "similarities = model.similarity(model.encode(sentences1), model.encode(sentences2))",
    ),
    similarity(
        "a similarity at loading",
        """
model = SentenceTransformer("sentence-transformers/all-MiniLM-L6-v2", similarity_fn_name=SimilarityFunction.DOT_PRODUCT)
""",
        FUNCTION,
        THREE,
        result="model.similarity_fn_name, model.similarity(model.encode(sentences), model.encode(sentences))",
    ),
    similarity(
        "a similarity set later",
        "model.similarity_fn_name = SimilarityFunction.DOT_PRODUCT",
        OWN,
        THREE,
        result="model.similarity_fn_name, model.similarity(model.encode(sentences), model.encode(sentences))",
    ),
    similarity(
        "Manhattan distances",
        """
model.similarity_fn_name = SimilarityFunction.MANHATTAN
similarities = model.similarity(embeddings, embeddings)
""",
        OWN,
        THREE,
        "embeddings = model.encode(sentences)",
        result="model.similarity_fn_name, similarities",
    ),
    similarity(
        "Euclidean distances",
        """
model.similarity_fn_name = SimilarityFunction.EUCLIDEAN
similarities = model.similarity(embeddings[:2], embeddings[1:])
""",
        OWN,
        THREE,
        "embeddings = model.encode(sentences)",
        result="model.similarity_fn_name, similarities",
    ),
    similarity(
        "pair by pair",
        "similarities = model.similarity_pairwise(model.encode(sentences1), model.encode(sentences2))",
        MINILM,
        TWO_LISTS,
    ),
    similarity(
        "saved with the model",
        """
model.similarity_fn_name = SimilarityFunction.DOT_PRODUCT
model.save_pretrained("with-dot")
""",
        OWN,
        result='SentenceTransformer("with-dot").similarity_fn_name',
    ),
    # semantic search
    search(
        "documents as a tensor",
        "corpus_embeddings = embedder.encode_document(corpus, convert_to_tensor=True)",
        MINILM,
        "embedder = model",
        BAKERY,
        needs=("torch",),
    ),
    search(
        "a query as a tensor",
        "query_embedding = embedder.encode_query(query, convert_to_tensor=True)",
        MINILM,
        "embedder = model",
        BAKERY,
        needs=("torch",),
    ),
    search(
        "the best by torch.topk",
        """
similarity_scores = embedder.similarity(query_embedding, corpus_embeddings)[0]
scores, indices = torch.topk(similarity_scores, k=2)
""",
        MINILM,
        BAKERY,
        """
import torch
embedder = model
corpus_embeddings = embedder.encode_document(corpus, convert_to_tensor=True)
query_embedding = embedder.encode_query(query, convert_to_tensor=True)
""",
        needs=("torch",),
        result="scores, indices",
    ),
    search(
        "semantic_search",
        "hits = semantic_search(query_embedding, corpus_embeddings, top_k=5)",
        MINILM,
        BAKERY,
        SEARCHED,
        needs=("torch",),
    ),
    search(
        "semantic_search on arrays",
        "hits = semantic_search(model.encode(query), model.encode(corpus), top_k=2)",
        MINILM,
        BAKERY,
        SEARCH,
    ),
    search(
        "a search in normalised vectors by dot product",
        """
corpus_embeddings = normalize_embeddings(corpus_embeddings)
query_embeddings = normalize_embeddings(query_embeddings)
hits = semantic_search(query_embeddings, corpus_embeddings, score_function=dot_score)
""",
        CORPUS_VECTORS,
        "from sentence_transformers.util import dot_score, normalize_embeddings, semantic_search",
        """
import torch
corpus_embeddings, query_embeddings = torch.from_numpy(corpus_embeddings), torch.from_numpy(query_embeddings)
""",
        needs=("torch",),
        result="hits",
    ),
    search(
        "vectors to a GPU",
        'corpus_embeddings = corpus_embeddings.to("cuda")',
        MINILM,
        BAKERY,
        SEARCHED,
        kind="gpu",
        needs=("torch",),
    ),
    search(
        "the corpus where the model is",
        "corpus_embeddings = corpus_embeddings.to(model.device)",
        MINILM,
        BAKERY,
        SEARCHED,
        needs=("torch",),
    ),
    search(
        "titles and abstracts",
        """
corpus_embeddings = model.encode([title + "[SEP]" + abstract for title, abstract in papers], convert_to_tensor=True)
query_embedding = model.encode("Bread" + "[SEP]" + "How a bakery works.", convert_to_tensor=True)
search_hits = semantic_search(query_embedding, corpus_embeddings)
""",
        SEARCH,
        """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("sentence-transformers/allenai-specter")
papers = [("On bread", "We bake it."), ("On trains", "They are late."), ("On rain", "It falls.")]
""",
        needs=("torch",),
        result="search_hits",
    ),
    search(
        "passages with their titles",
        """
corpus_embeddings = bi_encoder.encode(passages, convert_to_tensor=True, show_progress_bar=True)
hits = semantic_search(bi_encoder.encode(query, convert_to_tensor=True), corpus_embeddings, top_k=2)
""",
        SEARCH,
        BAKERY,
        """
from sentence_transformers import SentenceTransformer
bi_encoder = SentenceTransformer("sentence-transformers/nq-distilbert-base-v1")
passages = [["Bakery", "It opens at six."], ["Train", "It is late again."], ["Library", "It lends books."]]
""",
        needs=("torch",),
        result="hits",
    ),
    search(
        "a corpus with a bar",
        """
corpus_embeddings = model.encode(corpus, show_progress_bar=True, convert_to_numpy=True)
""",
        TINY,
        BAKERY,
    ),
    search(
        "a corpus in batches with a bar",
        "corpus_embeddings = model.encode(corpus, batch_size=32, show_progress_bar=True)",
        TINY,
        BAKERY,
    ),
    search("part of a corpus, no bar", "embeddings = model.encode(corpus[0:2], show_progress_bar=False)", TINY, BAKERY),
    search("a vector for a store's client", "model.encode(query).tolist()", TINY, BAKERY),
    search(
        "exact hits beside those of an index",
        """
correct_hits = semantic_search(question_embedding, corpus_embeddings, top_k=10)[0]
correct_hits_ids = set([hit["corpus_id"] for hit in correct_hits])
""",
        SEARCH,
        CORPUS_VECTORS,
        """
import torch
question_embedding, corpus_embeddings = query_embeddings[0], torch.from_numpy(corpus_embeddings)
""",
        needs=("torch",),
        result="correct_hits, sorted(correct_hits_ids)",
    ),
    search(
        "a query normalised by hand, for an index",
        """
question_embedding = model.encode(query)
question_embedding = question_embedding / np.linalg.norm(question_embedding)
question_embedding = np.expand_dims(question_embedding, axis=0)
""",
        TINY,
        BAKERY,
        "import numpy as np",
        result="question_embedding",
    ),
    search(
        "vectors in a pickle",
        'pickle.dumps({"sentences": corpus, "embeddings": model.encode(corpus)})',
        TINY,
        BAKERY,
        "import pickle",
        result="pickle.loads(pickle.dumps(model.encode(corpus)))",
    ),
    search("the best device", "device = get_device_name()", "from sentence_transformers.util import get_device_name"),
    search(
        "a download",
        'http_get("http://127.0.0.1:9/corpus.json", "corpus.json")',
        "from sentence_transformers.util import http_get",
        kind="hub",
    ),
    # retrieve and re-rank
    rerank(
        "documents, then a query",
        """
document_embeddings = model.encode(corpus)
query_embedding = model.encode(query)
""",
        BAKERY,
        """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("sentence-transformers/multi-qa-mpnet-base-dot-v1")
""",
        result="document_embeddings, query_embedding",
    ),
    rerank(
        "passages of one document, scored for a query",
        """
model_inputs = [[query, passage] for passage in corpus]
scores = model.predict(model_inputs)
results = [{"input": inp, "score": score} for inp, score in zip(model_inputs, scores)]
results = sorted(results, key=lambda x: x["score"], reverse=True)
""",
        BAKERY,
        'from sentence_transformers import CrossEncoder\nmodel = CrossEncoder("cross-encoder/ms-marco-TinyBERT-L2")',
        result="results",
    ),
    rerank(
        "retrieve, then score the pairs",
        """
hits = semantic_search(bi_encoder.encode(query), bi_encoder.encode(corpus), top_k=3)[0]
cross_inp = [[query, corpus[hit["corpus_id"]]] for hit in hits]
cross_scores = cross_encoder.predict(cross_inp)
for idx in range(len(cross_scores)):
    hits[idx]["cross-score"] = cross_scores[idx]
hits = sorted(hits, key=lambda x: x["cross-score"], reverse=True)
""",
        FOUND,
        BAKERY,
        result="hits",
    ),
    rerank(
        "passages as a tensor with a bar",
        """
corpus_embeddings = bi_encoder.encode(corpus, convert_to_tensor=True, show_progress_bar=True)
hits = semantic_search(bi_encoder.encode(query, convert_to_tensor=True), corpus_embeddings, top_k=32)
""",
        FOUND,
        BAKERY,
        needs=("torch",),
        result="hits",
    ),
    rerank(
        "a query to a GPU",
        "question_embedding = bi_encoder.encode(query, convert_to_tensor=True).cuda()",
        FOUND,
        BAKERY,
        kind="gpu",
        needs=("torch",),
    ),
    # clustering
    clustering(
        "k-means",
        """
corpus_embeddings = embedder.encode(texts)
clustering_model = KMeans(n_clusters=3)
clustering_model.fit(corpus_embeddings)
""",
        MINILM,
        MANY,
        "from sklearn.cluster import KMeans\nembedder = model",
        needs=("sklearn",),
        result="len(clustering_model.labels_), corpus_embeddings[0]",
    ),
    clustering(
        "agglomerative clustering",
        """
clustering_model = AgglomerativeClustering(n_clusters=None, distance_threshold=1.0)
clustering_model.fit(corpus_embeddings)
""",
        MINILM,
        MANY,
        "from sklearn.cluster import AgglomerativeClustering\ncorpus_embeddings = model.encode(texts)",
        needs=("sklearn",),
        result="clustering_model.labels_.tolist()",
    ),
    clustering(
        "communities in a tensor",
        """
corpus_embeddings = model.encode(texts, batch_size=64, show_progress_bar=True, convert_to_tensor=True)
clusters = community_detection(corpus_embeddings, min_community_size=2, threshold=0.75)
""",
        MINILM,
        MANY,
        "from sentence_transformers.util import community_detection",
        needs=("torch",),
        result="clusters",
    ),
    clustering(
        "communities in an array",
        "clusters = community_detection(model.encode(texts), min_community_size=2, threshold=0.75)",
        MINILM,
        MANY,
        "from sentence_transformers.util import community_detection",
    ),
    # paraphrases
    paraphrases(
        "the best pairs",
        "paraphrases = paraphrase_mining(model, texts)",
        MINILM,
        MANY,
        "from sentence_transformers.util import paraphrase_mining",
    ),
    paraphrases(
        "the first ten",
        "rows = [(texts[i], texts[j], score) for score, i, j in paraphrases[0:10]]",
        MINILM,
        MANY,
        "from sentence_transformers.util import paraphrase_mining\nparaphrases = paraphrase_mining(model, texts)",
        result="rows",
    ),
    paraphrases(
        "one neighbour each, one chunk",
        """
paraphrases = paraphrase_mining(model, texts, corpus_chunk_size=len(texts), top_k=1)
""",
        MINILM,
        MANY,
        "from sentence_transformers.util import paraphrase_mining",
    ),
    paraphrases(
        "few pairs in small chunks",
        """
paraphrases = paraphrase_mining(model, texts, query_chunk_size=3, corpus_chunk_size=4, max_pairs=5, top_k=2)
""",
        MINILM,
        MANY,
        "from sentence_transformers.util import paraphrase_mining",
    ),
    paraphrases(
        "duplicate questions",
        "pairs = paraphrase_mining(model, questions)",
        "from sentence_transformers.util import paraphrase_mining",
        MINILM,
        'questions = ["Where is bread sold?", "Where can I buy bread?", "Why does it rain?", "Is it late?"]',
    ),
    # translated sentences
    bitext(
        "both sides as arrays",
        """
x = model.encode(source_sentences, show_progress_bar=True, convert_to_numpy=True)
x = x / np.linalg.norm(x, axis=1, keepdims=True)
""",
        "import numpy as np\nsource_sentences = ['Guten Tag', 'good day', 'rain']",
        """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer("sentence-transformers/LaBSE")
""",
        result="x",
    ),
    bitext("the width, for a file's name", "model.get_embedding_dimension()", TINY),
    bitext(
        "a Dense layer of principal components",
        """
dense = Dense(in_features=model.get_embedding_dimension(), out_features=8, bias=False)
model.add_module("dense", dense)
""",
        TINY,
        "from sentence_transformers.sentence_transformer.modules import Dense",
        kind="torch",
    ),
    # summaries
    summaries(
        "similarities as an array",
        "similarity_scores = model.similarity(embeddings, embeddings).numpy()",
        MINILM,
        MANY,
        "embeddings = model.encode(texts[:3])",
    ),
    # quantisation
    quantization(
        "binary vectors from encode", 'binary_embeddings = model.encode(sentences, precision="binary")', MINILM, THREE
    ),
    quantization(
        "binary vectors afterwards",
        'binary_embeddings = quantize_embeddings(embeddings, precision="binary")',
        MINILM,
        THREE,
        """
from sentence_transformers.quantization import quantize_embeddings
embeddings = model.encode(sentences)
""",
    ),
    quantization(
        "their sizes",
        "embeddings.nbytes, binary_embeddings.shape, binary_embeddings.nbytes, binary_embeddings.dtype.name",
        MINILM,
        THREE,
        """
from sentence_transformers.quantization import quantize_embeddings
embeddings = model.encode(sentences)
binary_embeddings = quantize_embeddings(embeddings, precision="binary")
""",
    ),
    quantization(
        "int8 by the ranges of other vectors",
        """
int8_embeddings = quantize_embeddings(embeddings, precision="int8", calibration_embeddings=calibration_embeddings)
""",
        MINILM,
        THREE,
        MANY,
        """
from sentence_transformers.quantization import quantize_embeddings
calibration_embeddings = model.encode(texts)
embeddings = model.encode(sentences)
""",
        exact=False,
    ),
    quantization(
        "int8 of vectors at hand",
        """
int8_embeddings = quantize_embeddings(query_embeddings, precision="int8", calibration_embeddings=corpus_embeddings)
""",
        CORPUS_VECTORS,
        "from sentence_transformers.quantization import quantize_embeddings",
    ),
    quantization(
        "a corpus, normalised, with a bar",
        """
full_corpus_embeddings = model.encode(corpus, normalize_embeddings=True, show_progress_bar=True)
""",
        TINY,
        BAKERY,
    ),
    quantization(
        "queries, normalised", "query_embeddings = model.encode([query], normalize_embeddings=True)", TINY, BAKERY
    ),
    quantization(
        "unsigned bits of one query",
        'quantize_embeddings(query_embedding.reshape(1, -1), "ubinary")',
        PROMPTED,
        BAKERY,
        "from sentence_transformers.util.quantization import quantize_embeddings",
        "query_embedding = model.encode(query)",
    ),
    quantization(
        "int8 of a corpus by its own ranges",
        'int8_embeddings = quantize_embeddings(full_corpus_embeddings, "int8")',
        CORPUS_VECTORS,
        QUANTIZE,
    ),
    quantization(
        "int8 rows, rescored by hand",
        """
scores = query_embeddings[0] @ quantize_embeddings(full_corpus_embeddings, "int8").astype(int).T
indices = (-scores).argsort()[:10]
""",
        CORPUS_VECTORS,
        QUANTIZE,
        result="scores, indices",
    ),
    quantization(
        "a query's default prompt",
        'query_embedding = model.encode("How is bread made?")',
        """
from sentence_transformers import SentenceTransformer
model = SentenceTransformer(
    "mixedbread-ai/mxbai-embed-large-v1", prompts={"query": "the query: "}, default_prompt_name="query"
)
""",
    ),
    *(
        quantization(
            f"{library}, {precision}",
            with_library(library, precision, True),
            CORPUS_VECTORS,
            QUANTIZE,
            result="results",
        )
        for library, precisions in SEARCHED_BY.items()
        for precision in precisions
    ),
    *(
        quantization(
            f"{library}, by an approximate index",
            with_library(library, precisions[-1], False),
            CORPUS_VECTORS,
            QUANTIZE,
            refused=True,
        )
        for library, precisions in SEARCHED_BY.items()
    ),
]
