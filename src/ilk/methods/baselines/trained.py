"""Methods that train a network on pixels and group what it makes of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk import compute, train
from ilk.data import Encoded, open_images, pack, square, training_size
from ilk.errors import ArgumentError
from ilk.methods import checks
from ilk.methods.assign import rules
from ilk.methods.assign.placer import Placer
from ilk.methods.assign.rules import Groups
from ilk.methods.base import ImageClusterer, OnEpoch
from ilk.methods.inputs.dataset import Pixels
from ilk.methods.outcome import centers, spread
from ilk.methods.stages import Stages
from ilk.methods.training.epochs import Learner, Timed, run_epochs
from ilk.networks.still import still

__all__ = ["Trained", "codes_of", "shown_rows"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_BLOCK = 512
_SHOWN = 16


class Trained(ImageClusterer):
    """Abstract: a method builds a network, trains it, and groups the codes that the network gives.

    The options are the same for all.

    Parameters
    ----------
    n_clusters : int
        At least 2.
    preset : str
    settings : dict, optional
        Single keys of the preset's table.
    image_size : int, optional
        Side in pixels. None: small uniform images keep their size, others become squares of 28, 32 or 96 pixels.
    epochs, batch_size : int, optional
        None: what the preset says.
    random_state : int
        From 0 to 2**32 - 1.
    device, precision : str
        "auto", "cpu", "cuda"; "auto", "fp32", "bf16". "auto" is bf16 where the device has units for it and a
        long training of an autoencoder is found to be a tenth faster with it; for short ones on a GPU only.
    cache : path, optional
        Where decoded images are kept for the next time.

    Attributes
    ----------
    labels_, probabilities_, cluster_centers_, n_clusters_, history_, notes_, encoded_
        As `ilk.methods.ImageClusterer` says; features are the codes of the network.
    network_ : nn.Module
    settings_ : dict
        The settings in force.
    """

    def __init__(
        self,
        n_clusters: int = 10,
        *,
        preset: str = "default",
        settings: Mapping[str, Any] | None = None,
        image_size: int | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        random_state: int = 0,
        device: str = "auto",
        precision: str = "auto",
        cache: str | Path | None = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.preset = preset
        self.settings = settings
        self.image_size = image_size
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state
        self.device = device
        self.precision = precision
        self.cache = cache

    # -- what a method says ------------------------------------------------------------------------------------------

    @abstractmethod
    def _check(self, table: Mapping[str, Any]) -> None:
        """Raise `ArgumentError` unless every setting is one of those allowed."""

    @abstractmethod
    def _network(self, shape: tuple[int, int, int], table: Mapping[str, Any]) -> nn.Module:
        """Build the network for images of `shape` (c, h, w); it has ``code(images) -> (b, d)``. Drawn from torch's own
        generator, which is seeded and put back around this."""

    @abstractmethod
    def _learner(self, network: nn.Module, pool: Pixels, table: Mapping[str, Any]) -> Learner:
        """Return what is to be trained."""

    @abstractmethod
    def _group(self, features: npt.NDArray[np.float16], learner: Learner, table: Mapping[str, Any]) -> Groups:
        """Group the distinct images with these codes (m, d)."""

    @abstractmethod
    def _pictures(self, pool: Pixels, table: Mapping[str, Any]) -> dict[str, npt.NDArray[Any]]:
        """Return what `figures` needs of the trained network, besides what `_group` found."""

    @abstractmethod
    def _sides(self, sides: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width, of at least `sides`, that the network can take."""

    # -- fit ---------------------------------------------------------------------------------------------------------

    @final
    def resolved(self) -> dict[str, Any]:
        """Return the settings in force, every one checked.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        table = super().resolved()
        for key in ("image_size", "epochs", "batch_size"):
            given = getattr(self, key)
            table[key] = table[key] if given is None else given
        k: Any = self.n_clusters
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
            hint = " `ilk cluster SOURCE` without -m suggests one." if k == "auto" else ""
            raise ArgumentError(f"n_clusters={k!r}: give a whole number of at least 2 (-k).{hint}")
        checks.random_state(self.random_state)
        checks.choice("precision", self.precision, ("auto", "fp32", "bf16"))
        checks.whole("image_size", table["image_size"], optional=True)
        checks.wholes(table, "epochs")
        checks.whole("batch_size", table["batch_size"], optional=True)
        self._check(table)
        return table

    @final
    def fit(self, X: Any, y: Any = None, *, on_epoch: OnEpoch | None = None, resume: Any = None) -> Self:
        """Group the images of `X`.

        Parameters
        ----------
        X
            Folder, archive, list of paths, uint8 array (n, h, w[, c]), or an open source.
        y
            Ignored.
        on_epoch
            Called with a record per epoch, and a function that gives a state to go on from (an empty one for progress
            within epochs). A true answer after an epoch, or while images are read, stops with `Interrupted`.
        resume
            A state from `on_epoch`: training goes on there, to the bit on a CPU.

        Raises
        ------
        NotEnoughImages
            Fewer distinct images than groups.
        """
        table = self.resolved()
        compute.device(self.device)  # a wrong name is told before any image is read
        source = open_images(X)
        self.history_: list[dict[str, Any]] = []
        self.notes_: list[str] = []
        tell = Stages(self.history_, on_epoch)
        wanted = table["image_size"]
        sides = self._sides(square(training_size(source) if wanted is None else wanted))
        with tell.stage("encode"):
            packed = pack(source, sides, cache=self._cache(), on_progress=tell.progress)
        checks.distinct_images(packed.facts, len(packed), int(self.n_clusters))
        self.notes_ += packed.facts.notes
        self.settings_ = table
        self.shape_ = packed.images.shape
        pool = self._pool(packed.images)
        self.half_ = self._half(pool, table, resume)
        self._build()
        learner = self._learner(self.network_, pool, table)
        known = {"n_clusters": int(self.n_clusters), "random_state": int(self.random_state), "half": self.half_}
        with tell.stage("train"):
            run_epochs(learner, {**table, **known}, len(packed), self.history_, on_epoch, resume)
        with tell.stage("cluster"):
            features = codes_of(self.network_, pool, self.half_)
            self.encoded_ = packed.encoded(features)
            with checks.distinguished(int(self.n_clusters)):
                groups = self._group(self.encoded_.features, learner, table)
            self._keep(groups, pool)
        return self

    def _half(self, pool: Pixels, table: Mapping[str, Any], resume: Mapping[str, Any] | None) -> bool:
        """Return whether the network runs in bfloat16."""

        def speed(half: bool) -> float:
            self.half_ = half
            self._build()
            learner = self._learner(self.network_, pool, table)
            return learner.speed() if isinstance(learner, Timed) else 0.0

        return train.half_precision(self.precision, pool.device, speed, resume, len(pool) * int(table["epochs"]))

    def _pool(self, images: Any) -> Pixels:
        return Pixels(images, torch.zeros(self.shape_[0]), compute.device(self.device))

    def _build(self) -> None:
        with compute.seeded(int(self.random_state)):
            network = self._network(self.shape_, self.settings_)
        self.network_ = network.to(compute.device(self.device), memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _keep(self, found: Groups, pool: Pixels) -> None:
        features = self.encoded_.features
        self.notes_ += found.notes
        self.n_clusters_ = int(self.n_clusters)
        self.device_ = str(pool.device)
        self.place_ = found.place
        self.rows_: Ints | None = self.encoded_.rows
        self.pictures_ = {**found.pictures, **self._pictures(pool, self.settings_)}
        self.space_ = np.asarray(features, np.float32)
        self.embedding_ = self.space_ if found.embedding is None else found.embedding
        self.cluster_centers_ = centers(features, found.labels, self.n_clusters_)
        self.labels_, self.probabilities_ = spread(self.encoded_, found.labels, found.proba)
        at = self.encoded_.position
        self.confidence_ = np.where(at >= 0, found.confidence[at], np.float32(0))

    @property
    def network_name_(self) -> str:
        """What a run says where other methods name their encoder."""
        return f"{type(self.network_).__name__}, {self.shape_[1]} × {self.shape_[2]} px"

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: Any, on_progress: Any) -> Encoded:
        packed = pack(source, self.shape_[1:], cache=self._cache(source), on_progress=on_progress)
        if not len(packed):
            return packed.encoded(np.zeros((0, self.cluster_centers_.shape[1]), np.float16))
        return packed.encoded(codes_of(self.network_, self._pool(packed.images), self.half_))

    def _proba(self, features: npt.NDArray[Any]) -> Floats:
        return self.place_(features)

    def _placer(self) -> Placer | None:
        return self.place_ if isinstance(self.place_, Placer) else None

    # -- keep --------------------------------------------------------------------------------------------------------

    @final
    def state(self) -> dict[str, Any]:
        """Return what `predict` and `figures` need: arrays and plain values."""
        return {
            "table": self.settings_,
            "shape": list(self.shape_),
            "half": self.half_,
            **rules.kept(self),
            **train.state_of(network=self.network_),
        }

    @final
    @classmethod
    def from_state(cls, state: Mapping[str, Any], **options: Any) -> Self:
        """Rebuild a fitted model.

        Parameters
        ----------
        state
            What `state` returned.
        **options
            ``device``, ``precision``, ``cache``.
        """
        options.pop("weights_file", None)
        options.pop("own_encoder", None)
        model = cls(int(state["n_clusters"]), **options)
        model.settings_, model.half_ = dict(state["table"]), bool(state["half"])
        c, h, w = (int(side) for side in state["shape"])
        model.shape_ = (c, h, w)
        rules.take(model, state)
        model._build()
        train.restore(state, network=model.network_)
        return model


@torch.no_grad()
def codes_of(network: Any, pool: Pixels, half: bool) -> npt.NDArray[np.float16]:
    """Return the codes (n, d) float16 that `network` gives all images of `pool`, statistics fixed."""
    largest = float(np.finfo(np.float16).max)
    parts = []
    with still(network):
        for start in range(0, len(pool), _BLOCK):
            index = torch.arange(start, min(start + _BLOCK, len(pool)))
            with torch.autocast(pool.device.type, torch.bfloat16, enabled=half):
                codes: Tensor = network.code(pool.read(index))
            parts.append(codes.float().clamp_(-largest, largest).half().cpu().numpy())
    return np.concatenate(parts)


def shown_rows(n: int) -> Tensor:
    """Return which images are shown in pictures of a training: up to 16, evenly spread."""
    return torch.linspace(0, n - 1, min(n, _SHOWN)).long()
