"""What every estimator of ilk has in common: options, presets, and the words of scikit-learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClusterMixin
from sklearn.utils.validation import check_is_fitted

from ilk.data import FEW, Encoded, ImageSource, open_images
from ilk.methods._options import Options

__all__ = ["ImageClusterer", "OnEpoch"]

OnEpoch = Callable[[dict[str, Any], Callable[[], dict[str, Any]]], bool | None]
"""Called with a record (a stage's beginning or end, progress, the figures of an epoch) and a function that gives the
state to go on from; true means stop. See docs/architecture.md, "What a fit tells"."""


class ImageClusterer(ClusterMixin, Options, ABC):  # type: ignore[misc]
    """Abstract base: a subclass is final, stores its arguments untouched and works in `fit`.

    It says how images become features (`_encode`) and features become probabilities (`_proba`); `encode`, `predict`,
    `predict_proba` and `transform` follow from these and are never overridden.

    Learned attributes: ``labels_`` (n,) int64 with -1 = not assigned, ``probabilities_`` (n, k) float32,
    ``cluster_centers_`` (k, d) float32 in feature space, ``n_clusters_``, ``history_`` (list of plain dicts).
    """

    @abstractmethod
    def fit(self, X: Any, y: Any = None, *, on_epoch: OnEpoch | None = None, resume: Any = None) -> Self:
        """Group the images of `X`: a folder, an archive, a list of paths, a uint8 array or an open source."""

    @abstractmethod
    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        """Return the features of all images of `source`, one row per distinct readable image."""

    @abstractmethod
    def _proba(self, features: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return (m, k) float32 group probabilities of (m, d) features; what is missing to 1 is "none of these"."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the fitted model as a flat mapping of arrays and plain values: enough to predict."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Any], **options: Any) -> Self:
        """Rebuild a fitted model from what `state` returned."""

    # -- use ---------------------------------------------------------------------------------------------------------

    def encode(self, X: Any, on_progress: Any = None) -> Encoded:
        """Return the features of the images of `X` and the state of every file.

        Raises
        ------
        sklearn.exceptions.NotFittedError
        """
        check_is_fitted(self, "cluster_centers_")
        return self._encode(open_images(X), on_progress)

    def proba_of(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Return (n, k) float32 group probabilities of what `encode` returned; zeros where an image is unreadable."""
        proba = np.zeros((len(encoded.position), self.n_clusters_), np.float32)
        if len(encoded.features):
            seen = encoded.position >= 0
            proba[seen] = self._proba(encoded.features)[encoded.position[seen]]
        return proba

    def decide(self, proba: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Return the best group of each row of `proba` (n, k), -1 where the row sums to less than the threshold."""
        least = max(float(getattr(self, "threshold", 0)) - 1e-6, 1e-9)
        return np.where(proba.sum(1) >= least, proba.argmax(1), -1).astype(np.int64)

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return (n,) int64: the group of every image of `X`, -1 for "none of these" and for unreadable images."""
        return self.decide(self.predict_proba(X))

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Return (n, k) float32 group probabilities; what is missing to a sum of 1 is "none of these"."""
        return self.proba_of(self.encode(X))

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Return (n, d) float32 features of `X`; NaN where an image is unreadable."""
        encoded = self.encode(X)
        features = np.full((len(encoded.position), encoded.features.shape[1]), np.nan, np.float32)
        seen = encoded.position >= 0
        features[seen] = encoded.features[encoded.position[seen]]
        return features

    def _cache(self, new: ImageSource | None = None) -> Path | None:
        """Return where results are kept; None for a few `new` images, which take less time than to look there."""
        cache = getattr(self, "cache", None)
        return None if cache is None or (new is not None and len(new) <= FEW) else Path(cache)
