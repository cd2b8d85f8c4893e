"""Transfer clustering: groups by the features of a frozen encoder."""

from ilk.methods.transfer.estimator import TransferClustering

__all__ = ["TransferClustering"]
