"""Two levels: images around many weighted centres, and groups of the centres."""

from ilk.methods.hierarchical.estimator import Hierarchical

__all__ = ["Hierarchical"]
