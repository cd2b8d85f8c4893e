"""Methods that train a network on pixels and group what it makes of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ilk import compute, train
from ilk.data import Encoded, ImageSource, pack, square, training_size
from ilk.methods import checks
from ilk.methods.assign import rules
from ilk.methods.assign.rules import Groups
from ilk.methods.clusterer import Clusterer
from ilk.methods.inputs.dataset import PixelDataset, encode_all, to_float16
from ilk.methods.reporter import Reporter
from ilk.methods.settings import estimator
from ilk.methods.training import Plan, Stage, bf16_or_not, run
from ilk.networks.still import still

__all__ = ["Trained", "codes_of", "shown_rows"]

_BLOCK = 512
_SHOWN = 16


@estimator
class Trained(Clusterer):
    """Abstract: a method builds a network, trains it, and groups the codes that the network gives.

    The options are the same for all.

    Parameters
    ----------
    image_size : int, optional
        Side in pixels. None: small uniform images keep their size, others become squares of 28, 32 or 96 pixels.
    epochs, batch_size : int, optional
        None: what the preset says.
    precision : str
        "auto" is bf16 where the device has units for it and a long training is found to be a tenth faster with it;
        for short ones on a GPU only.
    n_clusters, preset, settings, random_state, device, cache, verbose
        As `ilk.methods.clusterer.Clusterer` has them.

    Attributes
    ----------
    network_ : nn.Module
    """

    image_size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None

    arguments: ClassVar[Mapping[str, str]] = {
        "image_size": "image_size",
        "epochs": "epochs",
        "batch_size": "batch_size",
    }

    # -- what a method says ------------------------------------------------------------------------------------------

    @abstractmethod
    def _network(self, shape: tuple[int, int, int], settings: Any) -> nn.Module:
        """Build the network for images of `shape` (c, h, w); it has ``code(images) -> (b, d)``. Drawn from torch's own
        generator, which is seeded and put back around this."""

    @abstractmethod
    def _stages(self, network: nn.Module, dataset: PixelDataset, settings: Any) -> Sequence[Plan]:
        """Return what is to be trained, one stage after another."""

    @abstractmethod
    def _group(self, features: npt.NDArray[np.float16], stage: Stage, settings: Any) -> Groups:
        """Group the distinct images with these codes (m, d), after the last `stage`."""

    def _pictures(self, dataset: PixelDataset, settings: Any) -> dict[str, npt.NDArray[Any]]:
        """Return what `figures` needs of the trained network, besides what `_group` found."""
        return {}

    def _sides(self, sides: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width, of at least `sides`, that the network can take."""
        return sides

    # -- fit ---------------------------------------------------------------------------------------------------------

    @final
    def _learn(self, source: ImageSource, report: Reporter, resume: Mapping[str, Any] | None) -> Groups:
        settings = self.settings_
        wanted = settings.image_size
        packed = self._packed(source, report, self._sides(square(training_size(source) if wanted is None else wanted)))
        self.shape_ = packed.images.shape
        dataset = self._dataset(packed.images)
        self.bf16_ = bf16_or_not(
            self.precision, dataset.device, self._trial_stage(dataset), resume, len(packed) * settings.epochs
        )
        self._build()
        known = {"n_clusters": int(self.n_clusters), "random_state": self._seed(), "bf16": self.bf16_}
        done = run(
            self._stages(self.network_, dataset, settings),
            report,
            identity={**settings.as_dict(), **known},
            n_images=len(packed),
            resume=resume,
        )
        self.history_[:0] = done.history
        self.notes_ += done.notes
        with report.stage("cluster"):
            features = codes_of(self.network_, dataset, self.bf16_)
            self.encoded_ = packed.encoded(features)
            with checks.distinguished(int(self.n_clusters)):
                found = self._group(features, done.stages[-1], settings)
        return replace(found, pictures={**found.pictures, **self._pictures(dataset, settings)})

    def _trial_stage(self, dataset: PixelDataset) -> Any:
        """Return what makes the first stage, in bfloat16 or not, for a few steps that are taken back."""

        def made(bf16: bool) -> Stage:
            self.bf16_ = bf16
            self._build()
            return self._stages(self.network_, dataset, self.settings_)[0].make()

        return made

    def _dataset(self, images: Any) -> PixelDataset:
        return PixelDataset(images, compute.device(self.device), torch.zeros(self.shape_[0]))

    def _build(self) -> None:
        with compute.seeded(self._seed()):
            network = self._network(self.shape_, self.settings_)
        self.network_ = network.to(compute.device(self.device), memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def network_name_(self) -> str:
        """What a run says where other methods name their encoder."""
        return f"{type(self.network_).__name__}, {self.shape_[1]} × {self.shape_[2]} px"

    # -- use ---------------------------------------------------------------------------------------------------------

    def _encode(self, source: Any, on_progress: Any) -> Encoded:
        packed = pack(source, self.shape_[1:], cache=self._cache(source), on_progress=on_progress)
        if not len(packed):
            return packed.encoded(np.zeros((0, self.cluster_centers_.shape[1]), np.float16))
        return packed.encoded(codes_of(self.network_, self._dataset(packed.images), self.bf16_))

    # -- keep --------------------------------------------------------------------------------------------------------

    @final
    def state(self) -> dict[str, Any]:
        """Return what `predict` and `figures` need: arrays and plain values."""
        return {
            "table": self.settings_.as_dict(),
            "shape": list(self.shape_),
            "half": self.bf16_,
            **rules.kept(self),
            **train.state_of(network=self.network_),
        }

    @final
    def _restore(self, state: Mapping[str, Any]) -> None:
        self.bf16_ = bool(state["half"])
        c, h, w = (int(side) for side in state["shape"])
        self.shape_ = (c, h, w)
        rules.take(self, state)
        self._build()
        train.restore(state, network=self.network_)


@torch.no_grad()
def codes_of(network: Any, dataset: PixelDataset, bf16: bool) -> npt.NDArray[np.float16]:
    """Return the codes (n, d) float16 that `network` gives all images of `dataset`, statistics fixed."""
    with still(network):
        rows = torch.arange(len(dataset))
        codes = encode_all(network.code, dataset.read, rows, _BLOCK, device=dataset.device, bf16=bf16, pad=False)
    return to_float16(codes)


def shown_rows(n: int) -> Tensor:
    """Return which images are shown in pictures of a training: up to 16, evenly spread."""
    return torch.linspace(0, n - 1, min(n, _SHOWN)).long()
