"""Which padding weights were trained with: TensorFlow pads at the bottom and right first, others on all sides."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ilk.encoders import pretrained
from ilk.encoders.pretrained import Recipe
from ilk.encoders.weights import State
from ilk.errors import ArgumentError, DataError

__all__ = ["IMAGES", "trained_padding"]

IMAGES = 96
"""Images that are looked at."""

_LEAST = -2.0  # standard errors by which the entropy must fall


def trained_padding(what: Recipe, state: State, pixels: Tensor, origin: str | Path) -> str:
    """Return "same" where the classifier in `state` is surer of images with TensorFlow's padding, else "default".

    Parameters
    ----------
    what
        The network.
    state
        All its weights. Without a classifier nothing can be said.
    pixels : uint8 (m, 3, h, w)
        Images of the size of `what`; some of the user's own.
    origin
        The file, for messages.

    Notes
    -----
    A network sees its images shifted where it is padded otherwise than in training, and its class probabilities grow
    flat. The entropies of both are compared image by image; with TensorFlow's padding they must be lower by two
    standard errors of their mean. On 64 photos of clothes, animals and flowers that was 1.3 to 5.3 for MobileNetV2 and
    2.1 to 2.9 for EfficientNet-Lite0, both trained in TensorFlow. Cost: two passes in fp32, once for a file of weights.
    """
    asked = replace(what, pool="softmax")
    whole = pretrained.trimmed(state, asked)
    try:
        graphs = [pretrained.network(replace(asked, pad_type=kind), whole, origin) for kind in ("default", "same")]
    except (ArgumentError, DataError):  # no paddings to choose from, or no classifier; misfits are refused later
        return "default"
    if len(pixels) < 16 or not _differ(*graphs):
        return "default"
    entropy = [torch.cat([_entropy(graph, part) for part in torch.split(pixels, 8)]) for graph in graphs]
    fall = entropy[1] - entropy[0]
    error = float(fall.std()) / len(fall) ** 0.5
    return "same" if float(fall.mean()) < _LEAST * max(error, 1e-9) else "default"


def _entropy(graph: Any, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        shares = graph(pixels.permute(0, 2, 3, 1).contiguous()).double()
    found: Tensor = -(shares * shares.clamp_min(1e-12).log()).sum(1)
    return found


def _differ(one: Any, other: Any) -> bool:
    """Return whether two networks pad differently: a model of timm that has TensorFlow's padding anyway does not."""
    kinds = [[type(module).__name__ for module in graph.modules()] for graph in (one, other)]
    return kinds[0] != kinds[1]
