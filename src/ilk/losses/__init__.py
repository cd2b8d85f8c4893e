"""What is minimised, as pure functions of tensors: pairs, altered copies, neighbours, sure groups, thresholds."""

from ilk.losses.confidence import ConfidentLoss, confident_loss
from ilk.losses.consistency import cross_entropy
from ilk.losses.contrastive import nt_xent, tiled_xent
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
from ilk.losses.thresholds import lambda_thresholds, linear_thresholds

__all__ = [
    "ConfidentLoss",
    "NeighborLoss",
    "PairLoss",
    "confident_loss",
    "cross_entropy",
    "every_pair",
    "label_features",
    "lambda_thresholds",
    "linear_thresholds",
    "neighbor_loss",
    "nt_xent",
    "selected_mean",
    "selected_rows",
    "selected_sum",
    "similarities",
    "tiled_xent",
]
