"""Trainings in which an image stands beside its nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilk.methods.training.stage import GradientStage

__all__ = ["NeighborStage"]


class NeighborStage(GradientStage):
    """Abstract: units are pairs, images (b,) and one neighbour of each (b,), drawn at random; or all of theirs (b, m).

    A subclass puts the neighbours (n, m) of every image into ``memory["nearest"]``, as int32, in `start`.

    Attributes
    ----------
    all_neighbors : bool
    """

    all_neighbors = False

    @property
    def nearest(self) -> Tensor:
        """Neighbours (n, m) int64, on the CPU."""
        return torch.from_numpy(self.memory["nearest"]).long()

    def begin(self, epoch: int) -> None:
        """Draw the order of images, and batch by batch a neighbour for each."""
        super().begin(epoch)
        if not self.all_neighbors:
            m = self.memory["nearest"].shape[1]
            drawn = [torch.randint(m, (len(index),), generator=self.draws) for index in super().units(epoch)]
            self.memory["drawn"] = torch.cat(drawn).to(torch.int32).numpy()

    def units(self, epoch: int) -> Sequence[Any]:
        """Return batches of images with their neighbours; before the first epoch, with the nearest."""
        batches = super().units(epoch)
        nearest = self.nearest
        if self.all_neighbors:
            return [(index, nearest[index]) for index in batches]
        sizes = [len(index) for index in batches]
        drawn = torch.from_numpy(self.memory.get("drawn", np.zeros(sum(sizes), np.int32))).long()
        parts = torch.split(drawn, sizes)
        return [(index, nearest[index, which]) for index, which in zip(batches, parts, strict=True)]

    def trial_unit(self, size: int) -> Any:
        """Return images with neighbours."""
        index = torch.arange(size)
        return index, self.nearest[index] if self.all_neighbors else self.nearest[index, 0]
