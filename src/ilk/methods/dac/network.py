"""The network of a training, and the label features that it gives all images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ilk import losses
from ilk.methods.dac.settings import DACSettings
from ilk.methods.inputs.dataset import Dataset, PixelDataset, encode_all
from ilk.networks.dac import DACNet, build_dac_head, build_dac_net
from ilk.vectors import kmeans

__all__ = ["label_features", "network_for"]

_FOR_CENTERS = 20_000  # images that K-means sees where the network begins with its centres


@torch.no_grad()
def label_features(network: DACNet, dataset: Dataset, bf16: bool) -> Tensor:
    """Return label features (n, k) float32 of all images, in batches of one size, on the statistics of `network`."""
    size = 128 if not isinstance(dataset, PixelDataset) or dataset.images.shape[1] <= 32 else 32
    if dataset.device.type == "cuda":
        size *= 8  # a GPU waits for work otherwise
    with network.fixed():
        rows = torch.arange(len(dataset))
        return encode_all(
            lambda images: losses.label_features(network(images)),
            dataset.read, rows, size, device=dataset.device, bf16=bf16,
        )  # fmt: skip


def network_for(dataset: Dataset, settings: DACSettings, k: int, generator: torch.Generator) -> DACNet:
    """Build the network that the settings name for what is in `dataset`."""
    if isinstance(dataset, PixelDataset):
        c, side, _ = dataset.images.shape
        how: Any = {"affine": settings.bn_affine, "ties": settings.max_pool_ties}
        return build_dac_net(settings.network, c, side, k, **how, generator=generator)
    rows = torch.randperm(len(dataset), generator=generator)[:_FOR_CENTERS]
    found = kmeans(dataset.read(rows).cpu(), k, n_init=3, generator=generator)
    return build_dac_head(found.centers, affine=settings.bn_affine)
