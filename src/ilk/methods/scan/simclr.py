"""SimCLR: a representation learnt from the images alone, for any method that takes an encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY
from pathlib import Path
from typing import Any, ClassVar, Self, cast, final

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ilk import compute, encoders, showing
from ilk.data import ImageSource, Packed, channel_moments, open_images, pack
from ilk.errors import ArgumentError
from ilk.methods import checks
from ilk.methods.inputs.dataset import PixelDataset, to_float16
from ilk.methods.reporter import OnEpoch, Reporter
from ilk.methods.scan.config import image_size
from ilk.methods.scan.pretext import Pretext, build_network
from ilk.methods.scan.settings import SIMCLR_PRESETS, SimCLRSettings
from ilk.methods.scan.stage import features_of
from ilk.methods.settings import Configured, estimator
from ilk.methods.training import Plan, bf16_or_not, run

__all__ = ["SimCLR"]


@final
@estimator
class SimCLR(TransformerMixin, Configured):  # type: ignore[misc]
    """Contrastive representation learning: two augmented copies of an image belong together, all others do not.

    No clusterer: it gives features. `save` writes an encoder that every method takes as ``encoder="learned"`` with
    ``weights=`` that file.

    Parameters
    ----------
    preset : str
        "small" (minutes on a CPU), "scratch" (a GPU), "paper", "paper_stl10" (SCAN's), "keras_literal", "keras_fixed",
        "tiny": the part of `ilk.methods.scan.settings` that concerns the representation.
    settings : dict, optional
        Single settings laid over the preset's.
    network : str, optional
        "resnet18", "resnet50", "resnet50v2", "small", "tiny". None: by the preset.
    image_size : int, optional
        Side in pixels. None: what the preset says.
    epochs, batch_size : int, optional
        None: what the preset says.
    random_state : int
        From 0 to 2**32 - 1.
    device, precision : str
        "auto", "cpu", "cuda"; "auto", "fp32", "bf16".
    cache : path, optional
        Where decoded images are kept for the next time.
    verbose : bool, optional
        Whether `fit` shows how far it is. None: in notebooks and on terminals, unless it has an `on_epoch`.

    Attributes
    ----------
    network_ : Contrast
        Encoder and projector.
    n_features_ : int
        d, length of a feature vector.
    history_ : list of dict
        One record per epoch: loss, and ``positive_similarity``, the mean cosine of the
        projections of two copies of an image.

    References
    ----------
    T. Chen, S. Kornblith, M. Norouzi, G. Hinton, "A Simple Framework for Contrastive Learning of Visual
    Representations", ICML 2020.

    Examples
    --------
    >>> images = np.random.default_rng(0).integers(0, 255, (40, 8, 8), np.uint8)
    >>> SimCLR(preset="tiny").fit(images).transform(images).shape
    (40, 32)
    """

    _: KW_ONLY
    preset: str = "small"
    settings: Mapping[str, Any] | None = None
    network: str | None = None
    image_size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None
    random_state: int = 0
    device: str = "auto"
    precision: str = "auto"
    cache: str | Path | None = None
    verbose: bool | None = None

    presets: ClassVar = SIMCLR_PRESETS
    arguments: ClassVar = {
        "network": "network",
        "image_size": "image_size",
        "epochs": "pretext_epochs",
        "batch_size": "pretext_batch",
    }

    def resolved(self) -> SimCLRSettings:
        """Return the settings in force, every one checked.

        Raises
        ------
        ArgumentError
            An option outside of what is allowed.
        """
        found: SimCLRSettings = super().resolved()
        checks.common(self.random_state, self.precision)
        if found.network == "features":
            raise ArgumentError("network='features': SimCLR trains a network; choose resnet18 or small.")
        if found.near_duplicates != "keep":
            raise ArgumentError(f"near_duplicates={found.near_duplicates}: SimCLR trains a network on all images.")
        return found

    def fit(self, X: Any, y: Any = None, *, on_epoch: OnEpoch | None = None, resume: Any = None) -> Self:
        """Learn from the images of `X`.

        Parameters
        ----------
        X
            Folder, archive, list of paths, uint8 array (n, h, w[, c]), or an open source.
        y
            Ignored.
        on_epoch
            Called with a record per epoch, and with a function that gives a state to go on from. A true answer stops
            with `Interrupted`.
        resume
            A state from `on_epoch`: training goes on there, to the bit on a CPU. More epochs than before may be asked.

        Raises
        ------
        RunError
            The state is of other settings, other images or another seed.
        NotEnoughImages
            Fewer than two distinct images.
        """
        settings, source = self.resolved(), open_images(X)
        with showing.watching(self.verbose, on_epoch) as hook:
            self._learn(settings, source, Reporter([], hook), resume)
        return self

    def _learn(self, settings: SimCLRSettings, source: ImageSource, report: Reporter, resume: Any) -> None:
        self.settings_ = settings = settings.replace(image_size=image_size(settings, source))
        with report.stage("encode"):
            packed = self._packed(source, report.progress)
        checks.distinct_images(packed.facts, len(packed), 2)
        self.mean_, self.std_ = channel_moments(packed.images)
        dataset = self._dataset(packed)
        self.bf16_ = bf16_or_not(self.precision, dataset.device, None, resume, 0)
        net = build_network(settings, dataset.channels, int(self.random_state))
        self.network_ = net.to(dataset.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

        def stage() -> Pretext:
            found = Pretext(self.network_, dataset, settings, int(self.random_state), self.bf16_)
            found.setting, found.quicker = "batch_size", ()
            return found

        identity = settings.as_dict() | {"random_state": int(self.random_state), "bf16": self.bf16_}
        del identity["pretext_epochs"]  # they may grow
        done = run(
            [Plan("pretext", settings.pretext_epochs, stage)],
            report,
            identity=identity,
            n_images=len(dataset),
            resume=resume,
        )
        self.history_, self.notes_ = done.history, [*packed.notes, *done.notes]
        self.n_features_ = self.network_.encoder.width

    def _packed(self, source: ImageSource, on_progress: Any = None) -> Packed:
        return pack(cast(Any, source), self.settings_.image_size, cache=self.cache, on_progress=on_progress)

    def _dataset(self, packed: Packed) -> PixelDataset:
        return PixelDataset(packed.images, compute.device(self.device), self.mean_, self.std_)

    def transform(self, X: Any) -> npt.NDArray[np.float32]:
        """Return (n, d) float32 features of the images of `X`; NaN where an image is unreadable."""
        check_is_fitted(self, "network_")
        packed, encoder = self._packed(open_images(X)), self.network_.encoder
        position = packed.facts.position
        found = np.full((len(position), encoder.width), np.nan, np.float32)
        if len(packed):
            dataset, seen = self._dataset(packed), position >= 0
            rows = torch.arange(len(dataset))
            features = to_float16(features_of(encoder, dataset.read, rows, dataset.device, self.bf16_))
            found[seen] = features[position[seen]]
        return found

    def save(self, path: str | Path) -> Path:
        """Write the encoder as one file, and return it: ``encoder="learned", weights=path`` of any method.

        Parameters
        ----------
        path
            Should end in ``.safetensors``.
        """
        check_is_fitted(self, "network_")
        settings = self.settings_
        about = {key: getattr(settings, key) for key in ("network", "stem", "image_size")}
        about |= {"representation": settings.representation_dim, "mean": self.mean_.tolist(), "std": self.std_.tolist()}
        return encoders.save_learned(Path(path), self.network_.encoder, about)
