"""DeepCluster and DeepCluster-v2."""

from ilk.methods.deepcluster.estimator import DeepCluster

__all__ = ["DeepCluster"]
