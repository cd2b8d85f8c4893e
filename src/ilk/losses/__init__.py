"""What is minimised, as pure functions of tensors: pairs of images, a picture and its altered copy, thresholds."""

from ilk.losses.consistency import cross_entropy
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
    "PairLoss",
    "cross_entropy",
    "every_pair",
    "label_features",
    "lambda_thresholds",
    "linear_thresholds",
    "selected_mean",
    "selected_rows",
    "selected_sum",
    "similarities",
]
