"""Pictures of SCAN: augmented images, neighbours, prototypes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ilk.methods.figures import as_images
from ilk.methods.inputs.augmentation import augmented, strongly_augmented
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.scan.settings import SCANSettings

__all__ = ["augmented_samples", "neighbor_samples", "prototypes"]

Ints = npt.NDArray[np.int64]
Thumbs = Callable[[Ints], npt.NDArray[np.uint8]]
"""Distinct images (m,) -> uint8 (m, 48, 48, 3)."""

_ROWS, _SHOWN = 8, 8
_GROUPS = 60


def augmented_samples(dataset: PixelDataset, settings: SCANSettings, seed: int) -> dict[str, Any]:
    """Return images, each before what the network is shown in its place."""
    drawn = torch.from_numpy(np.random.default_rng(seed).permutation(len(dataset))[:_ROWS])
    noise = torch.Generator(dataset.device).manual_seed(seed)
    kinds = ["pretext", "strong"] if settings.cluster_augment == "strong" or settings.selflabel_epochs else ["pretext"]
    rows = []
    for kind in kinds:
        for row in drawn[: _ROWS // len(kinds)]:
            many = row.repeat(_SHOWN - 1)
            if kind == "strong":
                copies = strongly_augmented(dataset, many, settings.cutout, noise)
            else:
                copies = augmented(dataset, many, settings, noise)
            unit = torch.cat([dataset.read(row[None]), copies]) * dataset.std + dataset.mean
            rows.append({"title": f"{kind}: image, and augmented copies", "images": as_images(unit.cpu().numpy())})
    caption = (
        "First an image, then copies of it as the network is shown them. The contrast teaches it that copies belong "
        "together."
    )
    return _figure("augmented", "Augmented images", caption, rows)


def neighbor_samples(thumbs: Thumbs, nearest: Ints, labels: Ints, seed: int) -> dict[str, Any]:
    """Return images drawn at random, each before its neighbours; `nearest` (n, m) and `labels` (n,) are of all."""
    anchors = np.random.default_rng(seed).permutation(len(nearest))[:_ROWS]
    rows = [np.concatenate([[anchor], nearest[anchor][nearest[anchor] != anchor][:_SHOWN]]) for anchor in anchors]
    caption = (
        "Images drawn at random, each before its nearest neighbours in the learnt representation. The clustering puts "
        "a row into one group: where rows are mixed, groups will be."
    )
    shown = [{"title": f"group {labels[row[0]]}", "images": thumbs(row)} for row in rows]
    return _figure("neighbors", "Nearest neighbours", caption, shown)


def prototypes(thumbs: Thumbs, labels: Ints, confidence: npt.NDArray[np.float32], k: int) -> dict[str, Any]:
    """Return the images of each group that the network is most confident of, by `labels` and `confidence` (n,)."""
    rows = []
    for group in range(min(k, _GROUPS)):
        mine = np.flatnonzero(labels == group)
        if len(mine):
            best = mine[np.argsort(-confidence[mine], kind="stable")[:_SHOWN]]
            rows.append({"title": f"group {group}", "images": thumbs(best)})
    caption = "The images of each group that the network is most confident of."
    return _figure("prototypes", "Prototypes", caption, rows)


def _figure(name: str, title: str, caption: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "title": title, "caption": caption, "kind": "images", "rows": list(rows)}
