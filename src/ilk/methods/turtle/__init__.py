"""TURTLE: the labelling that linear classifiers on frozen features learn best."""

from ilk.methods.turtle.estimator import TURTLE

__all__ = ["TURTLE"]
