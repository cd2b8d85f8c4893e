"""Methods that group ready-made features: pixels, or those of a frozen encoder."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, final

import numpy as np
import numpy.typing as npt

from ilk import encoders
from ilk.data import Encoded, ImageSource, open_images
from ilk.errors import ArgumentError
from ilk.methods import checks
from ilk.methods.assign import rules
from ilk.methods.assign.placer import Placer, Space
from ilk.methods.assign.rules import Groups
from ilk.methods.base import ImageClusterer, OnEpoch
from ilk.methods.inputs.encoder import brings_features, load_encoder, reload_encoder, take_kept
from ilk.methods.outcome import centers, spread
from ilk.methods.pipeline import n_distinct
from ilk.methods.stages import Stages

__all__ = ["OnFeatures"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class OnFeatures(ImageClusterer):
    """Abstract: a method says how features become groups (`_group`), and what it has to show (`figures`).

    The options are the same for all.

    Parameters
    ----------
    n_clusters : int
        At least 2.
    encoder : str
        "pixels": values from 0 to 1, flattened; small uniform images keep their size, others are brought to 32 × 32
        (``image_size`` in the settings says otherwise). Photos need the features of a network: any encoder of
        `ilk.encoders`; these are brought to length 1.
    weights : path, optional
        Weights of the encoder.
    preset : str
    settings : dict, optional
        Single keys of the preset's table, and encoder settings.
    random_state : int
        From 0 to 2**32 - 1.
    device, precision : str
        Of the encoder.
    cache : path, optional
        Where features are kept for the next time.
    """

    other_settings: ClassVar[frozenset[str]] = frozenset(encoders.SETTINGS)

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        encoder: str = "pixels",
        weights: str | Path | None = None,
        preset: str = "default",
        settings: Mapping[str, Any] | None = None,
        random_state: int = 0,
        device: str = "auto",
        precision: str = "auto",
        cache: str | Path | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.encoder = encoder
        self.weights = weights
        self.preset = preset
        self.settings = settings
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.cache = cache

    @abstractmethod
    def _group(self, features: npt.NDArray[Any], space: Space, table: Mapping[str, Any]) -> Groups:
        """Group the distinct images with these features (m, d) float16, whose principal components are `space`."""

    @abstractmethod
    def _check(self, table: Mapping[str, Any]) -> None:
        """Raise `ArgumentError` unless every setting is one of those allowed."""

    @final
    def resolved(self) -> dict[str, Any]:
        """Return the settings in force, every one checked.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        table = super().resolved()
        k: Any = self.n_clusters
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
            hint = " `ilk cluster SOURCE` without -m suggests one." if k == "auto" else ""
            raise ArgumentError(f"n_clusters={k!r}: give a whole number of at least 2 (-k).{hint}")
        checks.random_state(self.random_state)
        self._check(table)
        return table

    @final
    def fit(self, X: Any, y: Any = None, *, on_epoch: OnEpoch | None = None, resume: Any = None) -> Self:
        """Group the images of `X`: a folder, archive, list of paths, uint8 array (n, h, w[, c]) or an open source.

        A float array (n, d) is features of your own; beside images: ``ilk.open_images(images, features=…)``.

        Parameters
        ----------
        X
        y
            Ignored.
        on_epoch
            Called with a record per stage and while encoding; a true answer stops the encoding.
        resume
            Ignored: encoded shards in `cache` are what a second fit goes on from.

        Raises
        ------
        NotEnoughImages
            Fewer distinct images than groups.
        """
        table = self.resolved()
        source = open_images(X)
        self.history_: list[dict[str, Any]] = []
        self.notes_: list[str] = []
        tell = Stages(self.history_, on_epoch)
        inner = {key: value for key, value in table.items() if key in self.other_settings}
        # "pixels" is what nobody has to ask for here
        name = "auto" if brings_features(source) and self.encoder == "pixels" else self.encoder
        load_encoder(self, source, tell, name, self.weights, inner)
        with tell.stage("encode"):
            self.encoded_ = encoders.encode(source, self.encoder_, cache=self._cache(), on_progress=tell.progress)
        self.notes_ += self.encoded_.notes
        features = self.encoded_.features
        checks.distinct_images(self.encoded_, n_distinct(features), int(self.n_clusters), alike=True)
        with tell.stage("reduce"):
            space = Space.fit(features, int(table["pca"]), normalize=self._unit())
        with tell.stage("cluster"):
            found = self._group(features, space, table)
        self._keep(found, space)
        return self

    def _unit(self) -> bool:
        """Whether features count by their direction alone: those of networks do, pixels do not."""
        return bool(self.encoder_.name != "pixels")

    def _keep(self, found: Groups, space: Space) -> None:
        self.notes_ += found.notes
        self.n_clusters_ = int(self.n_clusters)
        self.place_ = found.place
        self.rows_: Ints | None = self.encoded_.rows
        self.pictures_ = dict(found.pictures)
        self.space_ = space.rows
        self.embedding_ = space.rows if found.embedding is None else found.embedding
        own = f"{type(self).__name__}, {self.embedding_.shape[1]} dimensions"
        self.reduced_: str | None = None if self.embedding_ is self.space_ else own
        self.cluster_centers_ = centers(self.encoded_.features, found.labels, self.n_clusters_)
        self.labels_, self.probabilities_ = spread(self.encoded_, found.labels, found.proba)
        at = self.encoded_.position
        self.confidence_ = np.where(at >= 0, found.confidence[at], np.float32(0))

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: ImageSource, on_progress: Any) -> Encoded:
        return encoders.encode(source, self.encoder_, cache=self._cache(source), on_progress=on_progress)

    def _proba(self, features: npt.NDArray[Any]) -> Floats:
        return self.place_(features)

    def _placer(self) -> Placer | None:
        return self.place_ if isinstance(self.place_, Placer) else None

    @final
    def state(self) -> dict[str, Any]:
        """Return what `predict` and `figures` need: arrays and plain values."""
        return {"encoder": self.encoder_.spec(), **rules.kept(self)}

    @final
    @classmethod
    def from_state(cls, state: Mapping[str, Any], **options: Any) -> Self:
        """Rebuild a fitted model.

        Parameters
        ----------
        state
            What `state` returned.
        **options
            ``weights_file`` of the encoder, ``own_encoder``, ``device``, ``precision``, ``cache``.
        """
        kept = take_kept(options)
        model = cls(int(state["n_clusters"]), **options)
        model.encoder_ = reload_encoder(model, state["encoder"], kept)
        rules.take(model, state)
        return model
