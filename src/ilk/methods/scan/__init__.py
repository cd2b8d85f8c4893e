"""SCAN: semantic clustering by adopting nearest neighbours; and SimCLR, its representation."""

from ilk.methods.scan.estimator import SCAN

__all__ = ["SCAN"]
