"""Evaluators of sentence-transformers' interface on models that are made of checksums: for goldens, and for tests."""

from pathlib import Path
from zlib import crc32

import numpy as np

TEXTS = [f"text {i % 37} of {i % 5}" for i in range(120)]  # some of them twice
RNG = np.random.default_rng(7)
SCORES, LABELS = RNG.random(40).tolist(), RNG.integers(0, 2, 40).tolist()
A, B, C = TEXTS[:40], TEXTS[40:80], TEXTS[80:]
QUERIES = {f"q{i}": text for i, text in enumerate(TEXTS[:10])}
CORPUS = {f"d{i}": text for i, text in enumerate(TEXTS[5:])}
RELEVANT = {f"q{i}": {f"d{j}" for j in RNG.integers(0, 115, i % 4).tolist()} for i in range(10)}
DUPLICATES = [("d1", "d2"), ("d5", "d9"), ("d3", "d2"), ("d10", "d47"), ("d40", "d3")]
SAMPLES = [
    {"query": TEXTS[i], "positive": [TEXTS[i + 20], TEXTS[i + 21]], "negative": TEXTS[i + 30 : i + 36]}
    for i in range(8)
]
RANKED = [{**s, "documents": s["negative"][:3] + s["positive"][:1] + s["negative"][3:]} for s in SAMPLES]
RANKED = [{key: value for key, value in sample.items() if key != "negative"} for sample in RANKED]
PAIRS = list(zip(A, B, strict=True))
ALL = ["cosine", "dot", "euclidean", "manhattan"]


class Card:
    """The model card data to which the reference passes its results."""

    def set_evaluation_metrics(self, *args, **kwargs):
        """Forget them."""


class Vectors:
    """A model whose vectors come from checksums of texts; `util` and `quantize` are the package's under test."""

    similarity_fn_name = "cosine"
    model_card_data = Card()

    def __init__(self, util, quantize, salt=""):
        self.util, self.quantize, self.salt = util, quantize, salt
        self.similarity = util.cos_sim

    def eval(self):
        return self

    def encode(self, texts, precision=None, normalize_embeddings=False, truncate_dim=None, **options):
        prompt = self.salt + (options.get("prompt") or "")
        rows = [np.random.default_rng(crc32((prompt + text).encode())).standard_normal(16) for text in texts]
        vectors = np.asarray(rows, np.float32)[:, :truncate_dim]
        if normalize_embeddings:
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        if precision not in (None, "float32"):
            vectors = self.quantize(vectors, precision)
        if options.get("convert_to_tensor"):
            return self.util._convert_to_tensor(vectors)
        return vectors if options.get("convert_to_numpy", True) else list(self.util._convert_to_tensor(vectors))

    def encode_query(self, texts, **options):
        return self.encode(texts, **options)

    def encode_document(self, texts, **options):
        return self.encode(texts, **options)


class Scores:
    """A cross-encoder whose scores come from checksums of pairs; few of them, so that many are equal."""

    model_card_data = Card()

    def __init__(self, num_labels=1):
        self.num_labels = num_labels

    def predict(self, pairs, **options):
        marks = [[crc32(f"{a}|{b}|{i}".encode()) % 23 for i in range(self.num_labels)] for a, b in pairs]
        return np.asarray(marks, np.float32)[:, 0] / 23 if self.num_labels == 1 else np.asarray(marks, np.float32)


def cases(ev, cev, util, quantize):
    """By name: an evaluator and the model for it."""
    model = Vectors(util, quantize)

    def sts(**options):
        return ev.EmbeddingSimilarityEvaluator(A, B, SCORES, **options)

    def binary(labels=LABELS, **options):
        return ev.BinaryClassificationEvaluator(A, B, labels, **options)

    def retrieval(**options):
        return ev.InformationRetrievalEvaluator(QUERIES, CORPUS, RELEVANT, **options)

    def mining(**options):
        return ev.ParaphraseMiningEvaluator(CORPUS, DUPLICATES, **options)

    scored = {"cos": util.cos_sim, "dot": lambda a, b: util.dot_score(a, b)}
    vectors = {
        "sts": sts(name="dev"),
        "sts of four": sts(similarity_fn_names=ALL),
        "sts by euclidean": sts(main_similarity="euclidean", truncate_dim=9),
        **{f"sts in {p}": sts(precision=p, similarity_fn_names=ALL) for p in ("float32", "int8", "uint8")},
        # of bits many cosines are equal, and their rounding ranks them; dot products and sums are whole numbers
        **{f"sts in {p}": sts(precision=p, similarity_fn_names=["dot", "manhattan"]) for p in ("binary", "ubinary")},
        "binary": binary(name="dev"),
        "binary of four": binary(similarity_fn_names=ALL),
        "binary, all apart": binary([0] * 40),
        "binary, all alike": binary([1] * 40),
        "triplets": ev.TripletEvaluator(A, B, C, name="dev"),
        "triplets of four": ev.TripletEvaluator(A, B, C, similarity_fn_names=ALL, margin=0.3),
        "triplets by dot": ev.TripletEvaluator(A, B, C, main_similarity_function="dot", margin={"dot": 0.1}),
        "retrieval": retrieval(name="dev", write_predictions=True),
        "retrieval by two": retrieval(score_functions=scored, mrr_at_k=[3, 5], map_at_k=[7], query_prompt="z"),
        "retrieval by dot": retrieval(score_functions=scored, main_score_function="dot", corpus_chunk_size=13),
        "mining": mining(name="dev"),
        "mining, closed": mining(add_transitive_closure=True, top_k=5, max_pairs=99),
        "reranking": ev.RerankingEvaluator(SAMPLES, name="dev"),
        "reranking one by one": ev.RerankingEvaluator(
            SAMPLES, at_k=3, use_batched_encoding=False, similarity_fct=util.dot_score
        ),
        "translation": ev.TranslationEvaluator(A, B, name="dev"),
        "error": ev.MSEEvaluator(A, B, teacher_model=Vectors(util, quantize, "t"), name="dev"),
        "error of rows": ev.MSEEvaluatorFromDataFrame(
            [{"en": a, "de": b} for a, b in PAIRS], Vectors(util, quantize, "t"), [("en", "de")], name="dev"
        ),
        "several": ev.SequentialEvaluator([ev.TripletEvaluator(A, B, C, name="t"), sts(name="s")]),
    }
    pairs = {
        "pairs": (cev.CrossEncoderClassificationEvaluator(PAIRS, LABELS, name="dev"), Scores()),
        "classes": (cev.CrossEncoderClassificationEvaluator(PAIRS, [i % 3 for i in range(40)]), Scores(3)),
        "correlation": (cev.CrossEncoderCorrelationEvaluator(PAIRS, SCORES, name="dev"), Scores()),
        "pairs reranked": (cev.CrossEncoderRerankingEvaluator(SAMPLES, name="dev"), Scores()),
        "order reranked": (cev.CrossEncoderRerankingEvaluator(RANKED, at_k=4), Scores()),
        "order kept": (cev.CrossEncoderRerankingEvaluator(RANKED, always_rerank_positives=False), Scores()),
    }
    return {name: (evaluator, model) for name, evaluator in vectors.items()} | pairs


def evaluated(evaluator, model, folder):
    """The result, the metric and the file of an evaluator that runs twice; the second row is below the first."""
    found = evaluator(model, str(folder), 1, 2)
    evaluator(model, str(folder))
    files = {path.name: path.read_bytes().decode() for path in sorted(Path(folder).iterdir())}
    return {"metrics": found, "primary": evaluator.primary_metric, "files": files}
