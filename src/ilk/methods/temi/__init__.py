"""TEMI: heads on frozen features, taught by their own average over nearest neighbours."""

from ilk.methods.temi.estimator import TEMI

__all__ = ["TEMI"]
