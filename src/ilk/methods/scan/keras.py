"""The example of Keras: every deviation from SCAN as a switch, and its two presets. No other preset uses any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ilk import losses
from ilk.methods.inputs.dataset import PixelDataset
from ilk.methods.settings import Settings, flag, number, whole

__all__ = ["FIXED", "LITERAL", "KerasSwitches", "raw_pixels", "set_unscaled_decay", "tiled_loss"]


@dataclass(frozen=True, kw_only=True)
class KerasSwitches(Settings):
    """What the example does otherwise while a representation is learnt."""

    l2_normalize: bool = flag(True, "contrast=tiled: projections are of length 1")
    column_max_shift: bool = flag(False, "contrast=tiled: greatest similarities are taken off the wrong axis")
    tf_softmax_grad: bool = flag(False, "contrast=tiled: TensorFlow's gradient for targets that sum to 2")
    adam_eps: float = number(1e-8, "epsilon of every adam and adamw", 1e-12, 0.1)
    short_batch: bool = flag(False, "an epoch ends with a smaller batch where images are left over")
    decay_steps: int | None = whole(None, "lr_schedule=steps: how many the cosine takes", none="all")
    decoupled_wd_unscaled: bool = flag(
        False, "adamw: weights lose the share `weight_decay` a step, whatever the learning rate is"
    )


def tiled_loss(first: Tensor, second: Tensor, settings: Any) -> Tensor:
    """Return the example's contrast of projections (b, d): an image is its own positive too."""
    return losses.tiled_xent(
        torch.cat([first, second]),
        settings.temperature,
        normalize=settings.l2_normalize,
        column_shift=settings.column_max_shift,
        kernel_gradient=settings.tf_softmax_grad,
    )


def set_unscaled_decay(optimizer: torch.optim.Optimizer, weight_decay: float) -> None:
    """Let AdamW take off the share `weight_decay` of the weights at every step, whatever its learning rate is."""
    for group in optimizer.param_groups:
        group["weight_decay"] = weight_decay / group["lr"]


def raw_pixels(dataset: PixelDataset) -> Callable[[Tensor], Tensor]:
    """Return what reads images from 0 to 255, which the network was not trained on: neighbours are mined with them."""
    return lambda index: (dataset.unit(index) * 255).contiguous(memory_format=torch.channels_last)


LITERAL: dict[str, Any] = {
    "network": "resnet50v2",
    "stem": "imagenet",
    "representation_dim": 512,
    "projector": "keras",
    "contrast": "tiled",
    "l2_normalize": False,
    "column_max_shift": True,
    "tf_softmax_grad": True,
    "dropout": 0.1,
    "pretext_epochs": 50,
    "pretext_optimizer": "adamw",
    "pretext_lr": 1e-3,
    "adam_eps": 1e-7,
    "short_batch": True,
    "lr_schedule": "steps",
    "decay_steps": 500,
    "lr_floor": 0.1,
    "decoupled_wd_unscaled": True,
    "crop": None,
    "flip": True,
    "color_jitter": 0.0,
    "grayscale": 0.0,
    "rotation": 54.0,
    "translate": 0.2,
    "zoom": (0.7, 1.1),
    "n_neighbors": 5,
    "mine_on": "representation",
    "mine_on_raw_pixels": True,
    "mine_self": False,
    "tune": "heads",
    "cluster_batch": 512,
    "cluster_optimizer": "adamw",
    "cluster_lr": 5e-4,
    "cluster_augment": "pretext",
    "entropy_weight": 1.0,
    "all_neighbors": True,
    "bce_on_prob_as_logit": True,
    "keep": "last",
    "selflabel_epochs": 0,
}
"""The example, mistakes included."""

FIXED: dict[str, Any] = {
    **LITERAL,
    "stem": "small",
    "contrast": "both",
    "l2_normalize": True,
    "column_max_shift": False,
    "tf_softmax_grad": False,
    "short_batch": False,
    "decay_steps": None,
    "lr_floor": 0.0,
    "decoupled_wd_unscaled": False,
    "rotation": 0.0,
    "translate": 0.0,
    "zoom": (1.0, 1.0),
    "crop": (0.2, 1.0),
    "color_jitter": 0.5,
    "grayscale": 0.2,
    "mine_on_raw_pixels": False,
    "n_neighbors": 20,
    "centered": True,
    "entropy_weight": 5.0,
    "all_neighbors": False,
    "bce_on_prob_as_logit": False,
    "n_heads": 10,
}
"""The same with its mistakes mended, and what it lacks: colours change, and the network keeps a map of 4 × 4."""
