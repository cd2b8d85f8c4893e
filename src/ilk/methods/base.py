"""What every estimator of ilk has in common: options, presets, and the words of scikit-learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import ClusterMixin
from sklearn.utils.validation import check_is_fitted

from ilk.data import FEW, Encoded, ImageSource, Samples, open_images
from ilk.errors import ArgumentError, DataError
from ilk.methods.assign.placer import Placer
from ilk.methods.assign.similar import TrainingImages
from ilk.methods.reporter import OnEpoch
from ilk.methods.settings import Configured
from ilk.methods.shown import model_page

__all__ = ["ImageClusterer", "OnEpoch"]

_NUMBERS = 2**24  # probabilities that `predict` holds at a time
_TRIED = 16  # images whose features are held against where the model has them


class ImageClusterer(ClusterMixin, Configured, ABC):  # type: ignore[misc]
    """Abstract base: a subclass is final, stores its arguments untouched and works in `fit`.

    It says how images become features (`_encode`) and features become probabilities (`_proba`); `encode`, `predict`,
    `predict_proba` and `transform` follow from these and are never overridden.

    Learned attributes: ``labels_`` (n,) int64 with -1 = not assigned, ``probabilities_`` (n, k) float32,
    ``cluster_centers_`` (k, d) float32 in feature space, ``n_clusters_``, ``history_`` (list of plain dicts).

    A fitted model may be used by several threads at the same time.
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
        return self._encode(open_images(X, samples=self.samples), on_progress)

    @property
    def samples(self) -> Samples:
        """What is black and white in files with more than 8 bits a sample: as in the images of the fit."""
        kept: Samples | None = getattr(self, "samples_", None) or getattr(
            getattr(self, "encoded_", None), "samples", None
        )
        return kept or Samples()

    def proba_of(self, encoded: Encoded) -> npt.NDArray[np.float32]:
        """Return (n, k) float32 group probabilities of what `encode` returned; zeros where an image is unreadable."""
        proba = np.zeros((len(encoded.position), self.n_clusters_), np.float32)
        if len(encoded.features):
            seen = encoded.position >= 0
            proba[seen] = self._proba(encoded.features)[encoded.position[seen]]
        return proba

    def known_of(self, proba: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """Return (n,) how much of each image is known: the sum of its row of `proba` (n, k), to four decimals.

        This is the number that the threshold tests, from 0 (like nothing in any group) to 1. An image between two
        groups is known all the same.
        """
        return np.asarray(np.round(proba.sum(1, dtype=np.float64), 4))

    def decide(self, proba: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Return the best group of each row of `proba` (n, k), -1 where `known_of` is less than the threshold."""
        known = (self.known_of(proba) >= float(getattr(self, "threshold", 0))) & proba.any(1)
        return np.where(known, proba.argmax(1), -1).astype(np.int64)

    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return (n,) int64: the group of every image of `X`, -1 for "none of these" and for unreadable images."""
        encoded = self.encode(X)
        found, features = np.full(len(encoded.features), -1, np.int64), encoded.features
        step = max(1, _NUMBERS // max(1, self.n_clusters_))
        for start in range(0, len(features), step):
            found[start : start + step] = self.decide(self._proba(features[start : start + step]))
        labels = np.full(len(encoded.position), -1, np.int64)
        seen = encoded.position >= 0
        labels[seen] = found[encoded.position[seen]]
        return labels

    def predict_proba(self, X: Any) -> npt.NDArray[np.float32]:
        """Return (n, k) float32 group probabilities; what is missing to a sum of 1 is "none of these"."""
        return self.proba_of(self.encode(X))

    def nearest(self, X: Any, n_neighbors: int = 5) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the training images most like each image of `X`: see `nearest_of`."""
        return self.nearest_of(self.encode(X), n_neighbors)

    def nearest_of(
        self, encoded: Encoded, n_neighbors: int = 5
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Return the training images most like each image of what `encode` returned.

        Where training images vote for the group of a new one, they are found among those that vote.

        Parameters
        ----------
        encoded
        n_neighbors
            At least 1; fewer where there are fewer images.

        Returns
        -------
        rows : (n, n_neighbors) int64
            Rows of the source that the model was fitted on, of a run those of ``run.images()``. The most alike first;
            -1 where an image is unreadable.
        similarity : (n, n_neighbors) float32
            Cosine of the features, at most 1.

        Raises
        ------
        ArgumentError
            The model does not have the features of its training images: it comes from a file of its own.
        """
        if isinstance(n_neighbors, bool) or not isinstance(n_neighbors, int | np.integer) or n_neighbors < 1:
            raise ArgumentError(f"n_neighbors={n_neighbors!r}: give a whole number of at least 1.")
        training = self._training()
        count = min(int(n_neighbors), len(training.rows))
        rows = np.full((len(encoded.position), count), -1, np.int64)
        similarity = np.zeros(rows.shape, np.float32)
        if len(encoded.features):
            seen, at = encoded.position >= 0, encoded.position[encoded.position >= 0]
            placer = self._placer()
            near = None if placer is None else placer.nearest(encoded.features, max(placer.voter.votes, count))
            found = training.nearest(encoded.features, count, near)
            rows[seen], similarity[seen] = found[0][at], found[1][at]
        return rows, similarity

    def _training(self) -> TrainingImages:
        check_is_fitted(self, "cluster_centers_")
        encoded = getattr(self, "encoded_", None)  # of the last fit, else what a run gave
        if encoded is None and not hasattr(self, "training_"):
            raise ArgumentError(
                "this model does not have the features of its training images; a run has: ilk.load_run(RUN).model()."
            )
        if encoded is not None and getattr(self, "_training_of", None) is not encoded:
            self.training_ = TrainingImages(encoded.features, np.arange(len(encoded.rows)), encoded.rows)
            self._training_of = encoded
        return self.training_

    def remember(self, features: npt.NDArray[Any], distinct: npt.NDArray[np.int64]) -> None:
        """Give a loaded model the features of its training images: `nearest` needs them, and predictions do not.

        Parameters
        ----------
        features : (n, d)
            One row per image of the source that the model was fitted on; may be a memory map.
        distinct : (m,) int64
            Rows of the distinct readable ones, in the order of the source.

        Raises
        ------
        DataError
            They are not those of this model.
        """
        placer, kept = self._placer(), getattr(self, "rows_", None)
        rows = distinct if kept is None else kept
        fits = features.ndim == 2 and features.shape[1] == self.cluster_centers_.shape[1] and len(rows) > 0
        fits = fits and (placer is None or len(placer.voter.space) == len(rows))
        fits = fits and rows.min() >= 0 and rows.max() < len(features)
        if not fits or (placer is not None and not placer.knows(features[rows[:_TRIED]])):
            raise DataError(f"features of shape {features.shape} are not those of the images this model was fitted on")
        self.training_ = TrainingImages(features, rows, rows)

    def _placer(self) -> Placer | None:
        """Return what finds the training images that vote for a new one; None where none does."""
        return None

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Return (n, d) float32 features of `X`; NaN where an image is unreadable."""
        encoded = self.encode(X)
        features = np.full((len(encoded.position), encoded.features.shape[1]), np.nan, np.float32)
        seen = encoded.position >= 0
        features[seen] = encoded.features[encoded.position[seen]]
        return features

    def save(self, path: str | Path) -> Path:
        """Write the fitted model as one file, its encoder's weights included; `ilk.load` reads it.

        Parameters
        ----------
        path
            Replaced where it exists. No ending is required; ``.safetensors`` is what the file is.

        Returns
        -------
        Path

        Raises
        ------
        RunError
            It cannot be written.
        sklearn.exceptions.NotFittedError
        """
        from ilk import methods  # the list is the registry
        from ilk.methods.saving.model_file import write

        path = Path(path).expanduser()
        write(self, path, getattr(methods, type(self).__name__, None) is not type(self))
        return path

    # -- in a notebook -----------------------------------------------------------------------------------------------

    def _repr_html_inner(self) -> str:
        """Return what scikit-learn's ``_repr_html_`` gives: the groups of a fitted model, else its own diagram."""
        page = model_page(self)
        return str(super()._repr_html_inner()) if page is None else page

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """Return what notebooks ask for first, with the same page."""
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)
        page = model_page(self) if "text/html" in bundle else None
        return bundle if page is None else {**bundle, "text/html": page}

    def _cache(self, new: ImageSource | None = None) -> Path | None:
        """Return where results are kept; None for a few `new` images, which take less time than to look there."""
        cache = getattr(self, "cache", None)
        return None if cache is None or (new is not None and len(new) <= FEW) else Path(cache)
