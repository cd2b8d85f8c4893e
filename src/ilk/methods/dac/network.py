"""The network of a training, and the label features that it gives all images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
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


def network_for(
    dataset: Dataset,
    settings: DACSettings,
    k: int,
    generator: torch.Generator,
    groups: npt.NDArray[np.int64] | None = None,
) -> DACNet:
    """Build the network that the settings name for what is in `dataset`.

    A head on features begins with one unit per group: at the centres of `groups` (n,) where these are given, else at
    those of K-means.
    """
    if isinstance(dataset, PixelDataset):
        c, side, _ = dataset.images.shape
        how: Any = {"affine": settings.bn_affine, "ties": settings.max_pool_ties}
        return build_dac_net(settings.network, c, side, k, **how, generator=generator)
    rows = torch.randperm(len(dataset), generator=generator)[:_FOR_CENTERS]
    found = dataset.read(rows).cpu()
    if groups is None:
        return build_dac_head(kmeans(found, k, n_init=3, generator=generator).centers, affine=settings.bn_affine)
    return build_dac_head(_centers(found, torch.from_numpy(groups)[rows], k), affine=settings.bn_affine)


def _centers(features: Tensor, groups: Tensor, k: int) -> Tensor:
    """Return the mean (k, d) of the features of each group; of all, where a group has no image among them."""
    sums = torch.zeros(k, features.shape[1]).index_add_(0, groups, features.float())
    counts = torch.bincount(groups, minlength=k)[:, None]
    return torch.where(counts > 0, sums / counts.clamp(min=1), features.float().mean(0))
