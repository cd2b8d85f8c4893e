"""What every estimator of ilk has in common: options, presets, and the words of scikit-learn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClusterMixin

from ilk.errors import ArgumentError, nearest

__all__ = ["ImageClusterer", "OnEpoch"]

OnEpoch = Callable[[dict[str, Any], Callable[[], dict[str, Any]]], bool | None]
"""Called with a record (a stage's beginning or end, progress, the figures of an epoch) and a function that gives the
state to go on from; true means stop. See docs/architecture.md, "What a fit tells"."""


class ImageClusterer(ClusterMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """Abstract base: a subclass is final, stores its arguments untouched and works in `fit`.

    Learned attributes: ``labels_`` (n,) int64 with -1 = not assigned, ``probabilities_`` (n, k) float32,
    ``cluster_centers_`` (k, d) float32 in feature space, ``n_clusters_``, ``history_`` (list of plain dicts).
    """

    presets: ClassVar[Mapping[str, Mapping[str, Any]]]
    """Tables of settings by preset name, all with the same keys."""

    other_settings: ClassVar[frozenset[str]] = frozenset()
    """Keys of `settings` that are not in the preset's table (those of the encoder)."""

    @abstractmethod
    def fit(self, X: Any, y: Any = None, *, on_epoch: OnEpoch | None = None, resume: Any = None) -> Self:
        """Group the images of `X`: a folder, an archive, a list of paths, a uint8 array or an open source."""

    @abstractmethod
    def predict(self, X: Any) -> npt.NDArray[np.int64]:
        """Return (n,) int64: the group of every image of `X`, -1 for "none of these" and for unreadable images."""

    @abstractmethod
    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Return (n, d) float32 features of `X`; NaN where an image is unreadable."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the fitted model as a flat mapping of arrays and plain values: enough to predict."""

    @classmethod
    @abstractmethod
    def from_state(cls, state: Mapping[str, Any], **options: Any) -> Self:
        """Rebuild a fitted model from what `state` returned."""

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Self:
        """Build the estimator from a flat mapping of constructor arguments, preset keys and encoder settings.

        Raises
        ------
        ArgumentError
            An unknown key; the message names the nearest known one.
        """
        arguments = set(cls._get_param_names()) - {"settings"}
        inner = set(next(iter(cls.presets.values()))) | cls.other_settings
        for key in options:
            if key not in arguments | inner:
                raise ArgumentError(
                    f"{cls.__name__} has no option {key!r}.{nearest(key, arguments | inner)} "
                    f"It has {', '.join(sorted(arguments | inner))}."
                )
        settings = {key: value for key, value in options.items() if key not in arguments}
        return cls(**{k: v for k, v in options.items() if k in arguments}, settings=settings or None)

    def resolved(self) -> dict[str, Any]:
        """Return the preset's table with `settings` laid over it.

        Raises
        ------
        ArgumentError
            An unknown preset or key.
        """
        params = self.get_params(deep=False)
        preset = params["preset"]
        if preset not in self.presets:
            raise ArgumentError(
                f"preset={preset!r}: {type(self).__name__} has {', '.join(self.presets)}."
                + nearest(str(preset), self.presets)
            )
        table = dict(self.presets[preset])
        settings = params["settings"] or {}
        if not isinstance(settings, Mapping):
            raise ArgumentError(f"settings must be a mapping of keys to values, got {type(settings).__name__}.")
        known = set(table) | self.other_settings
        for key in settings:
            if key not in known:
                raise ArgumentError(f"no setting {key!r} in {type(self).__name__}.{nearest(key, known)}")
        table.update(settings)
        return table
