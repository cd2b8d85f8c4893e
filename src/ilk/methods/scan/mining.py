"""The neighbours of every image, in the representation that was learnt."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ilk import compute
from ilk.methods.inputs.dataset import Dataset, PixelDataset
from ilk.methods.scan import keras
from ilk.methods.scan.settings import SCANSettings
from ilk.methods.scan.stage import features_of
from ilk.methods.training import seeds_of
from ilk.networks.scan import Contrast
from ilk.vectors import l2_normalize, neighbors

__all__ = ["mined"]

_PART = 4  # of the seeds


def mined(
    network: Contrast | None,
    dataset: Dataset,
    features: Callable[[Tensor], Tensor],
    settings: SCANSettings,
    seed: int,
    bf16: bool,
) -> Tensor:
    """Return the neighbours (n, m) of every image, nearest first, on the CPU.

    Parameters
    ----------
    network
        Encoder and projector; None where the dataset holds features.
    features : callable (rows) -> (m, d)
        The representation.
    """
    n = len(dataset)
    every, m = torch.arange(n), min(settings.n_neighbors, n - 1)
    if settings.neighbors == "random":
        draws = compute.generator(seeds_of(seed, 3, _PART)[0])
        return (every[:, None] + 1 + torch.randint(n - 1, (n, m), generator=draws)) % n
    raw = settings.mine_on_raw_pixels
    if network is not None and isinstance(dataset, PixelDataset) and (settings.mine_on == "projection" or raw):
        shown = network if settings.mine_on == "projection" else network.encoder
        read = keras.raw_pixels(dataset) if raw else dataset.read
        rows = features_of(shown, read, every, dataset.device, bf16).to(dataset.device)
    else:
        rows = features(every).to(dataset.device)
        if settings.centered:
            rows = l2_normalize(rows)
            rows = rows - rows.mean(0)
    found = neighbors(rows, rows, m, metric="cosine", exclude_self=True)[0].cpu()
    return torch.cat([every[:, None], found], 1) if settings.mine_self else found
