"""The representation: two augmented copies of an image belong together, all other images do not (SimCLR)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ilk import compute, losses, train
from ilk.methods.inputs.augmentation import augmented
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.scan import keras
from ilk.methods.scan.settings import SimCLRSettings
from ilk.methods.scan.stage import SCANStage
from ilk.methods.training import seeds_of
from ilk.networks.scan import Contrast, build_contrast

__all__ = ["Pretext", "build_network"]


def build_network(settings: SimCLRSettings, channels: int, seed: int) -> Contrast:
    """Return encoder and projector as they begin."""
    return build_contrast(
        settings.network,
        channels,
        generator=compute.generator(seeds_of(seed, 3, Pretext.part)[0]),
        stem=settings.stem,
        representation=settings.representation_dim,
        projector=settings.projector,
        projection=settings.projection_dim,
    )


class Pretext(SCANStage):
    """Trains a network to distinguish two augmented copies of an image from all other images.

    Parameters
    ----------
    network : Contrast
    dataset : PixelDataset
    settings, seed, bf16
        As `SCANStage` has them.
    """

    name = "pretext"
    part = 1
    n_seen = 1
    quicker: Sequence[str] = ("frozen",)

    network: Contrast
    dataset: PixelDataset

    def __init__(
        self, network: Contrast, dataset: PixelDataset, settings: SimCLRSettings, seed: int, bf16: bool
    ) -> None:
        super().__init__(network, network, dataset, settings, seed, bf16)
        self.steps = self.n_steps()  # of an epoch
        self.done = 0
        network.train()

    def begin(self, epoch: int) -> None:
        """Draw the order of images; the learning rate falls from epoch to epoch, or from step to step."""
        super().begin(epoch)
        self.done = epoch * self.steps
        if self.settings.lr_schedule == "epochs":
            self._set_lr(epoch / self.epochs)

    def update(self, unit: Any) -> Tensor:
        """Take one step."""
        if self.settings.lr_schedule == "steps":
            self._set_lr(self.done / (self.settings.decay_steps or self.epochs * self.steps))
        return super().update(unit)

    def _set_lr(self, share: float) -> None:
        """Take the learning rate of a point on the way, from 0 to 1."""
        lr = self.settings.pretext_lr
        train.set_lr(self.optimizer, train.cosine(share, 1.0, lr, lr * self.settings.lr_floor))
        if self.settings.decoupled_wd_unscaled:
            keras.set_unscaled_decay(self.optimizer, self.settings.pretext_weight_decay)

    def loss(self, index: Tensor, unit: Any) -> Tensor:
        """Return the contrast of a batch."""
        copies = augmented(self.dataset, index, self.settings, self.noise, 2)
        with torch.autocast(copies.device.type, torch.bfloat16, enabled=self.bf16):
            found = self.network(copies, self.settings.dropout, self.noise)
        first, second = found.float().chunk(2)
        self.seen = (functional.cosine_similarity(first, second).mean().detach(),)
        if self.settings.contrast == "tiled":
            return keras.tiled_loss(first, second, self.settings)
        return losses.nt_xent(first, second, self.settings.temperature, one_sided=self.settings.contrast == "one")

    def after_step(self) -> None:
        """Count the step."""
        super().after_step()
        self.done += 1

    def keep(self) -> None:
        """Keep the number of steps."""
        super().keep()
        self.memory["done"] = np.asarray(self.done)

    def restored(self) -> None:
        """Take up the number of steps. More epochs than before may have been asked for."""
        super().restored()
        self.done = int(self.memory["done"])
        self.epochs = self.settings.pretext_epochs

    def end(self, epoch: int) -> dict[str, Any]:
        """Return the mean cosine of two copies of an image."""
        return {"positive_similarity": round(self.means()[0], 4)}
