"""The losses that goldens are made of: a name, sentence-transformers' class, options there and here."""

import numpy as np

B, D = 7, 6
CASES = {  # name: (loss, options, sentence-transformers' class, its options, columns)
    "mnr": ("multiple_negatives_ranking", {}, "MultipleNegativesRankingLoss", {}, 2),
    "mnr with negatives": (
        "multiple_negatives_ranking",
        {"scale": 5.0},
        "MultipleNegativesRankingLoss",
        {"scale": 5.0},
        4,
    ),
    "symmetric": ("multiple_negatives_symmetric_ranking", {}, "MultipleNegativesSymmetricRankingLoss", {}, 2),
    "triplet": ("triplet", {}, "TripletLoss", {}, 3),
    "triplet, narrow": ("triplet", {"margin": 0.5}, "TripletLoss", {"triplet_margin": 0.5}, 3),
    "contrastive": ("contrastive", {}, "ContrastiveLoss", {}, 2),
    "contrastive, wide": ("contrastive", {"margin": 1.5}, "ContrastiveLoss", {"margin": 1.5}, 2),
    "cosine": ("cosine_similarity", {}, "CosineSimilarityLoss", {}, 2),
    "cosent": ("cosent", {}, "CoSENTLoss", {}, 2),
}


def columns_of(name):
    """The vectors of a case, float64."""
    rng = np.random.default_rng(list(name.encode()))
    return [rng.standard_normal((B, D)) for _ in range(CASES[name][4])]


def labels_of(name):
    """Labels: 0 or 1 for the contrastive loss, else any from 0 to 1, with equal ones among them."""
    if CASES[name][0] == "contrastive":
        return np.array([1.0, 0, 1, 0, 0, 1, 0])
    return np.array([0.0, 0.2, 0.2, 0.9, 1.0, 0.5, 0.5])
