"""Whether chunks of images as they come would be of one class: by their names, and by what can be seen."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from ilk.methods.inputs.dataset import Dataset
from ilk.methods.training import cut

__all__ = ["alike_by_name", "alike_by_sight", "between_chunks"]

_SORTED = 0.05  # of the variance: MNIST's file has .006 between its chunks, sorted by digit .2, two digits a chunk .08


def alike_by_name(names: Sequence[str], chunk: int) -> str | None:
    """Say why the first chunk may be of one class: its names have a part in common that others do not have.

    Parameters
    ----------
    names
        Paths of all images, in their order: what is before the last ``/``, or before the first ``_`` of the file's
        name, may say a class; ``train/`` and ``test/`` in front do not.
    chunk
        Images of a chunk.

    Returns
    -------
    str or None
        A sentence without its full stop.
    """
    names = [re.sub("^(train|test)/", "", name) for name in names]
    for what, part in (
        ("folder", [name.rpartition("/")[0] for name in names]),
        ("beginning of file names", [name.rpartition("/")[2].partition("_")[0] for name in names]),
    ):
        first = part[:chunk]
        if len({*first}) == 1 < len({*part}):
            return f"the first {len(first):,} images have the same {what} ({part[0]!r}), so they may be of one class"
    return None


def alike_by_sight(dataset: Dataset, chunk: int) -> str | None:
    """Say why chunks may be of few classes: images of one are more alike than images drawn at random."""
    share = between_chunks(dataset, chunk)
    if share <= _SORTED:
        return None
    return f"images that come together are alike ({share:.0%} of the variance is between chunks)".replace("%", " %")


@torch.no_grad()
def between_chunks(dataset: Dataset, chunk: int) -> float:
    """Return the share of the variance that is between chunks, less what is by chance: 0 for images in random order.

    Parameters
    ----------
    dataset : PixelDataset or FeatureDataset
        Read once.
    chunk
        Images of a chunk; a rest is left out.
    """
    parts = cut(torch.arange(len(dataset)), chunk, drop_last=True)
    if len(parts) < 2:
        return 0.0
    means, within = [], 0.0
    for part in parts:
        values = dataset.read(part).flatten(1)
        means.append(values.mean(0))
        within += float(values.var(0, correction=0).double().sum()) / len(parts)
    between = float(torch.stack(means).double().var(0, correction=0).sum())
    chance = (len(parts) - 1) / (len(parts) * chunk - 1)
    return (between / max(between + within, 1e-12) - chance) / (1 - chance)
