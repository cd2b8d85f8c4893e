"""Methods that group ready-made features: pixels, or those of a frozen encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, final

import numpy.typing as npt

from ilk import encoders
from ilk.data import Encoded, ImageSource
from ilk.methods import checks
from ilk.methods.assign import rules
from ilk.methods.assign.placer import Space
from ilk.methods.assign.rules import Groups
from ilk.methods.clusterer import Clusterer
from ilk.methods.inputs.encoder import brings_features
from ilk.methods.pipeline import distinct_up_to
from ilk.methods.reporter import Reporter
from ilk.methods.settings import estimator

__all__ = ["OnFeatures"]


@estimator
class OnFeatures(Clusterer):
    """Abstract: a method says how features become groups (`_group`), and what it has to show (`figures`).

    Parameters
    ----------
    encoder : str
        "pixels": values from 0 to 1, flattened; small uniform images keep their size, others are brought to 32 × 32
        (``image_size`` in the settings says otherwise). Photos need the features of a network: any encoder of
        `ilk.encoders`; these are brought to length 1.
    weights : path, optional
        Weights of the encoder.
    n_clusters, preset, settings, random_state, device, precision, cache, verbose
        As `ilk.methods.clusterer.Clusterer` has them; settings may be those of the encoder too.
    """

    encoder: Any = "pixels"
    weights: str | Path | None = None

    other_settings: ClassVar[frozenset[str]] = frozenset(encoders.SETTINGS)

    @abstractmethod
    def _group(self, features: npt.NDArray[Any], space: Space, settings: Any) -> Groups:
        """Group the distinct images with these features (m, d) float16, whose principal components are `space`."""

    @final
    def _learn(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        # "pixels" is what nobody has to ask for here
        name = "auto" if brings_features(source) and self.encoder == "pixels" else self.encoder
        self.encoded_ = self._encoded(source, report, name, self.weights)
        features, settings = self.encoded_.features, self.settings_
        wanted = int(self.n_clusters)
        checks.distinct_images(self.encoded_, distinct_up_to(features, wanted), wanted, alike=True)
        with report.stage("reduce"):
            space = Space.fit(features, settings.pca_dim, normalize=self._unit())
        with report.stage("cluster"):
            found = self._group(features, space, settings)
        own = None if found.embedding is None else f"{type(self).__name__}, {found.embedding.shape[1]} dimensions"
        return replace(found, space=space.rows, reduced=own)

    def _unit(self) -> bool:
        """Whether features count by their direction alone: those of networks do, pixels do not."""
        return bool(self.encoder_.name != "pixels")

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)

    @final
    def state(self) -> dict[str, Any]:
        """Return what `predict` and `figures` need: arrays and plain values."""
        return {"encoder": self.encoder_.spec(), **rules.kept(self)}

    @final
    def _restore(self, state: Mapping[str, Any]) -> None:
        rules.take(self, state)
