"""The losses that goldens are made of, here and in sentence-transformers."""

import numpy as np

B, D = 7, 6
MNR, TRIPLET, CONTRASTIVE = "multiple_negatives_ranking", "triplet", "contrastive"
MNR_LOSS, ONLINE = "MultipleNegativesRankingLoss", "online_contrastive"
# name: (loss, options, sentence-transformers' class, its options, columns); there, names in options stand for functions
CASES = {
    "mnr": (MNR, {}, MNR_LOSS, {}, 2),
    "mnr with negatives": (MNR, {"scale": 5.0}, MNR_LOSS, {"scale": 5.0}, 4),
    "mnr, dot": (MNR, {"similarity_fct": "dot", "scale": 1}, MNR_LOSS, {"similarity_fct": "dot_score", "scale": 1}, 3),
    "mnr, euclidean": (MNR, {"similarity_fct": "euclidean"}, MNR_LOSS, {"similarity_fct": "euclidean_sim"}, 2),
    "mnr, manhattan": (MNR, {"similarity_fct": "manhattan"}, MNR_LOSS, {"similarity_fct": "manhattan_sim"}, 2),
    "symmetric": ("multiple_negatives_symmetric_ranking", {}, "MultipleNegativesSymmetricRankingLoss", {}, 2),
    "symmetric with negatives": (
        "multiple_negatives_symmetric_ranking",
        {},
        "MultipleNegativesSymmetricRankingLoss",
        {},
        3,
    ),
    "triplet": (TRIPLET, {}, "TripletLoss", {}, 3),
    "triplet, narrow": (TRIPLET, {"margin": 0.5}, "TripletLoss", {"triplet_margin": 0.5}, 3),
    "triplet, cosine": (
        TRIPLET,
        {"distance_metric": "cosine", "margin": 0.5},
        "TripletLoss",
        {"distance_metric": "COSINE", "triplet_margin": 0.5},
        3,
    ),
    "triplet, manhattan": (
        TRIPLET,
        {"distance_metric": "manhattan"},
        "TripletLoss",
        {"distance_metric": "MANHATTAN"},
        3,
    ),
    "contrastive": (CONTRASTIVE, {}, "ContrastiveLoss", {}, 2),
    "contrastive, wide": (CONTRASTIVE, {"margin": 1.5}, "ContrastiveLoss", {"margin": 1.5}, 2),
    "contrastive, sum": (CONTRASTIVE, {"size_average": False}, "ContrastiveLoss", {"size_average": False}, 2),
    "contrastive, euclidean": (
        CONTRASTIVE,
        {"distance_metric": "euclidean", "margin": 4.0},
        "ContrastiveLoss",
        {"distance_metric": "EUCLIDEAN", "margin": 4.0},
        2,
    ),
    "contrastive, manhattan": (
        CONTRASTIVE,
        {"distance_metric": "manhattan", "margin": 9.0},
        "ContrastiveLoss",
        {"distance_metric": "MANHATTAN", "margin": 9.0},
        2,
    ),
    "online": (ONLINE, {}, "OnlineContrastiveLoss", {}, 2),
    "online, wide": (ONLINE, {"margin": 1.5}, "OnlineContrastiveLoss", {"margin": 1.5}, 2),
    "cosine": ("cosine_similarity", {}, "CosineSimilarityLoss", {}, 2),
    "cosent": ("cosent", {}, "CoSENTLoss", {}, 2),
    "cosent, dot": (
        "cosent",
        {"similarity_fct": "dot", "scale": 2.0},
        "CoSENTLoss",
        {"similarity_fct": "pairwise_dot_score", "scale": 2.0},
        2,
    ),
}


def columns_of(name):
    """The vectors of a case, float64."""
    rng = np.random.default_rng(list(name.encode()))
    return [rng.standard_normal((B, D)) for _ in range(CASES[name][4])]


def labels_of(name):
    """Labels: 0 or 1 for the contrastive losses, else any from 0 to 1, with equal ones among them."""
    if CASES[name][0] in (CONTRASTIVE, ONLINE):
        return np.array([1.0, 0, 1, 0, 0, 1, 0])
    return np.array([0.0, 0.2, 0.2, 0.9, 1.0, 0.5, 0.5])
