"""What is decided before SCAN trains: the preset, the size of images, and whether the settings are sound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilk import encoders
from ilk.data import OwnFeatures, is_small, square, training_size
from ilk.errors import ArgumentError
from ilk.methods import checks
from ilk.methods.checks import AUTO
from ilk.methods.scan.pretext import OPTIMIZERS, check_pretext
from ilk.networks.resnet import BACKBONES

__all__ = ["automatic", "check", "fill", "start_of", "untrained"]

WHY = {
    "frozen": "the features of a frozen encoder are used and only heads learn (preset=frozen). A network from scratch "
    "needs a GPU: --set preset=scratch; for some thousand small images --set preset=small takes minutes",
    "scratch": "small images and a GPU: a network is trained from scratch (preset=scratch)",
    "given": "features of your own: only heads learn (preset=frozen)",
    "named scratch": "a network is named and there is a GPU: it is trained from scratch (preset=scratch)",
    "named small": "a network is named: it is trained from scratch, for a few epochs (preset=small)",
}
_CHOICES = {
    "mine_on": ("projection", "representation"),
    "neighbors": ("nearest", "random"),
    "tune": ("all", "heads"),
    "cluster_optimizer": OPTIMIZERS,
    "selflabel_optimizer": OPTIMIZERS,
    "cluster_augment": ("strong", "pretext", "none"),
    "keep": ("best", "last"),
    "teacher": ("batch", "ema"),
}
_FLAGS = ("mine_on_raw_pixels", "mine_self", "centered", "all_neighbors", "bce_on_prob_as_logit", "balance")
_SMALLEST = 8  # pixels a side that a network is shown


def check(table: Mapping[str, Any], k: Any, seed: Any, precision: Any) -> None:
    """Raise `ArgumentError` for whatever is outside of what is allowed."""
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 2:
        hint = " SCAN does not choose it; `ilk cluster SOURCE` without -m scan suggests one." if k == AUTO else ""
        raise ArgumentError(f"n_clusters={k!r}: give a whole number of at least 2 (-k).{hint}")
    checks.random_state(seed)
    checks.choice("precision", precision, ("auto", "fp32", "bf16"))
    check_pretext(table)
    for key, allowed in _CHOICES.items():
        checks.choice(key, table[key], allowed)
    for key in (*_FLAGS, "ema_into_network"):
        checks.flag(key, table[key])
    for key in ("n_neighbors", "n_heads", "cluster_epochs"):
        checks.whole(key, table[key])
    for key in ("cluster_batch", "selflabel_batch"):
        checks.whole(key, table[key], least=2)
    for key in ("selflabel_epochs", "cutout"):
        checks.whole(key, table[key], least=0)
    most = {"lr": 10.0, "decay": 1.0}
    for stage in ("cluster", "selflabel"):
        for key, limit in most.items():
            checks.number(f"{stage}_{key}", table[f"{stage}_{key}"], limit)
    checks.number("entropy_weight", table["entropy_weight"], 1000.0)
    checks.number("select_weight", table["select_weight"], 1000.0)
    checks.number("threshold", table["threshold"], 1.0)
    checks.number("ema", table["ema"], 0.99999)
    if table["teacher"] == "ema" and not table["ema"]:
        raise ArgumentError("teacher='ema': say how slowly the average moves too, such as ema=.999.")


def start_of(table: Mapping[str, Any], channels: int) -> tuple[dict[str, Tensor], str] | None:
    """Return the weights that an encoder begins with, and their name; None where it begins by chance.

    Raises
    ------
    ArgumentError
        The file is of another network, or neighbours would be mined in a projection that nobody learnt.
    """
    path = table.get("weights")
    if path is None or table["network"] == "features":
        return None
    about, state, content = encoders.read_learned(path)
    mine = {"network": table["network"], "stem": table["stem"], "representation": table["representation"]}
    theirs = {key: about.get(key) for key in mine}
    if theirs != mine or len(about["mean"]) != channels:
        raise ArgumentError(
            f"weights={str(path)!r} are of {theirs} for {len(about['mean'])} channel(s); this training has {mine} and "
            f"{channels}. Set network=, stem= and representation= alike."
        )
    if table["mine_on"] == "projection" and not table["pretext_epochs"]:
        raise ArgumentError("mine_on='projection': the weights hold no projection; use mine_on=representation.")
    return state, content


def automatic(source: Any, place: torch.device, network: str | None = None) -> tuple[str, str]:
    """Return the preset that "auto" stands for, and why.

    "scratch" for small uniform images on a GPU, "frozen" otherwise. Where a `network` is named, one that trains it:
    a residual one on a GPU "scratch", any other "small". For features of the user's own "frozen".
    """
    if isinstance(source, OwnFeatures) and network in (None, "features"):
        return "frozen", WHY["given"]
    gpu = place.type == "cuda"
    if network is not None and network != "features":
        chosen = "scratch" if gpu and BACKBONES[network].block != "plain" else "small"
        return chosen, WHY[f"named {chosen}"]
    chosen = "scratch" if gpu and network is None and is_small(source) is not None else "frozen"
    return chosen, WHY[chosen]


def untrained(table: Mapping[str, Any]) -> list[str]:
    """Return a note where groups would be sought with a network that nobody trained."""
    if table["network"] == "features" or table["pretext_epochs"] or table.get("weights") is not None:
        return []
    return [
        f"network={table['network']} learns no representation (pretext_epochs=0) and begins with no weights: "
        "neighbours are those of an untrained network. Set pretext_epochs=, give --weights FILE (of SimCLR.save), or "
        "take the features of a frozen encoder (preset=frozen)"
    ]


def fill(table: Mapping[str, Any], source: Any) -> dict[str, Any]:
    """Return `table` with the size of images filled in, where the images decide it.

    None: the size of small uniform images, 28, 32 or 96 pixels otherwise. "auto": the same, at most 32.
    """
    found = dict(table)
    size = found["image_size"]
    if found["network"] == "features":
        return found
    if size is None or size == AUTO:
        side = min(square(training_size(source)))
        size = side if size is None else min(side, BACKBONES["resnet18"].size)
    found["image_size"] = max(int(size), _SMALLEST)
    return found
