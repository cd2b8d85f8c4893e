"""What is minimised, as pure functions: pairs, augmented views, neighbours, confident groups, distributions."""

from ilk.losses.confidence import ConfidentLoss, confident_loss
from ilk.losses.consistency import cross_entropy
from ilk.losses.contrastive import nt_xent, tiled_xent
from ilk.losses.distribution import (
    gaussian_kl,
    kl_divergence,
    sparsity_kl,
    student_t,
    target_distribution,
)
from ilk.losses.neighbors import NeighborLoss, neighbor_loss
from ilk.losses.pairwise import (
    PairLoss,
    every_pair,
    label_features,
    selected_mean,
    selected_rows,
    selected_sum,
    similarities,
)
from ilk.losses.pointwise import PointwiseLoss, pair_weights, pointwise_loss, update_marginal
from ilk.losses.thresholds import lambda_thresholds, linear_thresholds
from ilk.losses.triplet import random_triplets, triplet_margin

__all__ = [
    "ConfidentLoss",
    "NeighborLoss",
    "PairLoss",
    "PointwiseLoss",
    "confident_loss",
    "cross_entropy",
    "every_pair",
    "gaussian_kl",
    "kl_divergence",
    "label_features",
    "lambda_thresholds",
    "linear_thresholds",
    "neighbor_loss",
    "nt_xent",
    "pair_weights",
    "pointwise_loss",
    "random_triplets",
    "selected_mean",
    "selected_rows",
    "selected_sum",
    "similarities",
    "sparsity_kl",
    "student_t",
    "target_distribution",
    "tiled_xent",
    "triplet_margin",
    "update_marginal",
]
