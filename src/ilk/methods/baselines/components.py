"""Principal components of what a trained network sees, kept inside of it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ilk.methods.inputs.dataset import PixelDataset
from ilk.networks.levels import Components
from ilk.vectors import fit_pca

__all__ = ["Levelled", "fit_components"]

_MOST = 10_000
_BLOCK = 512


class Levelled(Protocol):
    """A network with features that are too wide to group, and a module for their components."""

    training: bool
    reduce: Components

    def features(self, images: Tensor) -> Tensor:
        """Return (b, d) of images in [0, 1]."""

    def train(self, mode: bool = True) -> object:
        """Let batch norm use the statistics of batches, or those it keeps."""


@torch.no_grad()
def fit_components(network: Levelled, dataset: PixelDataset) -> None:
    """Fill `network.reduce` with the components of the features of up to 10,000 images, evenly spread."""
    was = network.training
    network.train(False)
    count = min(len(dataset), _MOST)
    rows = torch.from_numpy(np.linspace(0, len(dataset) - 1, count).astype(np.int64))
    seen = torch.cat([network.features(dataset.read(part)) for part in rows.split(_BLOCK)])  # type: ignore[no-untyped-call]
    pca = fit_pca(seen, min(len(network.reduce.components), count))
    network.reduce.fill(pca.mean, pca.components)
    network.train(was)
