"""Which of two encoders suits a set better, without labels: whose groups do halves of the images agree on?"""

from __future__ import annotations

import numpy as np
import torch

from ilk.data import ImageSource
from ilk.data.sources import evenly
from ilk.encoders.frozen import FrozenEncoder
from ilk.metrics import ari
from ilk.vectors import fit_pca, kmeans

__all__ = ["agreement", "is_colourful"]

_SAMPLE = 400  # images
_GROUPS = (10, 20)
_SPLITS = 4
_COLOUR = 12  # mean difference of the largest and the smallest channel, of 255, from which on a set has colours


def _sample(source: ImageSource, encoder: FrozenEncoder | None, most: int) -> torch.Tensor:
    sized = source if encoder is None else source.sized(encoder.image_size, encoder.resize, encoder.crop_pct)
    block = sized.scan(evenly(len(source), most))
    return block.pixels[torch.from_numpy(block.ok)]


def is_colourful(source: ImageSource) -> bool:
    """Return whether the images of `source` have colours: judged by up to 64 of them.

    Scans of grey pictures that are stored in three channels differ a little between these.
    """
    if source.shape[0] != 3:
        return False
    pixels = _sample(source, None, 64)
    return bool(len(pixels) and float((pixels.amax(1) - pixels.amin(1)).float().mean()) >= _COLOUR)


def agreement(source: ImageSource, encoder: FrozenEncoder) -> float:
    """Return how far groups that K-means finds in one half of the images are those it finds in the other.

    Parameters
    ----------
    source
        400 evenly spaced images are looked at.
    encoder

    Returns
    -------
    float
        Mean adjusted Rand index over four splits, into 10 and into 20 groups: each half's centres group all images of
        the sample. 0 = by chance, 1 = the same groups. 0 for fewer than 80 distinct images.
    """
    features = np.unique(encoder(_sample(source, encoder, _SAMPLE)), axis=0)
    if len(features) < 4 * max(_GROUPS):
        return 0.0
    space = fit_pca(features, min(50, *features.shape), normalize=True).transform(features)
    found = []
    for split in range(_SPLITS):
        generator = torch.Generator().manual_seed(split)
        order = torch.randperm(len(space), generator=generator)
        for k in _GROUPS:
            labels = []
            for half in order.chunk(2):
                centers = kmeans(space[half], k, n_init=3, generator=generator).centers
                labels.append(torch.cdist(space, centers).argmin(1).tolist())
            found.append(ari(*labels))
    return float(np.mean(found))
