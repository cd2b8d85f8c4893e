"""What is minimised, as pure functions of tensors: pairs of images, a picture and its altered copy, thresholds,
distributions, triplets.
"""

from ilk.losses.consistency import cross_entropy
from ilk.losses.distribution import bernoulli_divergence, divergence, normal_divergence, sharpened, student_t
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
from ilk.losses.triplet import triplet_margin

__all__ = [
    "PairLoss",
    "bernoulli_divergence",
    "cross_entropy",
    "divergence",
    "every_pair",
    "label_features",
    "lambda_thresholds",
    "linear_thresholds",
    "normal_divergence",
    "selected_mean",
    "selected_rows",
    "selected_sum",
    "sharpened",
    "similarities",
    "student_t",
    "triplet_margin",
]
