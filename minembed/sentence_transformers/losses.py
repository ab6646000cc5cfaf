"""Losses of the reference: refused by name, with the setting of `minembed.train` if it has the loss."""

from minembed.sentence_transformers.refusals import TRAINING, stand_ins

OWN = {
    "ContrastiveLoss": "contrastive",
    "CoSENTLoss": "cosent",
    "CosineSimilarityLoss": "cosine_similarity",
    "MultipleNegativesRankingLoss": "multiple_negatives_ranking",
    "MultipleNegativesSymmetricRankingLoss": "multiple_negatives_symmetric_ranking",
    "OnlineContrastiveLoss": "online_contrastive",
    "TripletLoss": "triplet",
}
NAMES = {name: f"say Settings(loss={loss!r}) to minembed.train; {TRAINING}" for name, loss in OWN.items()}
NAMES |= dict.fromkeys(
    (
        *("AdaptiveLayerLoss", "AnglELoss", "BatchAllTripletLoss", "BatchHardSoftMarginTripletLoss"),
        *("BatchHardTripletLoss", "BatchHardTripletLossDistanceFunction", "BatchSemiHardTripletLoss"),
        *("CachedGISTEmbedLoss", "CachedMultipleNegativesRankingLoss"),
        *("CachedMultipleNegativesSymmetricRankingLoss", "ContrastiveTensionDataLoader", "ContrastiveTensionLoss"),
        *("ContrastiveTensionLossInBatchNegatives", "DenoisingAutoEncoderLoss", "DistillKLDivLoss"),
        *("EmbedDistillLoss", "GISTEmbedLoss", "GlobalOrthogonalRegularizationLoss", "MSELoss", "MarginMSELoss"),
        *("Matryoshka2dLoss", "MatryoshkaLoss", "MegaBatchMarginLoss", "SiameseDistanceMetric", "SoftmaxLoss"),
        "TripletDistanceMetric",
    ),
    f"minembed.train has the losses {', '.join(sorted(OWN.values()))}; {TRAINING}",
)

__all__ = sorted(NAMES)
__getattr__ = stand_ins(__name__, NAMES)
