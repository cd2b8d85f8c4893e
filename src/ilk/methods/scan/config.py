"""What is decided before SCAN trains: the preset, the size of images, and what the encoder begins with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ilk import encoders
from ilk.data import ImageSource, OwnFeatures, is_small, square, training_size
from ilk.errors import ArgumentError
from ilk.methods.scan.settings import SCANSettings, SimCLRSettings
from ilk.methods.settings import AUTO
from ilk.networks.resnet import BACKBONES

__all__ = ["automatic", "image_size", "starting_weights", "untrained"]

WHY = {
    "frozen": "the features of a frozen encoder are used and only heads learn (preset=frozen). A network from scratch "
    "needs a GPU: --set preset=scratch; for some thousand small images --set preset=small takes minutes",
    "scratch": "small images and a GPU: a network is trained from scratch (preset=scratch)",
    "given": "features of your own: only heads learn (preset=frozen)",
    "named scratch": "a network is named and there is a GPU: it is trained from scratch (preset=scratch)",
    "named small": "a network is named: it is trained from scratch, for a few epochs (preset=small)",
}
_SMALLEST = 8  # pixels a side that a network is shown


def automatic(source: ImageSource, device: torch.device, network: str | None = None) -> tuple[str, str]:
    """Return the preset that "auto" stands for, and why.

    "scratch" for small uniform images on a GPU, "frozen" otherwise. Where a `network` is named, one that trains it:
    a residual one on a GPU "scratch", any other "small". For features of the user's own "frozen".
    """
    gpu = device.type == "cuda"
    if network not in (None, "features"):
        chosen = "scratch" if gpu and BACKBONES[str(network)].block != "plain" else "small"
        return chosen, WHY[f"named {chosen}"]
    if isinstance(source, OwnFeatures):
        return "frozen", WHY["given"]
    chosen = "scratch" if gpu and network is None and is_small(source) is not None else "frozen"
    return chosen, WHY[chosen]


def image_size(settings: SimCLRSettings, source: ImageSource) -> int:
    """Return the side of the images in pixels, where a network is trained.

    None: the size of small uniform images, 28, 32 or 96 pixels otherwise. "auto": the same, at most 32.
    """
    size = settings.image_size
    if size is None or size == AUTO:
        side = min(square(training_size(source)))
        size = side if size is None else min(side, BACKBONES["resnet18"].size)
    return max(int(size), _SMALLEST)


def untrained(settings: SCANSettings) -> list[str]:
    """Return a note where groups would be sought with a network that nobody trained."""
    if settings.network == "features" or settings.pretext_epochs or settings.extra.get("weights") is not None:
        return []
    return [
        f"network={settings.network} learns no representation (pretext_epochs=0) and begins with no weights: "
        "neighbours are those of an untrained network. Set pretext_epochs=, give --weights FILE (of SimCLR.save), or "
        "take the features of a frozen encoder (preset=frozen)"
    ]


def starting_weights(settings: SCANSettings, channels: int) -> tuple[dict[str, Tensor], str] | None:
    """Return the weights that a network begins with, and their name; None where it begins at random.

    Raises
    ------
    ArgumentError
        The file is of another network, or neighbours would be mined in a projection that nobody learnt.
    """
    path: Any = settings.extra.get("weights")
    if path is None:
        return None
    about, state, content = encoders.read_learned(path)
    mine = {"network": settings.network, "stem": settings.stem, "representation": settings.representation_dim}
    theirs = {key: about.get(key) for key in mine}
    if theirs != mine or len(about["mean"]) != channels:
        raise ArgumentError(
            f"weights={str(path)!r} are of {theirs} for {len(about['mean'])} channel(s); this training has {mine} and "
            f"{channels}. Set network=, stem= and representation_dim= alike."
        )
    if settings.mine_on == "projection" and not settings.pretext_epochs:
        raise ArgumentError("mine_on='projection': the weights hold no projection; use mine_on=representation.")
    return state, content
