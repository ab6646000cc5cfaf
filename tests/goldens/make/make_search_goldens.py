"""Write the goldens of search and evaluation: what sentence-transformers' functions make of given vectors.

python tests/goldens/make/make_search_goldens.py tests/goldens/search
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import util
from sentence_transformers.sentence_transformer import evaluation

METRICS = ["cosine", "dot", "euclidean", "manhattan"]
ALL_PAIRS = dict(zip(METRICS, (util.cos_sim, util.dot_score, util.euclidean_sim, util.manhattan_sim), strict=True))
PAIRWISE = dict(
    zip(
        METRICS,
        (util.pairwise_cos_sim, util.pairwise_dot_score, util.pairwise_euclidean_sim, util.pairwise_manhattan_sim),
        strict=True,
    )
)
MINING = [(500_000, 100), (200, 10), (40, 3), (1, 1)]  # max_pairs, top_k
COMMUNITIES = [(0.75, 10), (0.6, 5), (0.9, 2), (0.95, 1), (0.3, 20)]  # threshold, min_community_size


def clusters(rng, n, width, spread):
    """Vectors around a few directions, of lengths from 0.5 to 2."""
    centers = rng.standard_normal((n // 20, width))
    x = centers[rng.integers(len(centers), size=n)] + spread * rng.standard_normal((n, width))
    return (x / np.linalg.norm(x, axis=1, keepdims=True) * rng.uniform(0.5, 2, (n, 1))).astype(np.float32)


class Stub:
    """A model that knows the vectors of its texts."""

    similarity_fn_name = "cosine"
    similarity = staticmethod(util.cos_sim)

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, convert_to_tensor=False, **options):
        found = np.stack([self.vectors[text] for text in texts])
        return torch.from_numpy(found) if convert_to_tensor else found

    encode_query = encode_document = encode


def run(evaluator, vectors):
    """The metrics of an evaluator, as numbers."""
    evaluator.store_metrics_in_model_card_data = lambda *args, **kwargs: None
    return {name: float(value) for name, value in evaluator(Stub(vectors)).items()}


def retrieval(rng, queries, corpus):
    """Metrics of a retrieval task whose ids are in no order."""
    query_ids = [f"q{i}" for i in rng.permutation(len(queries))]
    corpus_ids = [f"d{i}" for i in rng.permutation(len(corpus))]
    relevant = {}
    for i, query in enumerate(query_ids[:-3]):
        near = np.argsort(-(queries[i] @ corpus.T))[: rng.integers(1, 30)]
        relevant[query] = sorted(corpus_ids[j] for j in rng.permutation(near)[: rng.integers(1, 12)])
    relevant[query_ids[0]].append("nowhere")  # judged, but not in the corpus
    relevant[query_ids[-1]] = []
    at = {"accuracy_at_k": [1, 3, 50], "precision_recall_at_k": [1, 5, 10], "mrr_at_k": [2, 10]}
    at |= {"ndcg_at_k": [3, 10, 40], "map_at_k": [5, 100]}
    evaluator = evaluation.InformationRetrievalEvaluator(
        {one: one for one in query_ids},
        {one: one for one in corpus_ids},
        {query: set(documents) for query, documents in relevant.items()},
        score_functions=ALL_PAIRS,
        write_csv=False,
        corpus_chunk_size=37,
        **at,
    )
    vectors = dict(zip(query_ids, queries, strict=True)) | dict(zip(corpus_ids, corpus, strict=True))
    found = run(evaluator, vectors)
    return {"query_ids": query_ids, "corpus_ids": corpus_ids, "relevant": relevant, "at": at, "metrics": found}


def triplets(a, p, n):
    """Metrics of triplets, with and without a margin."""
    vectors = {f"{s}{i}": row for s, x in zip("apn", (a, p, n), strict=True) for i, row in enumerate(x)}
    texts = [[f"{s}{i}" for i in range(len(a))] for s in "apn"]
    margins = [None, 0.2, {"cosine": 0.1, "manhattan": 0.5}]
    make = evaluation.TripletEvaluator
    return [
        {"margin": m, "metrics": run(make(*texts, margin=m, similarity_fn_names=METRICS, write_csv=False), vectors)}
        for m in margins
    ]


def pairs(a, b, labels):
    """Metrics of pairs that belong together or not."""
    vectors = {f"{s}{i}": row for s, x in zip("ab", (a, b), strict=True) for i, row in enumerate(x)}
    texts = [[f"{s}{i}" for i in range(len(a))] for s in "ab"]
    make = evaluation.BinaryClassificationEvaluator
    return run(make(*texts, list(labels), similarity_fn_names=METRICS, write_csv=False), vectors)


def main():
    """Write vectors.npz and expected.json."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    rng = np.random.default_rng(7)
    x, queries = clusters(rng, 300, 16, 0.35), clusters(rng, 40, 16, 0.5)
    whole = rng.integers(-2, 3, (60, 6)).astype(np.float32)  # dot products without rounding, many of them equal
    zeros = x[:12].copy()
    zeros[[2, 5]] = 0
    arrays = {"x": x, "queries": queries, "whole": whole, "zeros": zeros}
    arrays |= {f"all_pairs/{m}": ALL_PAIRS[m](zeros, zeros[::-1].copy()).numpy() for m in METRICS}
    arrays |= {f"pairwise/{m}": PAIRWISE[m](zeros, zeros[::-1].copy()).numpy() for m in METRICS}
    tensor = torch.from_numpy(x)
    search = {m: util.semantic_search(torch.from_numpy(queries), tensor, 7, 31, 9, f) for m, f in ALL_PAIRS.items()}
    mining = [
        [m, n, k, util.paraphrase_mining_embeddings(tensor, 64, 50, n, k, ALL_PAIRS[m])[:2000]]
        for m in ("cosine", "dot")
        for n, k in MINING
    ]
    groups = [[t, n, util.community_detection(tensor, t, n, batch_size=64)] for t, n in COMMUNITIES]
    labels = rng.integers(2, size=150)
    a, b = x[:150], np.where(labels[:, None] == 1, x[:150], x[150:]) + 0.25 * rng.standard_normal((150, 16))
    arrays |= {"labels": labels, "pairs_b": b.astype(np.float32)}
    expected = {
        "versions": {p: version(p) for p in ("torch", "sentence-transformers", "scikit-learn", "numpy")},
        "semantic_search": search,
        "paraphrase_mining": mining,
        "community_detection": groups,
        "retrieval": {"x": retrieval(rng, queries, x), "whole": retrieval(rng, whole[:10], whole[10:])},
        "triplets": triplets(x[:100], x[100:200], x[200:]),
        "pairs": pairs(a, arrays["pairs_b"], labels),
        "pairs_none": pairs(a[:5], a[5:10], [0] * 5),
        "pairs_all": pairs(a[:5], a[5:10], [1] * 5),
    }
    np.savez_compressed(out / "vectors.npz", **arrays)
    (out / "expected.json").write_text(json.dumps(expected), encoding="utf-8")
    for path in sorted(out.iterdir()):
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
